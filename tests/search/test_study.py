"""The Optuna side: names, rungs, seeds, presets, and what a study keeps of its trials."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import optuna
import pytest
from optuna.trial import TrialState

from pipelines.tasks import TASKS, Goal, Task
from search import study as studies
from search.pruner import REDUCTION
from search.settings import Settings
from search.storage import open_storage
from search.study import Record
from spaces.config import Config, Training
from spaces.domains import Choice, Float, Int
from spaces.errors import InputError
from spaces.presets import presets_of
from tests.fakes import SPACE, TASK, new_study

TRAINING = TASK.training


def settings(folder: Path, **changes: Any) -> Settings:
    return Settings(runs_dir=folder, **changes)


def opened(folder: Path, **changes: Any) -> optuna.Study:
    return studies.open_study(settings(folder, **changes), TASK, SPACE, TRAINING, "abc")


def a_record(config: Config, **changes: Any) -> Record:
    plain = config.model_dump(mode="json", exclude_none=True)
    return replace(Record(plain, seed=1), **changes)


def sampled(study: optuna.Study) -> tuple[optuna.Trial, Config]:
    trial = study.ask()
    return trial, SPACE.sample(trial, TRAINING)


# name


def test_the_name_starts_with_the_task() -> None:
    name = studies.study_name(TASK, SPACE, TRAINING, "abc", 0)
    assert name.startswith("fake-")
    assert name == studies.study_name(TASK, SPACE, TRAINING, "abc", 0)


def test_the_name_changes_with_what_makes_scores_incomparable() -> None:
    other_metric = replace(TASK, goal=Goal("val_loss", "min"))
    names = [
        studies.study_name(TASK, SPACE, TRAINING, "abc", 0),
        studies.study_name(TASK, SPACE.narrow(["units_1=4..32"]), TRAINING, "abc", 0),
        studies.study_name(TASK, SPACE, Training(epochs=10), "abc", 0),
        studies.study_name(TASK, SPACE, Training(epochs=9, patience=2), "abc", 0),
        studies.study_name(TASK, SPACE, TRAINING, "abd", 0),
        studies.study_name(TASK, SPACE, TRAINING, "abc", 1),
        studies.study_name(other_metric, SPACE, TRAINING, "abc", 0),
    ]
    assert len(set(names)) == len(names)


def test_the_name_does_not_change_with_the_sentences() -> None:
    words = "Other words."
    other = SPACE.replace(
        layers=Int(0, 1, about=words),
        learning_rate=Float(1e-4, 1e-1, log=True, about=words),
        optimizer=Choice("sgd", "adam", about=words),
    )
    assert other.domains != SPACE.domains
    assert studies.study_name(TASK, other, TRAINING, "abc", 0) == studies.study_name(
        TASK, SPACE, TRAINING, "abc", 0
    )


# rungs


@pytest.mark.parametrize(
    ("first", "epochs", "expected"),
    [
        (1, 1, [1]),
        (1, 2, [1, 2]),
        (1, 3, [1, 2, 3]),
        (1, 8, [1, 2, 4, 8]),
        (1, 10, [1, 2, 4, 8, 10]),
        (9, 60, [9, 18, 36, 60]),
        (2, 15, [2, 4, 8, 15]),
        (1 / 3, 1, [1 / 3, 2 / 3, 1]),
    ],
)
def test_rungs(first: float, epochs: int, expected: list[float]) -> None:
    assert studies.rungs(first, epochs) == pytest.approx(expected)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_rung_of_every_task_is_a_step_of_its_own(task: Task) -> None:
    levels = studies.rungs(task.first_rung, task.training.epochs)
    steps = [studies.step_of(level, task.first_rung) for level in levels[:-1]]
    assert steps == [REDUCTION**n for n in range(len(steps))]


@pytest.mark.parametrize(
    ("epoch", "first", "step"), [(31 / 94, 1 / 3, 1), (1.0, 1 / 3, 3), (0.5, 1, 1), (3.0, 1, 3)]
)
def test_the_step_of_an_epoch_is_a_whole_number(epoch: float, first: float, step: int) -> None:
    assert studies.step_of(epoch, first) == step


@pytest.mark.parametrize(
    ("epoch", "text"),
    [(1 / 3, "0.33"), (31 / 94, "0.33"), (1.0, "1"), (27.0, "27"), (100.0, "100"), (300.0, "300")],
)
def test_an_epoch_is_shown_without_powers_of_ten(epoch: float, text: str) -> None:
    assert studies.epoch_text(epoch) == text


# seeds


def test_the_seed_of_a_trial_depends_on_study_and_number_alone() -> None:
    seeds = {(s, n): studies.seed_of(s, n) for s in range(3) for n in range(50)}
    assert len(set(seeds.values())) == 150
    assert all(0 <= seed < 2**31 for seed in seeds.values())
    assert studies.seed_of(0, 0) == seeds[0, 0]


# studies


def test_the_same_question_finds_the_same_study_and_another_makes_a_new_one(
    tmp_path: Path,
) -> None:
    sampled(opened(tmp_path))
    again = opened(tmp_path)
    assert len(again.trials) == 1
    assert again.user_attrs == {"metric": "val_accuracy", "data_digest": "abc", "task": "fake"}
    assert opened(tmp_path, seed=1).trials == []
    names = optuna.get_all_study_names(open_storage(tmp_path, None))
    assert len(names) == 2


def test_the_pruner_keeps_the_better_half(tmp_path: Path) -> None:
    """The fakes' study, which most tests use, must prune as the real one does."""
    real, fake = opened(tmp_path), new_study()
    scores = [0.5, 0.6, 0.4, 0.7, 0.1, 0.65, 0.64]
    decided: list[list[bool]] = []
    for study in (real, fake):
        decided.append([])
        for score in scores:
            trial = study.ask()
            trial.report(score, 1)
            decided[-1].append(trial.should_prune())
            study.tell(trial, score)
    assert decided[0] == decided[1] == [False, False, True, False, True, False, False]


def test_finds_the_study_that_was_worked_on_last_or_the_named_one(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path, seed=1)
    sampled(second)
    sampled(first)
    assert studies.find_study(settings(tmp_path), "fake", None).study_name == first.study_name
    named = studies.find_study(settings(tmp_path), "fake", second.study_name)
    assert named.study_name == second.study_name


def test_a_study_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no study of fake .*run `hpsearch search fake` first"):
        studies.find_study(settings(tmp_path / "mlruns"), "fake", None)
    elsewhere = settings(tmp_path, storage=f"sqlite:///{tmp_path}/typo.db")
    with pytest.raises(InputError, match=r"no study of fake \(there is no .*typo\.db\)"):
        studies.find_study(elsewhere, "fake", None)
    assert list(tmp_path.iterdir()) == []
    opened(tmp_path)
    with pytest.raises(InputError, match=r"no study of digits .*none is stored yet"):
        studies.find_study(settings(tmp_path), "digits", None)
    with pytest.raises(InputError, match=r"no study 'fake-1' of fake\. Choose from: fake-"):
        studies.find_study(settings(tmp_path), "fake", "fake-1")
    with pytest.raises(InputError, match="Choose from: none yet"):
        studies.find_study(settings(tmp_path), "digits", "fake-1")


# presets


def test_presets_that_fit_are_put_in_line(tmp_path: Path) -> None:
    task = TASKS["mnist"]
    configs = {preset.name: preset.config for preset in presets_of("mnist")}
    study = studies.open_study(settings(tmp_path), task, task.space, task.training, "abc")
    fitting = [name for name, config in configs.items() if task.space.contains(config)]
    assert fitting
    assert studies.enqueue_presets(study, task.space, configs) == len(fitting)
    for name in fitting:
        trial = study.ask()
        assert trial.user_attrs == {"preset": name}
        drawn = task.space.sample(trial, configs[name].training)
        assert drawn == configs[name]


def test_a_preset_outside_a_narrowed_space_is_left_out(tmp_path: Path) -> None:
    task = TASKS["mnist"]
    configs = {preset.name: preset.config for preset in presets_of("mnist")}
    narrowed = task.space.replace(learning_rate=Float(0.05, 0.1, log=True))
    study = studies.open_study(settings(tmp_path), task, narrowed, task.training, "abc")
    assert studies.enqueue_presets(study, narrowed, configs) == 0
    assert study.trials == []


# records


def test_a_record_comes_back_from_the_storage_as_it_was(tmp_path: Path) -> None:
    study = opened(tmp_path)
    trial, config = sampled(study)
    record = a_record(
        config,
        state="interrupted",
        epoch=1 / 3,
        rows=[{"epoch": 1 / 3, "val_accuracy": 0.1, "train_loss": 1e-300}],
        best={"epoch": 1 / 3, "val_accuracy": 0.1},
        note="with ümlauts and 'quotes'",
    )
    studies.write(study, trial, record)
    (stored,) = opened(tmp_path).trials
    assert studies.read(stored) == record
    assert record.parsed_config() == config
    assert studies.read(study.ask()._cached_frozen_trial) is None


@pytest.mark.parametrize(
    ("state", "cause", "told", "constraints"),
    [
        ("completed", "", TrialState.COMPLETE, {}),
        ("pruned", "", TrialState.PRUNED, {}),
        ("failed", "crashed", TrialState.FAIL, {}),
        ("failed", "diverged", TrialState.PRUNED, {"diverged": 1.0}),
        ("failed", "timed out", TrialState.PRUNED, {"timed out": 1.0}),
    ],
)
def test_optuna_is_told_how_a_trial_ended(
    state: str, cause: str, told: TrialState, constraints: dict[str, float]
) -> None:
    study = new_study()
    trial, config = sampled(study)
    record = a_record(config, state=state, cause=cause, best={"val_accuracy": 0.7})
    studies.tell(study, trial, record)
    (stored,) = study.trials
    assert stored.state == told
    assert stored.constraints == constraints
    assert stored.value == (0.7 if state == "completed" else None)


def test_a_score_is_reported_once() -> None:
    study = new_study()
    trial, _ = sampled(study)
    studies.report(trial, 0.5, 1)
    studies.report(trial, 0.5, 1)
    studies.report(trial, 0.6, 3)
    assert study.trials[0].intermediate_values == {1: 0.5, 3: 0.6}


def test_the_run_of_an_ended_trial_can_be_written_down_later() -> None:
    study = new_study()
    trial, config = sampled(study)
    record = a_record(config, run_id="first")
    assert studies.run_of(study, trial.number, record) == "first"
    study.tell(trial, 0.5)
    studies.write_run(study, trial.number, "second")
    assert studies.run_of(study, trial.number, record) == "second"
    assert studies.run_of(study, trial.number + 1, record) == "first"


@pytest.mark.parametrize(
    ("direction", "expected"), [("maximize", [1, 3, 0]), ("minimize", [0, 1, 3])]
)
def test_the_best_come_first_and_equals_in_their_order(
    direction: Literal["maximize", "minimize"], expected: list[int]
) -> None:
    study = optuna.create_study(direction=direction)
    study.set_user_attr("metric", "score")
    ends = [
        ("completed", 0.1),
        ("completed", 0.9),
        ("pruned", 0.95),
        ("completed", 0.9),
        ("failed", None),
    ]
    for state, score in ends:
        trial, config = sampled(study)
        best = {} if score is None else {"score": score}
        studies.write(study, trial, a_record(config, state=state, best=best))
    study.ask()
    assert [number for number, _ in studies.best_first(study, ("completed",))] == expected
    assert studies.best_first(study, ("failed",)) == []
    assert [number for number, _ in studies.best_first(study, ("pruned",))] == [2]
