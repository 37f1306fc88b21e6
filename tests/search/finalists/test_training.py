"""Finalists: who they are, and their rounds of retrainings on scripted workers."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from rich.console import Console

from pipelines.segment import SegmentFailure, SegmentResult, finish_trial, train_segment
from pipelines.tasks import TASKS, Task
from search import study as studies
from search.coordinator import Coordinator
from search.dispatch import CLOSING_SECONDS, CRASHES_IN_A_ROW, BrokenSearchError
from search.finalists.selection import (
    Attempt,
    missing,
    most_telling_first,
    plan,
    seed_of,
    select,
    trial_budget,
)
from search.finalists.standings import finalists_table, summary, verdict_lines
from search.finalists.training import FinalistTraining
from search.finalists.verdict import Retraining, retrainings, store, verdict
from search.finalists.verdict import chosen as winner
from search.run import run_search
from search.settings import Settings
from search.study import Record
from search.view import retrained_line
from search.worker_time import WorkerTime
from spaces.config import Config
from spaces.errors import InputError
from tests.fakes import (
    SPACE,
    TASK,
    FakeClock,
    FakeEngine,
    FakeJob,
    FakeLog,
    Fault,
    SilentView,
    flat,
    in_order,
    new_study,
    shuffled,
)

METRIC = TASK.goal.metric
ON_FOLDS = replace(TASK, folds=True)
Key = tuple[int, int]


def config(units: int) -> Config:
    return Config.model_validate(
        {
            "network": {"layers": [{"units": units}]},
            "optimization": {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 32},
            "training": {"epochs": 9},
        }
    )


def a_study(scores: Sequence[float], presets: Mapping[int, str] | None = None) -> optuna.Study:
    """Completed trials with these scores, numbered from 0, each with a config of its own."""
    study = new_study()
    for number, score in enumerate(scores):
        add(study, score, preset=(presets or {}).get(number, ""))
    return study


def add(study: optuna.Study, score: float, **changes: Any) -> None:
    trial = study.ask()
    record = Record(
        config(4 + trial.number).model_dump(mode="json", exclude_none=True),
        seed=studies.seed_of(0, trial.number),
        state="completed",
        epoch=9.0,
        best={"epoch": 9.0, METRIC: score},
        n_parameters=100 + trial.number,
    )
    record = replace(record, **changes)
    studies.write(study, trial, record)
    studies.tell(study, trial, record)


def attempt_of(job: FakeJob) -> Key:
    """Trial and draw that a job is for."""
    _, _, draw, number = job.segment.key.split("/")
    return int(number), int(draw)


class DrawingEngine(FakeEngine):
    """Workers whose scores depend on trial and draw; faults are by trial, draw and job."""

    def __init__(
        self,
        score: Callable[[int, int], float] = lambda *_: 0.5,
        *,
        faults: Mapping[tuple[int, int, int], Fault] | None = None,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self._score, self._drawn_faults = score, faults or {}
        self._n_drawn: dict[Key, int] = {}

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Any) -> FakeJob:
        job = super().submit(work, *arguments, near=near)
        key = attempt_of(job)
        count = self._n_drawn.get(key, 0)
        self._n_drawn[key] = count + 1
        job.fault = self._drawn_faults.get((*key, count))
        return job

    def _trained(self, job: FakeJob) -> SegmentResult:
        self._curve = lambda _: [self._score(*attempt_of(job))] * 100
        return super()._trained(job)

    @property
    def begun(self) -> list[Key]:
        """Trainings in the order of their beginning."""
        return list(dict.fromkeys(attempt_of(job) for job in self.sent))


@dataclass
class Log:
    """MLflow as the finalists see it."""

    runs: dict[str, tuple[str, int, int, Record, Mapping[str, bytes]]] = field(
        default_factory=dict
    )
    down: bool = False

    def finalist(
        self,
        name: str,
        number: int,
        draw: int,
        record: Record,
        artifacts: Mapping[str, bytes],
    ) -> str:
        if self.down:
            return ""
        run_id = f"run-{len(self.runs)}"
        self.runs[run_id] = (name, number, draw, record, artifacts)
        return run_id


@dataclass
class View:
    """Remembers what it is shown; `stop_at` is the look after which the user wants an end."""

    stop_at: int | None = None
    n_looks: int = 0
    trained: list[Key] = field(default_factory=list)
    out: list[int] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    without_time: list[Key] = field(default_factory=list)

    def update_finalists(self, training: FinalistTraining) -> None:
        self.n_looks += 1

    def retrained(self, attempt: Attempt) -> None:
        self.trained.append(attempt.key)

    def gave_up(self, attempt: Attempt, message: str) -> None:
        self.given_up.append(message)

    def no_time(self, attempt: Attempt, seconds: float) -> None:
        self.without_time.append(attempt.key)

    def dropped(self, number: int) -> None:
        self.out.append(number)

    def stopped(self) -> bool:
        return self.stop_at is not None and self.n_looks >= self.stop_at


@dataclass
class Ran:
    training: FinalistTraining
    log: Log
    view: View
    spent: WorkerTime
    clock: FakeClock


def run(
    study: optuna.Study,
    engine: FakeEngine,
    *,
    task: Task = TASK,
    log: Log | None = None,
    view: View | None = None,
    clock: FakeClock | None = None,
    **settings: Any,
) -> Ran:
    log, view, clock, spent = log or Log(), view or View(), clock or FakeClock(), WorkerTime()
    training = FinalistTraining(
        task,
        study,
        engine,
        Settings(**settings),
        data_digest="abc",
        log=log,
        view=view,
        spent=spent,
        stopped=view.stopped,
        started=0.0,
        clock=clock,
    )
    training.run()
    return Ran(training, log, view, spent, clock)


def luck(number: int, draw: int) -> float:
    """Scores that are near to each other, whoever is first."""
    return 0.9 + 0.01 * math.sin(7 * number + 3 * draw)


# Who is trained again


@pytest.mark.parametrize(
    ("presets", "count", "chosen"),
    [
        ({}, 2, [1, 2]),
        ({}, 9, [1, 2, 0, 3]),
        ({}, 0, []),
        ({3: "mnist_le_net", 0: "mnist_conv_net"}, 2, [1, 2, 0]),
        ({3: "mnist t004"}, 2, [1, 2]),
        ({2: "mnist_le_net"}, 2, [1, 2]),
        ({2: "mnist_le_net"}, 0, []),
    ],
)
def test_the_best_trials_and_the_best_preset_are_finalists(
    presets: dict[int, str], count: int, chosen: list[int]
) -> None:
    study = a_study([0.7, 0.9, 0.8, 0.6], presets)
    add(study, 0.99, state="pruned")
    add(study, 0.99, state="failed", cause="diverged")
    assert [number for number, _ in select(study, count)] == chosen


def test_no_config_is_a_finalist_twice() -> None:
    study = a_study([0.7, 0.9])
    add(study, 0.8, config=studies.read(study.trials[1]).config)  # type: ignore[union-attr]
    assert [number for number, _ in select(study, 5)] == [1, 0]


def test_without_a_completed_trial_nothing_is_done() -> None:
    study, engine = new_study(), DrawingEngine()
    ran = run(study, engine)
    assert engine.sent == []
    assert ran.training.n_trained == 0
    assert verdict(study) is None


@pytest.mark.parametrize(
    ("task", "draws", "expected"),
    [(TASK, None, 3), (ON_FOLDS, None, 10), (TASK, 7, 7), (ON_FOLDS, 2, 2)],
)
def test_the_plan_goes_round_by_round(task: Task, draws: int | None, expected: int) -> None:
    study = a_study([0.7, 0.9])
    planned = plan(study, task, Settings(draws=draws))
    assert [each.key for each in planned] == [
        (number, draw) for draw in range(expected) for number in (1, 0)
    ]
    divisions = [each.division for each in planned[::2]]
    assert divisions == (list(range(expected)) if task.folds else ["search"] * expected)


def test_all_configs_have_the_same_fresh_seeds() -> None:
    study = a_study([0.7, 0.9, 0.8])
    planned = plan(study, TASK, Settings(seed=3, draws=4))
    by_draw = [{each.record.seed for each in planned if each.draw == draw} for draw in range(4)]
    assert by_draw == [{seed_of(3, draw)} for draw in range(4)]
    assert len({seed_of(3, draw) for draw in range(100)}) == 100
    assert not {seed_of(3, n) for n in range(100)} & {studies.seed_of(3, n) for n in range(2000)}


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, None),
        ({"budget_seconds": 100.0}, 75.0),
        ({"budget_seconds": 100.0, "finalists": 0}, 100.0),
    ],
)
def test_a_quarter_of_a_budget_is_kept_for_finalists(
    settings: dict[str, Any], seconds: float | None
) -> None:
    assert trial_budget(Settings(**settings)) == seconds


@pytest.mark.parametrize(
    ("seconds", "first"),
    [
        (math.inf, [2, 1, 0, 2, 1, 0, 2, 1, 0]),
        (60.0, [2, 1, 0, 2, 1, 0, 2, 1, 0]),
        (59.0, [2, 1, 2, 1, 0, 0, 2, 1, 0]),
        (1.0, [2, 1, 2, 1, 0, 0, 2, 1, 0]),
    ],
)
def test_in_a_short_time_fewer_configs_meet_on_two_draws(seconds: float, first: list[int]) -> None:
    study = new_study()
    for score in (0.7, 0.8, 0.9):
        add(study, score, worker_seconds=10.0)
    planned = plan(study, TASK, Settings(draws=3))
    ordered = most_telling_first(planned, seconds)
    assert [each.number for each in ordered] == first
    assert sorted(each.key for each in ordered) == sorted(each.key for each in planned)


def test_what_cannot_end_in_time_is_not_begun() -> None:
    study = new_study()
    add(study, 0.9, worker_seconds=10.0)
    add(study, 0.8, worker_seconds=100.0)
    engine = DrawingEngine()
    ran = run(study, engine, clock=FakeClock(), budget_seconds=50.0)
    assert {number for number, _ in engine.begun} == {0}
    assert ran.training.n_open == 3  # which the same command begins with more time


def test_without_time_for_the_best_no_other_becomes_the_winner() -> None:
    study = new_study()
    add(study, 0.9, worker_seconds=100.0)
    add(study, 0.8, worker_seconds=10.0)
    engine = DrawingEngine()
    ran = run(study, engine, clock=FakeClock(), budget_seconds=50.0)
    assert engine.begun == []
    assert ran.view.without_time == [(0, 0)]
    assert winner(study)[0] == 0


def test_a_retraining_has_a_name_for_people() -> None:
    study = a_study([0.9])
    assert plan(study, TASK, Settings())[0].name == "t000 seed 1"
    assert plan(study, ON_FOLDS, Settings())[9].name == "t000 fold 10"


# Their training


@pytest.mark.parametrize("n_workers", [1, 2, 5])
@pytest.mark.parametrize("deterministic", [False, True])
def test_every_finalist_is_trained_on_every_draw(n_workers: int, *, deterministic: bool) -> None:
    study = a_study([0.7, 0.9, 0.8])
    engine = DrawingEngine(luck, n_workers=n_workers, choose=shuffled(n_workers))
    ran = run(study, engine, deterministic=deterministic)
    assert engine.begun == [(n, d) for d in range(3) for n in (1, 2, 0)]
    stored = {(r.number, r.draw): r for r in retrainings(study)}
    assert set(stored) == set(engine.begun)
    for key, each in stored.items():
        assert each.last[METRIC] == luck(*key)
        assert (each.epochs, each.cause, each.seed) == (9.0, "", seed_of(0, key[1]))
        assert ran.log.runs[each.run_id][1:3] == key
    assert engine.most_training == min(n_workers, 9)
    assert missing(study, TASK, Settings()) == []
    assert sorted(ran.view.trained) == sorted(stored)


def test_a_retraining_goes_to_its_last_epoch_without_rungs() -> None:
    study, engine = a_study([0.9]), DrawingEngine(rows_per_segment=4)
    run(study, engine, draws=1)
    segments = [job.segment for job in engine.sent]
    assert [segment.begin for segment in segments] == [0, 4, 8, 9]
    assert {segment.until for segment in segments} == {9.0}
    assert {segment.checkpoint for segment in segments} == {None}  # the worker has the session
    assert [job.work for job in engine.sent] == [train_segment] * 3 + [finish_trial]
    assert {segment.seed for segment in segments} == {seed_of(0, 0)}
    assert {segment.division for segment in segments} == {"search"}


def test_folds_are_the_division_of_the_rows() -> None:
    study, engine = a_study([0.9]), DrawingEngine(luck)
    run(study, engine, task=ON_FOLDS, draws=6)
    divisions = {job.segment.division for job in engine.sent}
    assert divisions == set(range(6))


def test_it_trains_the_whole_schedule_and_the_last_row_counts() -> None:
    study = new_study()
    patient = config(4).model_dump(mode="json", exclude_none=True)
    patient["training"] = {**patient["training"], "patience": 2}
    add(study, 0.9, config=patient)
    ran = run(study, DrawingEngine(), draws=1)
    (only,) = retrainings(study)
    assert (only.epochs, only.last["epoch"]) == (9.0, 9.0)  # the first row has the best score
    assert ran.log.runs[only.run_id][3].note == "all epochs trained"


def test_what_stopped_early_is_expected_to_take_the_time_of_all_epochs() -> None:
    study = new_study()
    add(study, 0.9, epoch=3.0, worker_seconds=12.0)
    assert [attempt.expected_seconds for attempt in plan(study, TASK, Settings(draws=1))] == [36]


def test_the_log_gets_all_rows_the_artifacts_and_a_name() -> None:
    study = a_study([0.9])
    ran = run(study, DrawingEngine(rows_per_segment=4), draws=1)
    (shown,) = ran.log.runs.values()
    name, number, draw, record, artifacts = shown
    assert (name, number, draw, record.state) == ("t000 seed 1", 0, 0, "completed")
    assert [row["epoch"] for row in record.rows] == list(range(1, 10))
    assert record.summary == "a network"
    assert json.loads(artifacts["model.keras"])["epoch"] == 9.0


def test_clear_losers_are_dropped_after_the_second_round() -> None:
    study = a_study([0.9, 0.8, 0.7])

    def score(number: int, draw: int) -> float:
        return 0.5 + 0.001 * draw + 0.0001 * number * draw if number == 2 else luck(0, draw)

    engine = DrawingEngine(score)
    ran = run(study, engine, draws=4)
    assert [draw for number, draw in engine.begun if number == 2] == [0, 1]
    assert ran.view.out == [2]
    assert missing(study, TASK, Settings(draws=4)) == []
    found = verdict(study)
    assert found is not None
    assert [standing.dropped for standing in found.standings] == [False, False, True]


def test_who_was_dropped_is_not_trained_by_the_next_search() -> None:
    study = a_study([0.9, 0.8])
    engine = DrawingEngine(lambda number, draw: 0.9 - 0.3 * number + 0.001 * draw * number)
    run(study, engine, draws=3)
    again = DrawingEngine()
    run(study, again, draws=3)
    assert again.sent == []
    assert len(retrainings(study)) == 5


def test_the_same_command_trains_only_what_is_missing() -> None:
    study = a_study([0.9, 0.8, 0.7])
    first = run(study, DrawingEngine(luck), view=View(stop_at=4))
    before = {r.number: r for r in retrainings(study)}
    assert 0 < first.training.n_trained < 9
    engine = DrawingEngine(luck)
    run(study, engine)
    assert not set(first.view.trained) & set(engine.begun)
    assert len(retrainings(study)) == 9
    assert all(each in retrainings(study) for each in before.values())


@pytest.mark.parametrize(
    ("settings", "added"),
    [
        ({"draws": 4}, {(0, 3), (1, 3)}),
        ({"finalists": 3}, {(2, 0), (2, 1), (2, 2)}),
        ({"draws": 2}, set()),
        ({"finalists": 1}, set()),
        ({"finalists": 0}, set()),
    ],
)
def test_other_settings_train_what_is_new(settings: dict[str, Any], added: set[Key]) -> None:
    study = a_study([0.9, 0.8, 0.7])
    run(study, DrawingEngine(luck), finalists=2)
    engine = DrawingEngine(luck)
    run(study, engine, **{"finalists": 2, **settings})
    assert set(engine.begun) == added


@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_budget_ends_it_and_what_is_there_counts(n_workers: int) -> None:
    study, clock = a_study([0.9, 0.8]), FakeClock()
    engine = DrawingEngine(luck, n_workers=n_workers, clock=clock, seconds_per_job=10)
    ran = run(study, engine, clock=clock, budget_seconds=45.0)
    assert 0 < len(retrainings(study)) < 6
    assert clock.now <= 45 + 20 + CLOSING_SECONDS
    assert {each.run_id for each in retrainings(study)} == set(ran.log.runs)
    assert verdict(study) is not None
    assert missing(study, TASK, Settings())


def test_a_spent_budget_trains_nothing() -> None:
    study, clock, engine = a_study([0.9]), FakeClock(), DrawingEngine()
    clock.now = 100.0
    run(study, engine, clock=clock, budget_seconds=100.0)
    assert engine.sent == []


def test_stopping_leaves_what_has_not_ended_for_the_next_search() -> None:
    study = a_study([0.9])
    engine = DrawingEngine(luck, rows_per_segment=1)
    ran = run(study, engine, view=View(stop_at=3))
    assert ran.training.n_trained == 0
    assert ran.log.runs == {}
    assert len(missing(study, TASK, Settings())) == 3


def test_artifacts_in_the_making_are_waited_for() -> None:
    study = a_study([0.9])
    # The first look comes after the training, when its artifacts are being made.
    ran = run(study, DrawingEngine(luck), view=View(stop_at=1))
    (only,) = retrainings(study)
    assert "model.keras" in ran.log.runs[only.run_id][4]


def test_a_crash_is_tried_again_from_the_checkpoint() -> None:
    study = a_study([0.9])
    engine = DrawingEngine(luck, faults={(0, 0, 1): "lost"}, rows_per_segment=4)
    run(study, engine, draws=1)
    (only,) = retrainings(study)
    assert (only.cause, only.epochs) == ("", 9.0)
    again = engine.sent[2].segment
    assert again.begin == 4
    assert again.checkpoint is not None


@pytest.mark.parametrize("fault", ["lost", ValueError("a bug")])
def test_after_a_second_crash_it_is_left_to_the_next_search(fault: Fault) -> None:
    study = a_study([0.9, 0.8])
    engine = DrawingEngine(luck, faults={(0, 1, 0): fault, (0, 1, 1): fault})
    ran = run(study, engine)
    assert len(ran.view.given_up) == 1
    assert [each.key for each in missing(study, TASK, Settings())] == [(0, 1)]
    run(study, DrawingEngine(luck))
    assert missing(study, TASK, Settings()) == []


def test_crashes_in_a_row_end_it() -> None:
    study, bug = a_study([0.9, 0.8]), ValueError("broken")
    faults: dict[tuple[int, int, int], Fault] = {
        (n, d, i): bug for n in range(2) for d in range(3) for i in range(2)
    }
    with pytest.raises(BrokenSearchError, match=f"{CRASHES_IN_A_ROW} finalists.*broken"):
        run(study, DrawingEngine(faults=faults))
    assert retrainings(study) == []


def test_a_session_that_was_lost_is_made_from_the_checkpoint() -> None:
    study = a_study([0.9])
    engine = DrawingEngine(luck, faults={(0, 0, 1): "session"}, rows_per_segment=4)
    run(study, engine, draws=1)
    assert retrainings(study)[0].epochs == 9.0


@pytest.mark.parametrize(
    ("cause", "fault"),
    [
        ("diverged", None),
        ("out of memory", "memory"),
        ("timed out", "hang"),
        ("out of memory", SegmentFailure("out of memory", "too large")),
    ],
)
def test_a_failure_of_the_config_is_stored_and_it_cannot_win(
    cause: str, fault: Fault | None
) -> None:
    study, clock = a_study([0.9, 0.8]), FakeClock()
    faults = {} if fault is None else {(0, 0, 0): fault}

    def score(number: int, draw: int) -> float:
        return math.nan if fault is None and (number, draw) == (0, 0) else luck(number, draw)

    engine = DrawingEngine(score, faults=faults, clock=clock)
    ran = run(study, engine, clock=clock, timeout_seconds=60.0)
    failed = next(each for each in retrainings(study) if each.cause)
    assert (failed.number, failed.draw, failed.cause, failed.last) == (0, 0, cause, {})
    assert ran.log.runs[failed.run_id][3].state == "failed"
    assert [key for key in engine.begun if key[0] == 0] == [(0, 0)]
    found = verdict(study)
    assert found is not None
    assert found.winner.number == 1
    assert f"t000 failed on 1 of 1 fresh seed ({cause}), so it cannot win." in verdict_lines(study)


def test_bad_data_on_a_worker_end_it() -> None:
    study = a_study([0.9])
    with pytest.raises(InputError, match="other files"):
        run(study, DrawingEngine(faults={(0, 0, 0): InputError("other files.")}))


def test_a_log_that_is_down_harms_nothing() -> None:
    study, log = a_study([0.9, 0.8]), Log(down=True)
    run(study, DrawingEngine(luck), log=log)
    assert len(retrainings(study)) == 6
    assert {each.run_id for each in retrainings(study)} == {""}
    assert verdict(study) is not None


def test_a_run_without_its_model_is_not_remembered() -> None:
    """An export takes the model from the run that is named."""
    study = a_study([0.9])
    lost: dict[tuple[int, int, int], Fault] = {(0, 0, 1): "lost", (0, 0, 2): "lost"}
    ran = run(study, DrawingEngine(luck, faults=lost), draws=1)
    (only,) = retrainings(study)
    assert only.run_id == ""
    assert len(ran.log.runs) == 1


def test_its_training_counts_as_the_workers_training() -> None:
    study, clock = a_study([0.9, 0.8]), FakeClock()
    engine = DrawingEngine(luck, clock=clock, seconds_per_job=2)
    spent = run(study, engine, clock=clock).spent
    assert spent.training == 6 * 9
    assert spent.idle == 0


def test_the_workers_of_the_trials_train_the_finalists(tmp_path: Path) -> None:
    """With what an interrupted search has left on a worker: its answer is no finalist's."""
    study, clock = new_study(), FakeClock()
    engine = FakeEngine(flat({0: 0.9, 1: 0.95, 2: 0.97}), clock=clock, choose=in_order)
    coordinator = Coordinator(
        TASK,
        SPACE,
        study,
        engine,
        Settings(runs_dir=tmp_path, trials=3),
        training=TASK.training,
        data_digest="abc",
        log=FakeLog(),
        view=SilentView(stop_at=14),
        clock=clock,
    )
    coordinator.run()
    assert engine._open
    run(study, engine, clock=clock, draws=2, finalists=1)
    assert [(each.number, each.draw) for each in retrainings(study)] == [(1, 0), (1, 1)]


def test_a_real_search_ends_with_its_finalists_in_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    digits, console = TASKS["digits"], Console(file=io.StringIO(), width=80, record=True)
    # Before the first rung no trial is pruned: all are completed.
    settings = Settings(trials=3, epochs=2, workers=2, finalists=2, draws=2, runs_dir=tmp_path)
    arguments = (digits, digits.space, settings, digits.load(None), "a machine", console, "test")
    assert run_search(*arguments)
    study = studies.find_study(settings, "digits", None)
    stored = retrainings(study)
    numbers = [number for number, _ in select(study, 2)]
    assert {(each.number, each.draw) for each in stored} == {
        (number, draw) for number in numbers for draw in range(2)
    }
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    for each in stored:
        child = client.get_run(each.run_id)
        assert child.info.status == "FINISHED"
        assert child.data.metrics["best_val_accuracy"] == each.last[METRIC]
        tags = {"stage": "finalist", "trial": str(each.number), "draw": str(each.draw)}
        assert tags.items() <= child.data.tags.items()
        assert child.info.run_name == f"t{each.number:03d} fold {each.draw + 1}"
        files = {file.path for file in client.list_artifacts(each.run_id)}
        assert {"model.keras", "curves.png", "history.csv", "config.yaml"} <= files
    parent = client.get_run(child.data.tags["mlflow.parentRunId"])
    found = verdict(study)
    assert found is not None
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["finalist_mean_val_accuracy"] == found.winner.mean
    assert parent.data.tags["winner"] == f"t{found.winner.number:03d}"
    assert "finalists.csv" in {file.path for file in client.list_artifacts(parent.info.run_id)}

    printed = console.export_text()
    assert printed.count("\nfinalist t") == 4
    assert "Finalists: val_accuracy on folds" in printed
    assert run_search(*arguments)
    assert "3 trials finished already" in console.export_text()
    assert retrainings(studies.find_study(settings, "digits", None)) == stored


# What is said of them


def judged(task: str = "fake") -> optuna.Study:
    study = a_study([0.9321, 0.93, 0.91], {2: "mnist_conv_net"})
    study.set_user_attr("task", task)
    scores = [[0.929, 0.930, 0.928], [0.921, 0.922, 0.9205], [0.80, 0.801]]
    for number, own in enumerate(scores):
        for draw, score in enumerate(own):
            best = {"epoch": 9.0, METRIC: score}
            store(study, Retraining(number, draw, draw, best, 9.0, 12.0 + number))
    return study


def shown(study: optuna.Study) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(finalists_table(study))
    return console.export_text().splitlines()


def test_the_table_has_a_line_a_finalist_in_80_columns() -> None:
    lines = shown(judged())
    assert lines[0].strip() == "Finalists: val_accuracy on fresh seeds"
    assert max(len(line) for line in lines) <= 80
    first, second = (next(line for line in lines if name in line) for name in ("t000", "t001"))
    assert first.split()[:5] == ["1", "t000", "0.9290", "±", "0.0010"]
    assert first.split()[7:11] == ["3", "100", "12", "mlp"]
    assert second.split()[7:10] == ["3", "-0.0078", "101"]
    (dropped,) = (line for line in lines if "t002" in line)
    assert dropped.split()[0] == "-"


def test_wide_values_stay_in_80_columns() -> None:
    study = new_study()
    for score in (0.9, 0.8):
        add(study, score, n_parameters=123_456_789, preset="mnist_conv_net_augmented")
    run(study, DrawingEngine(lambda number, draw: -0.5 - luck(number, draw)), draws=10)
    assert max(len(line) for line in shown(study)) <= 80


def test_the_lines_say_who_won_and_how_far_the_search_flattered_its_best() -> None:
    study = judged()
    outcome, promise = verdict_lines(study)
    assert outcome.startswith(
        "t000 is the best: mean val_accuracy 0.9290 over 3 fresh seeds, 0.0078 better than t001"
        " (95 % interval 0.00"
    )
    assert promise == (
        "t000, the search's best, scored 0.9321 in the search and 0.9290 ± 0.0010 on 3 fresh"
        " seeds: the search flattered it by 0.0031."
    )


def test_on_folds_the_lines_speak_of_folds() -> None:
    assert "over 3 folds" in verdict_lines(judged("digits"))[0]
    assert shown(judged("digits"))[0].strip() == "Finalists: val_accuracy on folds"


def test_a_tie_says_why_which_was_taken() -> None:
    study = a_study([0.9, 0.8])
    run(study, DrawingEngine(lambda number, draw: luck(number + 1, draw)))
    outcome = verdict_lines(study)[0]
    assert "are tied: their means of val_accuracy differ by" in outcome
    assert outcome.endswith("t000 was taken: it has fewer weights (100 against 101).")


def test_one_draw_of_two_gives_no_interval() -> None:
    study = a_study([0.9, 0.8])
    run(study, DrawingEngine(luck), draws=1)
    assert "(too few draws for an interval)" in verdict_lines(study)[0]
    assert "± -" in shown(study)[2]


def test_a_single_finalist_is_called_so() -> None:
    study = a_study([0.9])
    run(study, DrawingEngine(luck))
    assert verdict_lines(study)[0].startswith(
        "t000 is the only finalist: mean val_accuracy 0.8995"
    )


def test_finalists_that_all_failed_are_told() -> None:
    study = a_study([0.9, 0.8])
    run(study, DrawingEngine(lambda *_: math.nan), draws=1)
    first, *failures = verdict_lines(study)
    assert first == (
        "No finalist could be trained on a fresh seed: t000, the search's best, is kept."
    )
    assert failures == [f"t00{n} failed on 1 of 1 fresh seed (diverged)." for n in (0, 1)]
    assert max(len(line) for line in shown(study)) <= 80


def test_without_finalists_nothing_is_said() -> None:
    study = a_study([0.9])
    assert verdict_lines(study) == []
    assert finalists_table(study) is None
    assert summary(study) == ({}, {}, {})


def test_the_studys_run_gets_mean_winner_verdict_and_a_file() -> None:
    study = judged()
    metrics, tags, artifacts = summary(study)
    assert metrics == {"finalist_mean_val_accuracy": pytest.approx(0.929)}
    assert tags == {"winner": "t000", "verdict": " ".join(verdict_lines(study))}
    rows = list(csv.DictReader(io.StringIO(artifacts["finalists.csv"].decode())))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert [row["draw_2"] for row in rows] == ["0.928", "0.9205", ""]
    assert rows[0]["in_search"] == "0.9321"


def test_the_line_of_a_retraining_that_ended() -> None:
    study = a_study([0.9])
    attempt = plan(study, TASK, Settings())[0]
    attempt.record = replace(attempt.record, epoch=12.0, best={METRIC: 0.93123})
    line = retrained_line(attempt, METRIC).plain
    assert line == "finalist t000 seed 1  0.9312 at epoch 12   mlp d4 sgd"
    attempt.fail("diverged", "the loss was no number at epoch 12")
    assert "failed at epoch 12" in retrained_line(attempt, METRIC).plain
    assert retrained_line(attempt, METRIC).plain.endswith(": the loss was no number at epoch 12")
