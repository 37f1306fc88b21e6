"""A search from its settings on: what it begins with, and what it leaves where it cannot go on."""

import io
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from rich.console import Console

from pipelines.tasks import TASKS
from search import run as running
from search import study as studies
from search.checkpoints import Checkpoints
from search.settings import Settings
from spaces.errors import InputError, RunFailedError
from spaces.starts import DEFAULT, known_configs

TASK = TASKS["iris"]
KNOWN = set(known_configs("iris"))


class Searches:
    """Runs searches up to where workers would begin."""

    def __init__(self, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs_dir, self.printed = runs_dir, io.StringIO()
        self.reached: list[optuna.Study] = []
        self.error: Exception | None = None
        monkeypatch.setattr(running, "_search", self._reach)

    def _reach(self, task: object, space: object, study: optuna.Study, *_: Any, **__: Any) -> bool:
        self.reached.append(study)
        if self.error:
            raise self.error
        return True

    def run(self, **settings: Any) -> optuna.Study:
        """The study, as it was when the search was about to start its workers."""
        told = Settings(runs_dir=self.runs_dir, **settings)
        console = Console(file=self.printed, width=200)
        arguments = (TASK, TASK.space, told, TASK.load(None), "a machine", console, "test")
        assert running.run_search(*arguments)
        return self.reached[-1]

    @property
    def url(self) -> str:
        return f"sqlite:///{self.runs_dir}/optuna.db"

    @property
    def stored(self) -> list[str]:
        return optuna.get_all_study_names(self.url)


@pytest.fixture
def searches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Searches:
    return Searches(tmp_path / "mlruns", monkeypatch)


def finish(study: optuna.Study, count: int) -> None:
    """Completes trials that wait or are drawn."""
    for _ in range(count):
        trial = study.ask()
        config = TASK.space.sample(trial, TASK.training)
        record = studies.Record(
            config=config.model_dump(mode="json", exclude_none=True),
            seed=1,
            preset=trial.user_attrs.get("preset", ""),
            state="completed",
            best={TASK.goal.metric: 0.9, "epoch": 1.0},
        )
        studies.write(study, trial, record)
        studies.tell(study, trial, record)


def waiting(study: optuna.Study) -> list[str]:
    trials = study.get_trials(states=[optuna.trial.TrialState.WAITING])
    return [trial.user_attrs["preset"] for trial in trials]


def test_a_new_study_begins_with_what_is_known(searches: Searches) -> None:
    assert set(waiting(searches.run())) == KNOWN


def test_where_nothing_is_known_a_study_begins_with_the_default_config(searches: Searches) -> None:
    study = searches.run(presets=False)
    assert waiting(study) == [DEFAULT]
    config = TASK.space.sample(study.ask(), TASK.training)
    assert config == TASK.space.default(TASK.training)


def test_known_configs_are_tried_beside_what_was_taken_over(searches: Searches) -> None:
    old = searches.run(presets=False)
    finish(old, 2)
    study = searches.run(seed=1, take_over=old.study_name)
    assert len(study.get_trials()) == 2 + len(KNOWN)
    assert set(waiting(study)) == KNOWN


def test_a_known_config_that_was_taken_over_is_not_trained_again(searches: Searches) -> None:
    old = searches.run()
    finish(old, len(KNOWN))
    assert waiting(searches.run(seed=1, take_over=old.study_name)) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"warm_start": "digits"}, "There is no study of digits"),
        ({"take_over": "iris-1"}, "There is no study 'iris-1' of iris"),
        ({"warm_start": "iris"}, "--warm-start iris is the task of this search itself"),
    ],
)
def test_a_refused_beginning_leaves_no_study(
    searches: Searches, wrong: dict[str, Any], said: str
) -> None:
    kept = searches.run(seed=5).study_name
    with pytest.raises(InputError, match=said):
        searches.run(**wrong)
    assert searches.stored == [kept]


def test_what_was_taken_over_before_a_refusal_goes_with_it(searches: Searches) -> None:
    """Else the corrected command would find a study that has begun, and leave the presets out."""
    old = searches.run(presets=False)
    finish(old, 2)
    wrong = {"seed": 1, "take_over": old.study_name, "warm_start": "digits"}
    with pytest.raises(InputError, match="There is no study of digits"):
        searches.run(**wrong)
    assert searches.stored == [old.study_name]
    right = searches.run(seed=1, take_over=old.study_name)
    assert set(waiting(right)) == KNOWN


def test_a_warm_start_of_a_study_that_has_begun_is_said_to_add_nothing(searches: Searches) -> None:
    searches.run()
    other = optuna.create_study(study_name="digits-1", storage=searches.url)
    other.set_user_attr("task", "digits")
    searches.run(warm_start="digits")
    assert (
        "has begun already: --warm-start digits adds nothing to it." in searches.printed.getvalue()
    )


def test_fewer_trials_than_are_there_are_complete_whatever_was_left_open(
    searches: Searches,
) -> None:
    study = searches.run(presets=False)
    finish(study, 2)
    Checkpoints(searches.runs_dir, study.study_name).save(study.ask().number, 1.0, b"left")
    n_reached = len(searches.reached)
    searches.run(presets=False, trials=2, finalists=0)
    assert len(searches.reached) == n_reached
    assert "2 trials finished already" in searches.printed.getvalue()
    searches.run(presets=False, trials=3, finalists=0)
    assert len(searches.reached) == n_reached + 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        sqlalchemy.exc.OperationalError("INSERT", None, Exception("No space left on device")),
    ],
)
def test_a_storage_that_fails_is_told_in_a_sentence(searches: Searches, error: Exception) -> None:
    searches.error = error
    with pytest.raises(RunFailedError, match=r"could not store .* No space left .* same command"):
        searches.run()


def test_another_error_is_not_taken_for_a_full_disk(searches: Searches) -> None:
    searches.error = FileNotFoundError(2, "No such file")
    with pytest.raises(FileNotFoundError):
        searches.run()


def test_the_study_worked_on_last_is_the_one_whose_finalists_were_trained(
    searches: Searches,
) -> None:
    first, second = searches.run(), searches.run(seed=1)
    finish(first, 1)
    finish(second, 1)
    settings = Settings(runs_dir=searches.runs_dir)
    assert studies.find_study(settings, "iris", None).study_name == second.study_name
    studies.touch(first)  # as a search does that goes on with its finalists
    assert studies.find_study(settings, "iris", None).study_name == first.study_name
