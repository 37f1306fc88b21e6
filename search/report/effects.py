"""What each hyperparameter did to the score, as far as the trials of a study can tell.

The effect of a value is the expected score with it, averaged over what the trials did otherwise
(partial dependence), in a model of all trials that adds up a curve for each hyperparameter and the
strongest interactions. An effect is called clear where the trials speak `LEAST_ODDS` to one for
it, and a value is called worse where the 90 % band of its distance from the best one allows no
other reading.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from search.report.additive import Additive, Term
from search.report.evidence import Evidence, Floats
from search.report.grids import grid_of, meant, nearest
from spaces.domains import Choice, Domain, Value
from spaces.space import Space

__all__ = ["LEAST_TRIALS", "Effect", "Findings", "Interaction", "findings", "grid_of", "meant"]

LEAST_TRIALS = 20
"""With fewer no effect is claimed at all."""
LEAST_USED = 8
"""With fewer that use a hyperparameter nothing is claimed of it."""
LEAST_ODDS = 10.0
"""Of hyperparameters without any effect 0.6 % came to it in a real study of 80 trials whose scores
were shuffled 50 times, and 0.7 to 2.4 % in simulated studies of 30 to 300 trials."""
N_INTERACTIONS = 5
"""The most that are shown and taken into the model."""
EXPECTED_INTERACTIONS = 2.0
"""So many of all pairs are held for real before the trials have spoken."""
N_PAIR_GRID = 6
HALF_BAND = 2.0
"""Standard deviations to each side of what is called a 90 % band.

More than the 1.645 of a textbook, as the widths of the priors are fitted too: in simulated studies
it held 86 to 99 % of the true losses with 80 to 300 trials, 78 to 91 % with 30.
"""
FLOOR = 3.0
"""Spreads below the median at which scores are cut off."""


@dataclass(frozen=True)
class Effect:
    """The effect of one hyperparameter on the score, where a config uses it.

    Attributes:
        grid: Values in their order; choices as the domain lists them.
        mean, low, high: Of the expected score at each of them, with a 90 % band.
        importance: Share of all the variance that single hyperparameters explain.
        n_trials: That use it.
        clear: Whether the trials show that there is one, so that some value is not good.
        good: By value, whether it cannot be told from the best one.
        loss: By value, how much is lost against the best one, on average.
        error: By value, half the width of the loss's 90 % band.
    """

    name: str
    domain: Domain
    grid: tuple[Value, ...]
    mean: Floats
    low: Floats
    high: Floats
    importance: float
    n_trials: int
    clear: bool
    good: tuple[bool, ...]
    loss: Floats
    error: Floats

    @property
    def best(self) -> int:
        return int(np.argmin(self.loss))


@dataclass(frozen=True)
class Interaction:
    """Two hyperparameters whose effects do not simply add up.

    Attributes:
        scores: Expected score, (values of the first, values of the second); not a number where
            nothing like it was tried.
        strength: Mean deviation from a sum of both effects.
    """

    first: str
    second: str
    first_grid: tuple[Value, ...]
    second_grid: tuple[Value, ...]
    scores: Floats
    strength: float


@dataclass(frozen=True)
class Findings:
    """What a study's trials say of its hyperparameters, the most important first."""

    effects: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]


def findings(known: Evidence, space: Space) -> Findings:
    """Effects and interactions; none of them where there are too few trials."""
    if len(known) < LEAST_TRIALS or np.ptp(known.scores) == 0:
        return Findings((), ())
    return _Fitted(known, space).findings()


class _Fitted:
    """The model of a study's scores, and what it answers."""

    def __init__(self, known: Evidence, space: Space) -> None:
        self._known = known
        self._domains = {
            name: domain
            for name, domain in space.domains.items()
            if len({values[name] for values in known.values if name in values}) > 1
        }
        scores = _without_failures(known)
        self._center, self._unit = float(scores.mean()), float(scores.std())
        scores = (scores - self._center) / self._unit
        singles: list[tuple[str, ...]] = [(name,) for name in self._domains]
        self._terms = {names: self._term(names) for names in singles}
        self._model = Additive([self._columns(names) for names in self._terms], scores)
        if pairs := self._strongest_pairs():
            self._terms |= pairs
            self._model = Additive([self._columns(names) for names in self._terms], scores)
        self._places = {names: place for place, names in enumerate(self._terms)}

    def findings(self) -> Findings:
        effects = [self._effect(name) for name in self._domains]
        total = sum(effect.importance for effect in effects) or 1.0
        effects = [replace(effect, importance=effect.importance / total) for effect in effects]
        effects.sort(key=lambda effect: -effect.importance)
        pairs = [self._interaction(*names) for names in self._terms if len(names) == 2]
        pairs.sort(key=lambda pair: -pair.strength)
        return Findings(tuple(effects), tuple(pairs))

    def _used(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """The trials whose configs use all of these."""
        return np.array([all(name in values for name in names) for values in self._known.values])

    def _tried(self, names: Sequence[str]) -> list[list[Value]]:
        """By name, the values of the trials that use all of these."""
        using = [v for v in self._known.values if all(name in v for name in names)]
        return [[values[name] for values in using] for name in names]

    def _term(self, names: tuple[str, ...]) -> Term:
        return Term([self._domains[name] for name in names], self._tried(names))

    def _columns(self, names: tuple[str, ...], term: Term | None = None) -> Floats:
        own = (term or self._terms[names]).at(*self._tried(names))
        columns = np.zeros((len(self._known), own.shape[1]))
        columns[self._used(names)] = own
        return columns

    def _part(self, names: tuple[str, ...], values: Sequence[Sequence[Value]]) -> Floats:
        """What a term adds to the score where its hyperparameters have these values."""
        part: Floats = (
            self._terms[names].at(*values) @ self._model.weights(self._places[names]).mean
        )
        return part

    def _strongest_pairs(self) -> dict[tuple[str, ...], Term]:
        """The pairs that the trials call for, though there are so many of them."""
        pairs = list(itertools.combinations(self._domains, 2))
        found = []
        for first, second in pairs:
            names = (first, second)
            if isinstance(self._domains[second], Choice):
                names = (second, first)
            if self._used(names).sum() < LEAST_TRIALS:
                continue
            term = self._term(names)
            odds = self._model.weights_of_new(self._columns(names, term)).log_odds
            if odds > math.log(LEAST_ODDS * len(pairs) / EXPECTED_INTERACTIONS):
                found.append((odds, names, term))
        found.sort(key=lambda pair: -pair[0])
        return {names: term for _, names, term in found[:N_INTERACTIONS]}

    def _effect(self, name: str) -> Effect:
        names, domain = (name,), self._domains[name]
        used, (tried,) = self._used(names), self._tried(names)
        place, term = self._places[names], self._terms[names]
        weights = self._model.weights(place)
        grid = grid_of(domain, tried)
        columns = term.at(grid)
        curve = columns @ weights.mean
        level = self._model.level(used, without=[place])
        mean = self._center + self._unit * (level + curve)
        band = HALF_BAND * self._unit * weights.deviation(columns)
        best = columns[[int(np.argmax(curve))]]
        loss = self._unit * ((best - columns) @ weights.mean)
        error = HALF_BAND * self._unit * weights.deviation(best - columns)
        # A tenth of all that is at stake is no reason to call a value bad.
        good = (loss <= error) | (loss <= 0.1 * loss.max())
        sure = weights.log_odds > math.log(LEAST_ODDS) and int(used.sum()) >= LEAST_USED
        return Effect(
            name=name,
            domain=domain,
            grid=tuple(meant(domain, value) for value in grid),
            mean=self._known.sign * mean,
            low=self._known.sign * mean - band,
            high=self._known.sign * mean + band,
            importance=float(np.square(term.at(tried) @ weights.mean).sum()),
            n_trials=int(used.sum()),
            clear=sure and not good.all(),
            good=tuple(bool(near) for near in good),
            loss=loss,
            error=error,
        )

    def _interaction(self, *names: str) -> Interaction:
        domains, tried = [self._domains[name] for name in names], self._tried(names)
        grids = [_coarse_grid(*each) for each in zip(domains, tried, strict=True)]
        shape = len(grids[0]), len(grids[1])
        cells = list(itertools.product(*grids))
        values = [[cell[axis] for cell in cells] for axis in (0, 1)]
        extra = self._part(names, values)
        score = extra + self._part(names[:1], values[:1]) + self._part(names[1:], values[1:])
        places = [self._places[part] for part in (names, names[:1], names[1:])]
        score += self._model.level(self._used(names), without=places)
        table = self._known.sign * (self._center + self._unit * score.reshape(shape))
        table[~_near_a_trial(domains, grids, tried)] = np.nan
        deviation = self._unit * np.abs(extra.reshape(shape)[np.isfinite(table)])
        return Interaction(
            first=names[0],
            second=names[1],
            first_grid=tuple(meant(domains[0], value) for value in grids[0]),
            second_grid=tuple(meant(domains[1], value) for value in grids[1]),
            scores=table,
            strength=float(deviation.mean()),
        )


def _without_failures(known: Evidence) -> Floats:
    """The scores, larger is better, cut off below where nothing can be learned from them.

    How bad a network is that learned nothing says little of how good the others are, and would
    hide it. The floor lies as far below the median as the best are above it, three times over.
    """
    scores = known.sign * known.scores
    middle, top = np.quantile(scores, [0.5, 0.95])
    floor = middle - FLOOR * (top - middle) if top > middle else np.quantile(scores, 0.1)
    kept = np.maximum(scores, floor)
    return kept if np.ptp(kept) > 0 else scores


def _coarse_grid(domain: Domain, tried: Sequence[Value]) -> tuple[Value, ...]:
    grid = grid_of(domain, tried)
    if len(grid) <= N_PAIR_GRID or isinstance(domain, Choice):
        return grid
    return tuple(grid[round(i)] for i in np.linspace(0, len(grid) - 1, N_PAIR_GRID))


def _near_a_trial(
    domains: Sequence[Domain], grids: Sequence[Sequence[Value]], tried: Sequence[Sequence[Value]]
) -> NDArray[np.bool_]:
    """Which cells of a table of two have a trial in them, or next to them along a range."""
    places = [
        np.array([nearest(domain, grid, value) for value in values])
        for domain, grid, values in zip(domains, grids, tried, strict=True)
    ]
    near = np.zeros((len(grids[0]), len(grids[1])), bool)
    reach = [0 if isinstance(domain, Choice) else 1 for domain in domains]
    for i, j in itertools.product(range(near.shape[0]), range(near.shape[1])):
        close = (np.abs(places[0] - i) <= reach[0]) & (np.abs(places[1] - j) <= reach[1])
        near[i, j] = close.any()
    return near
