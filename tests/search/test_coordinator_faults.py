"""What goes wrong with a trial, a worker or the data, and what the coordinator makes of it."""

import math

import optuna
import pytest
from optuna.trial import TrialState

from pipelines.segment import SegmentFailure, finish_trial
from search.dispatch import CRASHES_IN_A_ROW, TICK_SECONDS, BrokenSearchError
from spaces.errors import InputError
from tests.fake_engine import FakeClock, FakeEngine, Fault, flat
from tests.fakes import FakeLog, new_study
from tests.search.conftest import Make, records

INFEASIBLE: list[tuple[str, dict[tuple[int, int], Fault]]] = [
    ("diverged", {}),
    ("invalid shape", {(1, 0): SegmentFailure("invalid shape", "no pixel is left")}),
    ("out of memory", {(1, 0): SegmentFailure("out of memory", "too large")}),
    ("out of memory", {(1, 0): "memory"}),
    ("timed out", {(1, 0): "hang"}),
]


@pytest.mark.parametrize(("cause", "faults"), INFEASIBLE)
def test_what_fails_for_its_config_is_infeasible_for_the_sampler(
    make: Make, cause: str, faults: dict[tuple[int, int], Fault]
) -> None:
    study, clock = new_study(), FakeClock()
    scores = {0: 0.5, 1: 0.9 if faults else math.nan, 2: 0.6}
    engine = FakeEngine(flat(scores), faults=faults, clock=clock)
    make(engine, study, clock=clock, trials=3).run()
    trial, record = study.get_trials()[1], records(study)[1]
    assert (record.state, record.cause) == ("failed", cause)
    assert record.note
    assert trial.state == TrialState.PRUNED
    assert trial.constraints == {cause: 1.0}
    assert optuna.samplers._tpe.sampler._get_infeasible_trial_score(trial) > 0
    assert records(study)[2].state == "completed"
    if cause == "timed out":
        assert engine.killed == [1]


def test_a_crash_is_tried_again_from_the_checkpoint(make: Make) -> None:
    study = new_study()
    engine = FakeEngine(flat({0: 0.5}), faults={(0, 1): "lost"})
    make(engine, study, trials=1).run()
    (record,) = records(study)
    assert (record.state, record.crashes) == ("completed", 1)
    assert [row["epoch"] for row in record.rows] == list(range(1, 10))
    again = engine.sent[2].segment
    assert again.begin == 1
    assert again.checkpoint is not None


@pytest.mark.parametrize("fault", ["lost", ValueError("a bug")])
def test_the_second_crash_fails_the_trial_and_teaches_nothing(make: Make, fault: Fault) -> None:
    study = new_study()
    engine = FakeEngine(flat({0: 0.5, 1: 0.6}), faults={(0, 1): fault, (0, 2): fault})
    make(engine, study, trials=2).run()
    trial, record = study.get_trials()[0], records(study)[0]
    assert (record.state, record.cause, record.epoch) == ("failed", "crashed", 1)
    assert trial.state == TrialState.FAIL
    assert trial.constraints == {}
    assert records(study)[1].state == "completed"


def test_a_lost_session_costs_no_more_than_sending_the_checkpoint(make: Make) -> None:
    study = new_study()
    engine = FakeEngine(flat({0: 0.5}), faults={(0, 1): "session", (0, 4): "session"})
    make(engine, study, trials=1).run()
    (record,) = records(study)
    assert (record.state, record.crashes) == ("completed", 0)
    assert [row["epoch"] for row in record.rows] == list(range(1, 10))


def test_many_trials_that_crash_in_a_row_end_the_search(make: Make) -> None:
    study, log = new_study(), FakeLog()
    bug = ValueError("broken")
    faults: dict[tuple[int, int], Fault] = {(n, i): bug for n in range(9) for i in range(2)}
    with pytest.raises(BrokenSearchError, match=f"{CRASHES_IN_A_ROW} trials in a row.*broken"):
        make(FakeEngine(faults=faults, n_workers=2), study, log, trials=9).run()
    states = [record.state for record in records(study)]
    assert states.count("failed") == CRASHES_IN_A_ROW
    assert "running" not in states
    assert {run.state for run in log.runs.values()} == set(states)
    mended = make(FakeEngine(n_workers=2), study, log, trials=9)
    mended.run()
    assert mended.book.n_finished == 9
    assert not study.get_trials(states=[TrialState.RUNNING])


def test_crashes_with_a_good_trial_between_are_bad_luck(make: Make) -> None:
    lost: dict[tuple[int, int], Fault] = {
        (n, i): "lost" for n in range(12) if n % CRASHES_IN_A_ROW for i in range(2)
    }
    coordinator = make(FakeEngine(faults=lost), trials=12)
    coordinator.run()
    assert coordinator.book.counts["failed"] == 9


def test_bad_data_on_a_worker_end_the_search(make: Make) -> None:
    study, log = new_study(), FakeLog()
    engine = FakeEngine(faults={(2, 0): InputError("other files.")}, n_workers=2)
    with pytest.raises(InputError, match="other files"):
        make(engine, study, log, trials=6).run()
    assert records(study)[2].state == "interrupted"
    assert "running" not in {run.state for run in log.runs.values()}


def test_a_silent_worker_is_restarted_and_the_others_go_on(make: Make) -> None:
    study, clock = new_study(), FakeClock()
    curve = flat({0: 0.5, 1: 0.6, 2: 0.7, 3: 0.8})
    engine = FakeEngine(curve, n_workers=2, faults={(1, 0): "hang"}, clock=clock)
    make(engine, study, clock=clock, trials=4, timeout_seconds=60.0).run()
    assert engine.killed == [1]
    assert [record.cause for record in records(study)] == ["", "timed out", "", ""]
    assert records(study)[1].note == "no sign of life for 60 seconds"
    assert clock.now < 60 + 10 * TICK_SECONDS


def test_artifacts_that_cannot_be_made_are_tried_again_by_the_next_search(make: Make) -> None:
    study, log = new_study(), FakeLog()
    # Jobs of trial 0: five segments to epoch 9, then its artifacts.
    faults: dict[tuple[int, int], Fault] = {(0, 5): "lost", (0, 6): ValueError("no font")}
    make(FakeEngine(flat({0: 0.5, 1: 0.6}), faults=faults), study, log, trials=2).run()
    assert [record.state for record in records(study)] == ["completed", "completed"]
    assert log.runs["run-0"].artifacts == {}
    assert log.runs["run-0"].state == "completed"
    engine = FakeEngine()
    make(engine, study, log, trials=2).run()
    assert [job.work for job in engine.sent] == [finish_trial]
    assert set(log.runs["run-0"].artifacts) == {"curves.png", "model.keras"}
