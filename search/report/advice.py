"""What to do about a study's findings: what looks wrong in its space, and a better one."""

import math
from collections.abc import Sequence

import numpy as np

from search.report.effects import LEAST_TRIALS, Effect, Findings, Interaction
from search.report.evidence import Evidence
from search.report.grids import meant, position
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
from spaces.domains import Choice, Domain, Float, Int, Value
from spaces.space import Space

WASTED = 1 / 3
"""Share of a range from which on it is worth a word that it was of no use."""
N_PAIRS = 3
N_BEST = 3
BEST_SHARE = 0.05
"""The trials whose configs must stay inside: so many, or this share of them."""
LEAST_GAIN = 0.2
"""Share of a range that a proposal must take away to be worth it."""


def warnings(found: Findings, known: Evidence, space: Space) -> list[str]:
    """Too little to go by, the best at an edge, a range wasted, what only makes sense together."""
    lines = _too_little(known)
    for effect in found.effects:
        if side := best_edge(effect):
            end = effect.grid[0 if side == "lower" else -1]
            lines.append(
                f"{effect.name} is best at the {side} edge {value_text(effect.domain, end)} of its"
                f" range: a wider one in spaces/{space.task}.py may hold something better."
            )
    for effect in found.effects:
        if effect.clear and not isinstance(effect.domain, Choice):
            lines += [
                _wasted(effect, worse, known)
                for worse in worse_ends(effect)
                if _share(effect, worse) >= WASTED
            ]
    return lines + [_together(pair, known, space) for pair in found.interactions[:N_PAIRS]]


def proposal(found: Findings, known: Evidence, space: Space) -> list[str]:
    """The next space as overrides for `--set`: less of what is clearly worse, the rest as it is.

    The configs of the best trials stay inside.
    """
    best = _best_values(known)
    overrides = []
    for effect in found.effects:
        own = [values[effect.name] for values in best if effect.name in values]
        domain = space.domains[effect.name]
        text = _narrowed(effect, domain, own, known) if effect.clear else ""
        if text:
            overrides.append(f"{effect.name}={text}")
    return overrides


def limits(known: Evidence) -> list[str]:
    """What effects of a study cannot tell, for the end of a report."""
    lines = [
        (
            "The sampler tries most what did well: of values that it left early little is known,"
            " and hyperparameters that it moved together are hard to tell apart."
        ),
        (
            "Each config was trained on one seed and one split of the data: differences smaller"
            " than the luck of a training cannot be seen."
        ),
        (
            "An effect is an average over what the trials did otherwise, and can be another one"
            " near the best config."
        ),
    ]
    n_expected = len(known) - int(known.measured.sum())
    if n_expected and known.at_epoch is None:
        lines.append(
            f"The scores of {n_of(n_expected, 'trial')} of {len(known)} that were pruned or"
            " diverged are expected ones, from what completed trials gained later."
        )
    return lines


def _too_little(known: Evidence) -> list[str]:
    if len(known) == 0:
        return ["No trial has a score yet, so nothing can be said of any hyperparameter."]
    lines = []
    if known.at_epoch is not None:
        lines.append(
            f"No trial has completed: scores are compared at epoch {epoch_text(known.at_epoch)},"
            " which all have seen, and what leads there need not lead at the end."
        )
    if len(known) < LEAST_TRIALS:
        lines.append(
            f"{n_of(len(known), 'trial')} with a score: too few to tell what a hyperparameter"
            f" did. It takes {LEAST_TRIALS} at least, and more for small effects."
        )
    elif np.ptp(known.scores) == 0:
        lines.append(f"All {len(known)} trials have the same score: nothing made a difference.")
    return lines


def _wasted(effect: Effect, worse: Worse, known: Evidence) -> str:
    domain, start = effect.domain, float(effect.grid[worse.start])
    used = [values[effect.name] for values in known.values if effect.name in values]
    tried = [float(meant(domain, value)) for value in used]
    if worse.side == "lower":
        way, n_there = "less", sum(value <= start for value in tried)
    else:
        way, n_there = "more", sum(value >= start for value in tried)
    values = value_text(domain, effect.grid[worse.start])
    if worse.start != worse.end:
        values += f" and {way}"
    return (
        f"{effect.name}: {values} is clearly worse, which is {_share(effect, worse):.0%} of its"
        f" range and took {n_there} of {n_of(len(tried), 'trial')}."
    )


def _share(effect: Effect, worse: Worse) -> float:
    """Of the values of the grid, which lie evenly."""
    return (abs(worse.end - worse.start) + 1) / len(effect.grid)


def _together(pair: Interaction, known: Evidence, space: Space) -> str:
    scores = known.sign * pair.scores
    first, second = space.domains[pair.first], space.domains[pair.second]
    rows = [row for row in range(len(pair.first_grid)) if np.isfinite(scores[row]).sum() > 1]
    if len(rows) < 2:
        return f"{pair.first} and {pair.second} depend on each other."
    if not isinstance(first, Choice):
        rows = [rows[0], rows[-1]]
    best = [int(np.nanargmax(scores[row])) for row in rows]
    begin = f"{pair.first} and {pair.second} only make sense together: "
    far = 1 if isinstance(second, Choice) else 2
    if max(best) - min(best) >= far:
        words = [
            f"{value_text(second, pair.second_grid[place])} with"
            f" {value_text(first, pair.first_grid[row])}"
            for row, place in zip(rows, best, strict=True)
        ]
        return f"{begin}the best {pair.second} is about {listed(words)}."
    spans = [float(np.nanmax(scores[row]) - np.nanmin(scores[row])) for row in rows]
    most, least = rows[int(np.argmax(spans))], rows[int(np.argmin(spans))]
    return (
        f"{begin}{pair.second} matters most with {pair.first}"
        f" {value_text(first, pair.first_grid[most])} (about {points(max(spans), known.metric)}"
        f" between its best and its worst), least with {value_text(first, pair.first_grid[least])}"
        f" ({points(min(spans), known.metric)})."
    )


def _best_values(known: Evidence) -> list[dict[str, Value]]:
    """What the best trials used: of those measured, if there are any."""
    scored = known.measured if known.measured.any() else np.ones(len(known), bool)
    places = np.flatnonzero(scored)
    order = places[np.argsort(-known.sign * known.scores[places], kind="stable")]
    count = max(N_BEST, math.ceil(BEST_SHARE * len(known)))
    return [known.values[place] for place in order[:count]]


def _narrowed(effect: Effect, domain: Domain, best: Sequence[Value], known: Evidence) -> str:
    """The part of the domain that is worth trying again; empty where that is nearly all."""
    if isinstance(domain, Choice):
        return _fewer(effect, domain, best, known)
    return _shorter(effect, domain, best)


def _fewer(effect: Effect, domain: Choice, best: Sequence[Value], known: Evidence) -> str:
    counts = n_by_value(effect, known)
    bad = [value for value, good in zip(effect.grid, effect.good, strict=True) if not good]
    out = [value for value in bad if counts[value] >= LEAST_OF_VALUE and value not in best]
    kept = [value for value in domain.values if value not in out]
    return "" if len(kept) == len(domain.values) else Choice(*kept).text().replace(", ", ",")


def _shorter(effect: Effect, domain: Int | Float, best: Sequence[Value]) -> str:
    """The best region and a step of the grid to each side, with the best trials in it."""
    first, last = best_region(effect)
    values = [float(meant(domain, value)) for value in best]
    zero = isinstance(domain, Float) and domain.zero
    bottom = 0.0 if zero else float(domain.low)
    low = min([float(effect.grid[first - 1]) if first > 0 else bottom, *values])
    end = len(effect.grid) - 1
    high = max([float(effect.grid[last + 1]) if last < end else float(domain.high), *values])
    if not 0 < _extent(domain, low, high) <= 1 - LEAST_GAIN:
        return ""
    return f"{_outward(domain, low, -1)}..{_outward(domain, high, 1)}"


def _extent(domain: Int | Float, low: float, high: float) -> float:
    """Share of the range; zero counts as its lower end."""
    ends = [position(domain, max(value, float(domain.low))) for value in (low, high)]
    return ends[1] - ends[0]


def _outward(domain: Int | Float, value: float, direction: int) -> str:
    """The value with two digits, rounded outwards but not out of the domain."""
    if isinstance(domain, Int):
        return f"{round(value)}"
    if domain.step or value == 0:
        return f"{value:g}"
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    steps = round(value / unit, 6)
    away = math.ceil(steps) if direction > 0 else math.floor(steps)
    rounded = float(f"{away * unit:.2g}")
    inside = min(max(rounded, domain.low), domain.high)
    return f"{inside!r}" if inside in (domain.low, domain.high) else f"{inside:g}"
