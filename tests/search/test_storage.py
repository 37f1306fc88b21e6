"""What the one writer holds in memory is what the database holds."""

from pathlib import Path
from typing import NoReturn

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search import sampler
from search import study as studies
from search.settings import Settings
from tests.fakes import SPACE, TASK


def opened(folder: Path) -> optuna.Study:
    return studies.open_study(Settings(runs_dir=folder), TASK, SPACE, TASK.training, "abc")


def content(study: optuna.Study) -> list[tuple[object, ...]]:
    return [plain(trial) for trial in study.trials]


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
        # The database has a clock of its own.
        trial.datetime_start is None,
        trial.datetime_complete is None,
    )


def test_the_memory_follows_every_write(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.enqueue_trial({"optimizer": "adam"}, user_attrs={"preset": "small"})
    steps = [sampler.ask(study, SPACE) for _ in range(4)]
    assert content(study) == content(opened(tmp_path))
    for number, trial in enumerate(steps):
        trial.report(number / 10, 1)
        trial.should_prune()
        trial.set_user_attr("record", {"rows": [number]})
        assert content(study) == content(opened(tmp_path))
    study.tell(steps[0], 0.5)
    steps[1].set_constraint("diverged", 1.0)
    study.tell(steps[1], state=TrialState.PRUNED)
    study.tell(steps[2], state=TrialState.FAIL)
    assert content(study) == content(opened(tmp_path))
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]


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
    assert len(study.trials) == 1
