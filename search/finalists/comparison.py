"""Configs compared on draws: score = config + draw + luck, by least squares.

A draw is the same seed, or the same fold of the rows, for every config. Three scores say little
about their own spread: the deviation of the luck is that of all configs together.
"""

import math
import statistics
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95

Interval = tuple[float, float]
Scores = Mapping[tuple[int, int], float]
"""By number of the config's trial and draw; not a number where the training failed."""
UNKNOWN: Interval = (-math.inf, math.inf)


class Comparison:
    """Configs and draws by least squares; any may be missing for any other.

    Args:
        overlap: Rows of the validation over those of the training where draws are folds, else 0.
            Their training rows overlap, so that their scores vary less than those of fresh data
            would: Nadeau & Bengio (2003) put 1/n + this in the place of 1/n in the variance of
            a mean. Without it the intervals would be too narrow.
    """

    def __init__(self, scores: Scores, *, overlap: float) -> None:
        keys = [key for key, score in scores.items() if math.isfinite(score)]
        self._overlap = overlap
        self._own: dict[int, list[float]] = {}
        for number, draw in keys:
            self._own.setdefault(number, []).append(scores[number, draw])
        self._columns = {number: column for column, number in enumerate(self._own)}
        draws = {d: len(self._own) + i for i, d in enumerate(sorted({d for _, d in keys}))}
        self._n_columns = len(self._own) + len(draws)
        design = np.zeros((len(keys), self._n_columns))
        for row, (number, draw) in enumerate(keys):
            design[row, [self._columns[number], draws[draw]]] = 1.0
        values = np.array([scores[key] for key in keys])
        self._moments = design.T @ design
        self._inverse = np.linalg.pinv(self._moments, hermitian=True)
        self._effects = self._inverse @ design.T @ values
        self._squares = float(np.sum((values - design @ self._effects) ** 2))
        rank = int(np.linalg.matrix_rank(design)) if keys else 0
        self._freedom = len(keys) - rank

    def mean(self, number: int) -> float:
        if number not in self._own:
            return math.nan
        contrast = np.zeros(self._n_columns)
        contrast[len(self._own) :] = 1 / (self._n_columns - len(self._own))
        contrast[self._columns[number]] = 1.0
        if self._knows(contrast):
            return float(contrast @ self._effects)
        return statistics.fmean(self._own[number])

    def std(self, number: int) -> float:
        own = self._own.get(number, [])
        return statistics.stdev(own) if len(own) > 1 else math.nan

    def mean_interval(self, number: int) -> Interval:
        """From the deviation of all configs' scores around their own means, pooled.

        What the draws have in common, such as a hard fold, belongs to it, but moves all configs
        at once: so there are fewer degrees of freedom than scores (after Satterthwaite).
        """
        own = self._own.get(number, [])
        within = sum((s - statistics.fmean(o)) ** 2 for o in self._own.values() for s in o)
        freedom = sum(len(each) - 1 for each in self._own.values())
        if not own or not freedom:
            return UNKNOWN
        luck = min(self._squares, within)
        parts = [(luck, self._freedom), (within - luck, freedom - self._freedom)]
        spread = sum(squares**2 / n for squares, n in parts if n)
        effective = within**2 / spread if spread else freedom
        variance = within / freedom * (1 / len(own) + self._overlap)
        half = _quantile((1 + LEVEL) / 2, effective) * math.sqrt(variance)
        return self.mean(number) - half, self.mean(number) + half

    def half_width(self, one: int, other: int, quantile: float) -> float:
        """How far the difference may be off on either side at a one-sided level."""
        contrast = np.zeros(self._n_columns)
        contrast[self._columns[one]], contrast[self._columns[other]] = 1.0, -1.0
        if not self._freedom or not self._knows(contrast):
            return math.inf
        share = float(contrast @ self._inverse @ contrast) + 2 * self._overlap
        deviation = math.sqrt(self._squares / self._freedom * share)
        return _quantile(quantile, self._freedom) * deviation

    def luck(self, quantile: float) -> float:
        """How far a score lies from what its config and draw make it, at a one-sided level."""
        if not self._freedom:
            return math.inf
        return _quantile(quantile, self._freedom) * math.sqrt(self._squares / self._freedom)

    def _knows(self, contrast: NDArray[np.float64]) -> bool:
        """Whether the scores decide it: not between configs that have no draw in common."""
        return bool(np.allclose(contrast @ self._inverse @ self._moments, contrast))


def _quantile(level: float, freedom: float) -> float:
    """Of Student's t."""
    from scipy.special import stdtrit  # late: a quarter of a second

    return float(stdtrit(freedom, level))
