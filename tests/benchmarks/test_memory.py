"""The slope of the workers' memory, told from scripted looks at them."""

import math

import pytest
from rich.console import Console

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
    assert leaky.steps == pytest.approx((2.0, 2.0))
    assert leaky.first == pytest.approx(510, abs=10)
    assert leaky.last == pytest.approx(690, abs=10)
    assert (flat.slope, flat.steps) == (0.0, (0.0, 0.0))


def test_a_leap_shows_in_the_steps_from_block_to_block() -> None:
    points = [Point(0.0, n, {7: 300 if n < 150 else 340}) for n in range(200)]
    (leap,) = memory.growth(points, 100, 200)
    assert leap.steps == (0.0, 4.0)
    assert 0.0 < leap.slope < 4.0


def test_a_worker_seen_too_shortly_has_no_slope() -> None:
    points = [*looks(20, leak=0.0), Point(0.0, 20, {11: 200, 9: 300})]
    replaced = memory.growth(points, 0, 30)[-1]
    assert (replaced.worker, replaced.since, replaced.until) == (11, 20, 20)
    assert math.isnan(replaced.slope)
    assert all(map(math.isnan, replaced.steps))


def test_workers_that_were_replaced_are_shown_as_well() -> None:
    before = [Point(0.0, n, {20: 300, 21: 310}) for n in range(60)]
    after = [Point(0.0, n, {19: 200, 21: 310}) for n in range(60, 100)]
    halves = {"0 to 100": memory.growth([*before, *after], 0, 100)}
    console = Console(width=memory.WIDTH)
    with console.capture() as captured:
        console.print(memory.show(halves))
    rows = [line.split() for line in captured.get().splitlines()[1:]]
    assert [row[3:7] for row in rows] == [
        ["1", "0", "to", "59"],
        ["2", "0", "to", "99"],
        ["3", "60", "to", "99"],
    ]
