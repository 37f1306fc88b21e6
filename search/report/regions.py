"""Where in a range an effect is best, and where it is clearly worse."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from search.report.effects import Effect
from search.report.evidence import Evidence
from search.report.grids import position
from spaces.domains import Choice, Domain, Float, Int, Value

Side = Literal["lower", "upper"]
NARROW = 1 / 3
"""Share of a range that the best values may take for its edge to be the best of it."""
NEAR = 0.05
"""Share of a range within which a value lies on its edge."""
ALIKE = 0.6
"""Losses that differ by less than this ratio are one."""

LEAST_OF_VALUE = 5
"""Trials with a choice from which on it may be called one of the best, or be taken out."""


@dataclass(frozen=True)
class Worse:
    """An end of a range, clearly worse than the best values.

    Attributes:
        start: Index of its value that lies next to the best ones.
        end: Index of the range's own end.
        steady: Whether it is equally bad all over.
        loss: Where it is steady the mean of it, else at the worst value.
        error: Half of the loss's 90 % band.
        worst: Index of the worst value.
    """

    side: Side
    start: int
    end: int
    steady: bool
    loss: float
    error: float
    worst: int


def n_by_value(effect: Effect, known: Evidence) -> Counter[Value]:
    """Trials with each choice."""
    name = effect.name
    return Counter(values[name] for values in known.values if name in values)


def best_region(effect: Effect) -> tuple[int, int]:
    """First and last index of the values around the best one that cannot be told from it."""
    first = last = effect.best
    while first > 0 and effect.good[first - 1]:
        first -= 1
    while last + 1 < len(effect.grid) and effect.good[last + 1]:
        last += 1
    return first, last


def best_edge(effect: Effect) -> Side | None:
    """The edge of the range at which the effect is best, where there may be more beyond it."""
    domain = effect.domain
    first, last = best_region(effect)
    narrow = last - first + 1 <= max(1, NARROW * len(effect.grid))
    if isinstance(domain, Choice) or not effect.clear or not narrow:
        return None
    if effect.best == 0 and not _has_nothing_below(domain):
        return "lower" if position(domain, effect.grid[0]) <= NEAR else None
    if effect.best == len(effect.grid) - 1:
        return "upper" if position(domain, effect.grid[-1]) >= 1 - NEAR else None
    return None


def worse_ends(effect: Effect) -> list[Worse]:
    """The ends of a range of which every value is clearly worse than the best one."""
    first, last = best_region(effect)
    found: list[Worse] = []
    sides: list[tuple[Side, list[int]]] = [
        ("lower", list(range(first))),
        ("upper", list(range(len(effect.grid) - 1, last, -1))),
    ]
    for side, from_the_end in sides:
        bad = []
        for index in from_the_end:
            if effect.good[index]:
                break
            bad.append(index)
        if bad:
            found.append(_worse(effect, side, bad))
    return found


def _worse(effect: Effect, side: Side, bad: list[int]) -> Worse:
    worst = max(bad, key=lambda index: effect.loss[index])
    steady = bool(effect.loss[bad].min() >= ALIKE * effect.loss[bad].max())
    return Worse(
        side=side,
        start=bad[-1],
        end=bad[0],
        steady=steady,
        loss=float(np.mean(effect.loss[bad]) if steady else effect.loss[worst]),
        error=float(np.mean(effect.error[bad]) if steady else effect.error[worst]),
        worst=worst,
    )


def _has_nothing_below(domain: Domain) -> bool:
    """Of counts one or none is the least, of rates none at all."""
    if isinstance(domain, Int):
        return domain.low <= 1
    return isinstance(domain, Float) and (domain.low == 0 or domain.zero)
