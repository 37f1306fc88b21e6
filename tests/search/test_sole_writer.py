"""What the one writer holds in memory is what it and any other Optuna read in the database."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search import sampler
from search import study as studies
from search.settings import Settings
from search.storage import open_storage
from tests.fakes import SPACE, TASK


def opened(folder: Path) -> optuna.Study:
    return studies.open_study(Settings(runs_dir=folder), TASK, SPACE, TASK.training, "abc")


@pytest.fixture(autouse=True)
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC-09:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def assert_stored(study: optuna.Study, folder: Path) -> None:
    readers = (
        opened(folder),
        optuna.load_study(study_name=None, storage=open_storage(folder, None)),
    )
    for reader in readers:
        assert [plain(trial) for trial in reader.trials] == [plain(t) for t in study.trials]


def plain(trial: FrozenTrial) -> tuple[object, ...]:
    return (
        trial.number,
        trial._trial_id,
        trial.state,
        trial.values,
        trial.params,
        trial.distributions,
        trial.user_attrs,
        trial.system_attrs,
        trial.intermediate_values,
        trial.datetime_start,
        trial.datetime_complete,
    )


def test_the_memory_follows_every_write(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.enqueue_trial({"optimizer": "adam"}, user_attrs={"preset": "small"})
    steps = [sampler.ask(study, SPACE) for _ in range(4)]
    assert_stored(study, tmp_path)
    for number, trial in enumerate(steps):
        trial.report(number / 10, 1)
        trial.should_prune()
        trial.set_user_attr("record", {"rows": [number]})
        trial.set_user_attr("record", {"rows": [number, math.pi]})
        assert_stored(study, tmp_path)
    study.tell(steps[0], 0.5)
    steps[1].set_constraint("diverged", 1.0)
    study.tell(steps[1], state=TrialState.PRUNED)
    study.tell(steps[2], state=TrialState.FAIL)
    assert_stored(study, tmp_path)
    study.ask().report(math.inf, 3)
    assert_stored(study, tmp_path)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "RUNNING", "RUNNING"]


def test_what_was_read_does_not_change_afterwards(tmp_path: Path) -> None:
    study = opened(tmp_path)
    trial = sampler.ask(study, SPACE)
    (before,) = study.get_trials(deepcopy=False)
    trial.report(0.5, 1)
    study.tell(trial, 0.5)
    assert (before.state, before.intermediate_values) == (TrialState.RUNNING, {})


def test_a_trial_in_work_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = opened(tmp_path)
    sampler.ask(study, SPACE)
    backend = study._storage._backend  # type: ignore[attr-defined] # of Optuna's cache

    def read(*_: object, **__: object) -> NoReturn:
        raise AssertionError("read again")

    monkeypatch.setattr(backend, "_get_trials", read)
    monkeypatch.setattr("search.sole_writer._read_trials", read)
    assert len(study.trials) == 1


def test_trials_made_by_any_other_optuna_are_gone_on_with(tmp_path: Path) -> None:
    name = opened(tmp_path).study_name
    other = optuna.load_study(study_name=name, storage=open_storage(tmp_path, None))
    running, ended = other.ask(), other.ask()
    for trial in (running, ended):
        SPACE.sample(trial, TASK.training)
        trial.report(math.nan if trial is ended else 0.5, 1)
    other.tell(ended, 0.25)
    study = opened(tmp_path)
    (again, _) = study.trials
    optuna.Trial(study, again._trial_id).report(0.6, 2)
    study.tell(again.number, 0.5)
    sampler.ask(study, SPACE)
    assert [trial.value for trial in study.trials] == [0.5, 0.25, None]
    assert [trial.intermediate_values[1] for trial in study.trials[:1]] == [0.5]
    assert [t.params for t in other.trials] == [t.params for t in study.trials]
