"""What goes wrong with a retraining, and what is left to the next search."""

import math

import pytest

from pipelines.segment import SegmentFailure
from search.dispatch import CRASHES_IN_A_ROW, BrokenSearchError
from search.finalists.selection import missing
from search.finalists.standings import verdict_lines
from search.finalists.verdict import retrainings, verdict
from search.settings import Settings
from spaces.errors import InputError
from tests.fake_engine import FakeClock, Fault
from tests.fakes import TASK
from tests.search.finalists.scripted import DrawingEngine, Log, a_study, luck, run


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
