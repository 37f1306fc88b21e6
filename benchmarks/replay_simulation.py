"""A search with parallel workers on a simulated clock."""

import heapq
import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.replay_schedulers import Run, Scheduler

N_WORKERS = 2


@dataclass
class Trace:
    """What a search would have returned, after each of its segments.

    Attributes:
        epochs: Trained by then, in all trials.
        seconds: Of CPU spent by then.
        true: Of the best completed trial; of the best one in work while none is completed.
        expected: Of the same trial, without its luck.
    """

    epochs: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    n_started: int = 0
    n_completed: int = 0

    def at(self, budget: float, spent: list[float], score: list[float]) -> float:
        """The score once `budget` was spent, or what the first segment gave."""
        return score[max(0, bisect_right(spent, budget) - 1)]


def simulate(
    scheduler: Scheduler, epochs: float, seconds: float, n_workers: int = N_WORKERS
) -> Trace:
    """Searches until `epochs` as well as `seconds` are spent, or nothing is left to train."""
    trace = Trace()
    order, now, idle = itertools.count(), 0.0, n_workers
    work: list[tuple[float, int, Run, int]] = []
    best, leading = (False, float("-inf")), None
    spent_epochs = spent_seconds = 0.0
    while spent_epochs < epochs or spent_seconds < seconds:
        while idle and (run := scheduler.next()):
            idle -= 1
            trace.n_started += run.point < 0
            until = scheduler.until(run)
            ends = now + _span(run.curve.seconds, run.point, until)
            heapq.heappush(work, (ends, next(order), run, until))
        if not work:
            break
        now, _, run, until = heapq.heappop(work)
        idle += 1
        spent_seconds += _span(run.curve.seconds, run.point, until)
        spent_epochs += _span(run.curve.epochs, run.point, until)
        run.point = until
        scheduler.reached(run)
        trace.n_completed += run.completed
        # A diverged trial leads only where there is nothing else.
        standing = (run.completed, float("-inf") if run.over > run.completed else run.score)
        if leading is None or standing > best:
            best, leading = standing, run.curve
        trace.epochs.append(spent_epochs)
        trace.seconds.append(spent_seconds)
        trace.true.append(leading.true)
        trace.expected.append(leading.expected)
    return trace


def _span(grid: Sequence[float], begin: int, until: int) -> float:
    return grid[until] - (grid[begin] if begin >= 0 else 0.0)
