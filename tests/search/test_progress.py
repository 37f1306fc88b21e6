"""How far a search is, in lines."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from search.progress import best_line, counts, seconds_left, status
from tests.fake_engine import FakeEngine, flat
from tests.fakes import TASK
from tests.search.conftest import Make, Searched

METRIC = TASK.goal.metric


def test_the_status_counts_and_names_the_best(searched: Searched) -> None:
    coordinator = searched(flat({0: 0.9, 1: 0.1, 2: math.nan, 3: 0.95}), trials=4)
    so_far, time, best = status(coordinator)
    assert so_far.plain == "4 of 4 trials (2 completed, 1 pruned, 1 failed)"
    assert time.plain.endswith(", 0/2 busy")
    assert best.plain.startswith(f"best {METRIC} 0.9500 by t003 ")


def test_where_a_budget_alone_decides_no_total_is_named(make: Make) -> None:
    coordinator = make(FakeEngine(), trials=None, budget_seconds=60.0)
    assert counts(coordinator) == "0 trials"


def test_before_a_trial_has_completed_there_is_no_best(searched: Searched) -> None:
    assert best_line(searched(stop_at=1).book.best, METRIC).plain == "no trial has completed yet"


@pytest.mark.parametrize(
    ("elapsed", "ended", "finished", "most", "budget", "expected"),
    [
        (100, 0, 0, 10, None, None),
        (100, 4, 4, 10, None, 150),
        (100, 4, 8, 10, None, 50),
        (100, 4, 10, 10, None, 0),
        (100, 0, 0, 10, 300, 200),
        (100, 4, 4, 10, 300, 150),
        (100, 4, 4, 10, 110, 10),
        (100, 4, 4, 10, 90, 0),
        (0, 4, 4, math.inf, 300, 300),
    ],
)
def test_seconds_left(
    elapsed: float,
    ended: int,
    finished: int,
    most: float,
    budget: float | None,
    expected: float | None,
) -> None:
    coordinator: Any = SimpleNamespace(
        elapsed=elapsed,
        seconds_left=None if budget is None else budget - elapsed,
        settings=SimpleNamespace(most_trials=most),
        book=SimpleNamespace(n_ended_here=ended, n_finished=finished),
    )
    assert seconds_left(coordinator) == expected
