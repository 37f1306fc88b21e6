"""The slope of the workers' memory, told from scripted looks at them."""

import math

import pytest

from benchmarks import memory
from benchmarks.memory import Point


def looks(n_trials: int, *, leak: float) -> list[Point]:
    """Three looks at every number of finished trials, the last of them at a trial's peak."""
    return [
        Point(0.0, n, {7: int(300 + leak * n + peak), 9: 300 + peak})
        for n in range(n_trials)
        for peak in (0, 0, 50)
    ]


def test_growth_is_told_by_worker_and_by_trial() -> None:
    leaky, flat = memory.growth(looks(200, leak=2.0), 100, 200)
    assert (leaky.worker, flat.worker) == (7, 9)
    assert leaky.slope == pytest.approx(2.0)
    assert leaky.first == pytest.approx(510, abs=10)
    assert leaky.last == pytest.approx(690, abs=10)
    assert (flat.slope, flat.half_width) == (0.0, 0.0)


def test_a_worker_seen_too_shortly_has_no_slope() -> None:
    points = [*looks(20, leak=0.0), Point(0.0, 20, {11: 200, 9: 300})]
    assert math.isnan(memory.growth(points, 0, 30)[-1].slope)
