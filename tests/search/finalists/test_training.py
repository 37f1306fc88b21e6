"""The rounds of retrainings, on scripted workers."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from rich.console import Console

from pipelines.segment import finish_trial, train_segment
from pipelines.tasks import TASKS
from search import study as studies
from search.coordinator import Coordinator
from search.dispatch import CLOSING_SECONDS
from search.finalists.selection import missing, seed_of, select
from search.finalists.verdict import chosen as winner
from search.finalists.verdict import retrainings, verdict
from search.run import run_search
from search.settings import Settings
from tests.fake_engine import FakeClock, FakeEngine, flat, in_order, shuffled
from tests.fakes import SPACE, TASK, FakeLog, SilentView, new_study
from tests.search.finalists.scripted import (
    METRIC,
    DrawingEngine,
    Key,
    View,
    a_study,
    add,
    config,
    luck,
    run,
)

ON_FOLDS = replace(TASK, folds=True)


def test_without_a_completed_trial_nothing_is_done() -> None:
    study, engine = new_study(), DrawingEngine()
    ran = run(study, engine)
    assert engine.sent == []
    assert ran.training.n_trained == 0
    assert verdict(study) is None


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


def test_of_a_loser_that_has_all_its_draws_nothing_is_said_before_the_verdict() -> None:
    study = a_study([0.9, 0.8])
    ran = run(study, DrawingEngine(lambda number, _: 0.9 - 0.1 * number), draws=2)
    assert ran.view.out == []
    found = verdict(study)
    assert found is not None
    assert [standing.dropped for standing in found.standings] == [False, True]


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


def test_what_was_in_training_when_the_time_was_up_is_told() -> None:
    study, clock = a_study([0.9]), FakeClock()
    engine = DrawingEngine(luck, clock=clock, faults={(0, 0, 0): "hang"})
    ran = run(study, engine, clock=clock, budget_seconds=50.0)
    assert ran.spent.cut_off == pytest.approx(50, abs=1)


def test_a_spent_budget_trains_nothing_and_that_is_told() -> None:
    study, clock, engine = new_study(), FakeClock(), DrawingEngine()
    add(study, 0.9, worker_seconds=10.0)
    clock.now = 100.0
    ran = run(study, engine, clock=clock, budget_seconds=100.0)
    assert engine.sent == []
    assert ran.view.without_time == [(0, 0)]


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
