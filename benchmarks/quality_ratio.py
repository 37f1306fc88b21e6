"""How many times sooner one system reaches a score than another, and how sure that is."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality_results import Result

LEAST_SEEDS = 3
"""Fewer have no interval."""
RESAMPLES = 10_000
SHARE = 0.95

Times = NDArray[np.float64]


def sooner(ours: Sequence[Result], others: Sequence[Result], target: float, budget: float) -> str:
    """The others' median time over ours, with its 95 % interval: `11.7x (5.1-inf)`.

    Of the seeds that both have, which the interval (a percentile bootstrap) draws in pairs, the
    target being given. Who never got there was stopped by the budget: the ratio is `>` what it
    would be with the budget in place of the others' time, or `<` with it in place of ours, and the
    ends of the interval take the one or the other, whichever is further out. Nothing can be said
    where neither median got there, and no interval is given that holds every ratio.
    """
    mine, theirs = _paired(ours, others, target)
    if not len(mine):
        return ""
    text = _ratio_text(float(np.median(mine)), float(np.median(theirs)), budget)
    if not text or len(mine) < LEAST_SEEDS:
        return text
    low, high = interval(mine, theirs, budget)
    if low == 0 and math.isinf(high):
        return text
    return f"{text} ({low:.1f}-{high:.1f})"


def interval(mine: Times, theirs: Times, budget: float) -> tuple[float, float]:
    """The ends of the ratio of medians; infinite times are those that were never reached."""
    n_seeds = len(mine)
    drawn = np.random.default_rng(0).integers(0, n_seeds, (RESAMPLES, n_seeds))
    lowest = _medians(np.minimum(theirs, budget), drawn) / _medians(mine, drawn)
    highest = _medians(theirs, drawn) / _medians(np.minimum(mine, budget), drawn)
    tail = round(RESAMPLES * (1 - SHARE) / 2)
    return float(np.sort(lowest)[tail]), float(np.sort(highest)[-1 - tail])


def _paired(
    ours: Sequence[Result], others: Sequence[Result], target: float
) -> tuple[Times, Times]:
    mine = {result.case.seed: result.reached(target) for result in ours}
    theirs = {result.case.seed: result.reached(target) for result in others}
    both = sorted(mine.keys() & theirs.keys())
    return np.array([mine[s] for s in both]), np.array([theirs[s] for s in both])


def _medians(times: Times, drawn: NDArray[np.int64]) -> Times:
    found: Times = np.median(times[drawn], axis=1)
    return found


def _ratio_text(mine: float, theirs: float, budget: float) -> str:
    if math.isinf(mine) and math.isinf(theirs):
        return ""
    if math.isinf(theirs):
        return f">{budget / mine:.1f}x"
    if math.isinf(mine):
        return f"<{theirs / budget:.1f}x"
    return f"{theirs / mine:.1f}x"
