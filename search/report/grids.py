"""Where in its domain a value lies, and the values at which an effect is looked at."""

import math
from collections.abc import Sequence

import numpy as np

from spaces.domains import Choice, Domain, Float, Int, Value

N_GRID = 13


def position(domain: Domain, value: Value) -> float:
    """From 0 to 1, or a choice's number; a zero below a log range lies below 0."""
    if isinstance(domain, Choice):
        return float(domain.values.index(value))
    number, low, high = float(value), float(domain.low), float(domain.high)
    if domain.log:
        return math.log(number / low) / math.log(high / low)
    return (number - low) / (high - low)


def grid_of(domain: Domain, tried: Sequence[Value]) -> tuple[Value, ...]:
    """The values at which an effect is looked at, within what was tried; stored as Optuna does."""
    if isinstance(domain, Choice):
        return tuple(value for value in domain.values if value in tried)
    low, high = min(map(float, tried)), max(map(float, tried))
    if isinstance(domain, Int) and high - low < N_GRID:
        return tuple(range(int(low), int(high) + 1))
    if isinstance(domain, Float) and domain.zero and low < domain.low <= high:
        # Zero is one point and not a part of the range.
        return low, *_between(domain, max(domain.low, low), high, N_GRID - 1)
    return _between(domain, low, high, N_GRID)


def meant(domain: Domain, stored: Value) -> Value:
    """The value that a config has where Optuna stores `stored`: they differ for a Float's zero."""
    if isinstance(domain, Float) and domain.zero and float(stored) < domain.low:
        return 0.0
    return stored


def nearest(domain: Domain, grid: Sequence[Value], value: Value) -> int:
    """Index of the grid's value that lies next."""
    own = position(domain, value)
    return int(np.argmin([abs(position(domain, each) - own) for each in grid]))


def _between(domain: Int | Float, low: float, high: float, count: int) -> tuple[Value, ...]:
    points = np.geomspace(low, high, count) if domain.log else np.linspace(low, high, count)
    # The ends of a geometric series are not always exactly what was asked for.
    points[0], points[-1] = low, high
    if isinstance(domain, Int):
        return tuple(dict.fromkeys(round(float(point)) for point in points))
    if domain.step:
        start, step = domain.low, domain.step
        points = np.array([start + round((point - start) / step) * step for point in points])
    return tuple(dict.fromkeys(float(f"{point:.6g}") for point in points))
