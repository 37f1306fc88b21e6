"""What an effect is in plain words: no more than the trials support."""

from search.report.advice import proposal, warnings
from search.report.effects import LEAST_USED, Effect
from search.report.evidence import Evidence
from search.report.phrases import points, value_text
from search.report.regions import (
    LEAST_OF_VALUE,
    Worse,
    best_edge,
    best_region,
    n_by_value,
    worse_ends,
)
from search.report.words import listed, n_of
from search.study import epoch_text
from spaces.domains import Choice, Float

__all__ = ["points", "proposal", "sentence", "warnings"]

MOST_LISTED = 3


def sentence(effect: Effect, known: Evidence) -> str:
    """`dropout: best between 0.2 and 0.35; 0.45 and more costs about 0.6 points; ...`"""
    if effect.n_trials < LEAST_USED:
        return f"{effect.name}: used by only {n_of(effect.n_trials, 'trial')}, too few to tell."
    at = f"at epoch {epoch_text(known.at_epoch)} " if known.at_epoch is not None else ""
    measured = f"measured {at}on {n_of(effect.n_trials, 'trial')}"
    if not effect.clear:
        return f"{effect.name}: no difference that this study can see; {measured}."
    if isinstance(effect.domain, Choice):
        parts = _of_choices(effect, known)
    else:
        parts = [_best_values(effect), *_costs(effect, known.metric)]
    return f"{effect.name}: {'; '.join([*parts, measured])}."


def _best_values(effect: Effect) -> str:
    first, last = best_region(effect)
    low, high = (value_text(effect.domain, effect.grid[index]) for index in (first, last))
    if side := best_edge(effect):
        edge = low if side == "lower" else high
        return f"best at the {side} edge {edge} of its range: try {_FURTHER[side]}"
    best = value_text(effect.domain, effect.grid[effect.best])
    end = len(effect.grid) - 1
    if first == last:
        return f"best {'around' if isinstance(effect.domain, Float) else 'at'} {best}"
    if first == 0:
        return f"best up to {high}"
    return f"best from {low} up" if last == end else f"best between {low} and {high}"


_FURTHER = {"lower": "less", "upper": "more"}


def _costs(effect: Effect, metric: str) -> list[str]:
    """What the clearly worse ends of the range cost, or else the worst value within it."""
    ends = worse_ends(effect)
    if ends:
        return [_cost(effect, worse, metric) for worse in ends]
    bad = [index for index, good in enumerate(effect.good) if not good]
    worst = max(bad, key=lambda index: effect.loss[index])
    value = value_text(effect.domain, effect.grid[worst])
    return [f"{value} costs about {points(effect.loss[worst], metric, effect.error[worst])}"]


def _cost(effect: Effect, worse: Worse, metric: str) -> str:
    start = value_text(effect.domain, effect.grid[worse.start])
    worst = value_text(effect.domain, effect.grid[worse.worst])
    lost = points(worse.loss, metric, worse.error)
    more = _FURTHER[worse.side]
    if worse.start == worse.end:
        return f"{start} costs about {lost}"
    if worse.steady:
        return f"{start} and {more} costs about {lost}"
    return f"{start} and {more} costs up to about {lost} (at {worst})"


def _of_choices(effect: Effect, known: Evidence) -> list[str]:
    domain, metric, counts = effect.domain, known.metric, n_by_value(effect, known)
    order = sorted(range(len(effect.grid)), key=lambda index: effect.loss[index])

    def text(index: int) -> str:
        return value_text(domain, effect.grid[index])

    def n(index: int) -> int:
        return counts[effect.grid[index]]

    good = [index for index in order if effect.good[index]]
    best = [i for i in good if n(i) >= LEAST_OF_VALUE] or [effect.best]
    worse = [i for i in reversed(order) if not effect.good[i] and n(i) >= LEAST_OF_VALUE]
    costs = [
        f"{text(i)} costs about {points(effect.loss[i], metric, effect.error[i])}"
        f" ({n_of(n(i), 'trial')})"
        for i in worse[:MOST_LISTED]
    ]
    if len(worse) > MOST_LISTED:
        costs[-1] += f", and {listed([text(i) for i in worse[MOST_LISTED:]])} less"
    unknown = [i for i in order if i not in best and i not in worse]
    few = [f"too few trials of {listed([text(i) for i in unknown])} to tell"] if unknown else []
    return [f"{listed([text(i) for i in best])} best", *costs, *few]
