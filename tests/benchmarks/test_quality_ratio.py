"""Ratios of times to a score, of which some were never reached."""

import math

import numpy as np
import pytest

from benchmarks.quality_cases import OURS, PLAIN, Case
from benchmarks.quality_ratio import interval, sooner
from benchmarks.quality_results import Result

NEVER = math.inf


def runs(system: str, *seconds: float) -> list[Result]:
    """One a seed, that reaches the score 1 after so long."""
    return [
        Result(Case("churn", system, PLAIN, seed), [(each, 1.0 if each < NEVER else 0.5)])
        for seed, each in enumerate(seconds)
    ]


@pytest.mark.parametrize(
    ("ours", "others", "text"),
    [
        ((10, 10, 10), (50, 50, 50), "5.0x (5.0-5.0)"),
        ((10, 10), (50, 50), "5.0x"),
        ((10, 10, 10), (NEVER, NEVER, NEVER), ">10.0x (10.0-inf)"),
        ((NEVER, NEVER, NEVER), (50, 50, 50), "<0.5x (0.0-0.5)"),
        ((NEVER, 10, NEVER), (50, NEVER, 50), "<0.5x"),
        ((NEVER, NEVER, NEVER), (NEVER, NEVER, NEVER), ""),
        ((10, 20), (), ""),
        ((10,), (30, 90), "3.0x"),
    ],
    ids=[
        *("sure", "few seeds", "theirs never", "ours never", "nothing known", "both never"),
        *("not run", "seeds of both"),
    ],
)
def test_what_is_said_of_a_ratio(
    ours: tuple[float, ...], others: tuple[float, ...], text: str
) -> None:
    assert sooner(runs(OURS, *ours), runs("optuna", *others), 1.0, 100.0) == text


def test_seeds_are_drawn_in_pairs() -> None:
    """On each seed they take five times as long: luck that both share leaves no doubt."""
    mine = np.array([1.0, 3.0, 10.0, 30.0, 100.0])
    assert interval(mine, 5 * mine, 1000.0) == pytest.approx((5.0, 5.0))


def test_runs_that_never_got_there_leave_a_side_of_the_interval_open() -> None:
    mine, theirs = np.full(5, 10.0), np.array([40.0, 50.0, 60.0, 70.0, 80.0])
    low, high = interval(mine, theirs, 100.0)
    stopped = np.where(theirs > 60, NEVER, theirs)
    assert interval(mine, stopped, 100.0) == (low, NEVER)
    assert high < NEVER
    slowest, fastest = interval(np.where(theirs > 60, NEVER, mine), theirs, 100.0)
    assert slowest == 0.0
    assert 1.0 < fastest < high
