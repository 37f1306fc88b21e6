"""What each hyperparameter did: a card each, the most important first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.report.effects import Effect, Findings, Interaction, meant
from search.report.evidence import Evidence
from search.report.plots import (
    Axis,
    Band,
    Bars,
    Dots,
    Heat,
    Layer,
    Line,
    Plot,
    categories,
)
from search.report.scale import score_limits, within
from search.report.sentences import points, sentence
from search.report.values_axis import axis_of, place_of, scattered, tick_text, value_text
from search.report.words import listed, metric_name
from search.tracking.trial_log import trial_name
from spaces.domains import Choice, Value
from spaces.space import Space


@dataclass(frozen=True)
class Card:
    """A hyperparameter on the page.

    Attributes:
        about: What it is, from the space.
        sentence: What it did.
        importance: Share of what single hyperparameters explain; None where nothing was fitted.
        clear: Whether the trials show an effect.
    """

    name: str
    domain: str
    about: str
    sentence: str
    importance: float | None
    clear: bool
    plot: Plot | None

    @property
    def percent(self) -> str:
        return "" if self.importance is None else f"{self.importance:.0%}"


def cards(known: Evidence, found: Findings, space: Space) -> list[Card]:
    """A card for each hyperparameter of the space, those without an effect to show at the end."""
    shown = [
        Card(
            effect.name,
            effect.domain.text(),
            effect.domain.about,
            sentence(effect, known),
            effect.importance,
            effect.clear,
            effect_plot(effect, known),
        )
        for effect in found.effects
    ]
    told = {effect.name for effect in found.effects}
    return shown + [
        Card(name, domain.text(), domain.about, _untold(name, known), None, False, None)
        for name, domain in space.domains.items()
        if name not in told
    ]


def _untold(name: str, known: Evidence) -> str:
    tried = {str(values[name]) for values in known.values if name in values}
    if not tried:
        return "No trial with a score used it."
    if len(tried) == 1:
        return f"It was always {tried.pop()}."
    return "There are too few trials to say anything of it."


def effect_plot(effect: Effect, known: Evidence) -> Plot:
    """Expected score with its band over the values, each trial a dot."""
    used = [i for i, values in enumerate(known.values) if effect.name in values]
    tried = [meant(effect.domain, known.values[i][effect.name]) for i in used]
    low, high = score_limits([*known.scores[used], *effect.mean], known.sign)
    layers: list[Layer] = []
    for name, measured in (("pruned, expected", False), ("completed", True)):
        own = [(i, value) for i, value in zip(used, tried, strict=True)
               if bool(known.measured[i]) == measured]  # fmt: skip
        dots = Dots(
            name,
            [
                scattered(effect.domain, effect.grid, value, known.records[i][0])
                for i, value in own
            ],
            [float(known.scores[i]) for i, _ in own],
            "blue" if measured else "grey",
            "circle" if measured else "circle-open",
            size=6,
            opacity=0.65,
            hover=[_hover(known, i, value) for i, value in own],
        )
        layers += within(dots, low, high)
    places = [place_of(effect.domain, effect.grid, value) for value in effect.grid]
    layers += _expected(effect, places)
    return Plot(
        f"effect-{effect.name}",
        f"Expected score over {effect.name}, with the trials as dots",
        sentence(effect, known),
        axis_of(effect.name, effect.domain, effect.grid),
        Axis(metric_name(known.metric), low=low, high=high),
        tuple(layers),
        height=290,
    )


def _expected(effect: Effect, places: Sequence[float]) -> list[Layer]:
    mean = [float(value) for value in effect.mean]
    ends = [(float(a), float(b)) for a, b in zip(effect.low, effect.high, strict=True)]
    if not isinstance(effect.domain, Choice):
        lows, highs = [a for a, _ in ends], [b for _, b in ends]
        return [
            Band("", places, lows, highs, "orange"),
            Line("expected", places, mean, "orange", width=2.5),
        ]
    across: list[float | None] = []
    up: list[float | None] = []
    for place, (a, b) in zip(places, ends, strict=True):
        across += [place, place, None]
        up += [a, b, None]
    return [
        Line("", across, up, "orange", width=3),
        Dots("expected", places, mean, "orange", "diamond", size=11, opacity=1.0),
    ]


def _hover(known: Evidence, index: int, value: Value) -> str:
    """Short, as there is one a trial and hyperparameter."""
    kind = "" if known.measured[index] else " expected"
    number = known.records[index][0]
    return f"{trial_name(number)} {value_text(value)}:{kind} {known.scores[index]:.4f}"


def importances(found: Findings) -> Plot | None:
    """How much each hyperparameter explains; None where nothing was fitted."""
    clear = [effect for effect in found.effects if effect.clear][::-1]
    if not clear:
        return None
    shares = [100 * effect.importance for effect in clear]
    names = [effect.name for effect in clear][::-1]
    return Plot(
        "importances",
        "Bars: the share of the differences in score that each hyperparameter explains",
        f"Most of what single hyperparameters explain comes from {listed(names[:3])}.",
        Axis("% of what is explained", low=0.0),
        categories("", [effect.name for effect in clear]),
        (
            Bars(
                "",
                [float(i) for i in range(len(clear))],
                shares,
                "blue",
                horizontal=True,
                texts=[f"{share:.0f} %" for share in shares],
            ),
        ),
        height=90 + 24 * len(clear),
        legend=False,
    )


def interaction_plot(pair: Interaction, known: Evidence) -> Plot:
    """Expected score over two hyperparameters, the best darkest."""
    table = known.sign * pair.scores
    low, high = float(np.nanmin(table)), float(np.nanmax(table))
    shades = (table - low) / ((high - low) or 1.0)
    best = np.unravel_index(int(np.nanargmax(table)), table.shape)
    first, second = pair.first_grid[best[0]], pair.second_grid[best[1]]
    texts = [["" if math.isnan(v) else f"{v:.3f}" for v in row] for row in pair.scores]
    deviation = points(pair.strength, known.metric)
    return Plot(
        f"pair-{pair.first}-{pair.second}",
        f"Expected score over {pair.first} and {pair.second}, as a table of colours",
        f"Best near {pair.first} {value_text(first)} with {pair.second} {value_text(second)}."
        f" The two do not just add up: {deviation} on average. Empty: not tried.",
        categories(pair.second, [tick_text(v) for v in pair.second_grid]),
        categories(pair.first, [tick_text(v) for v in pair.first_grid]),
        (Heat("expected score", shades.tolist(), texts),),
        height=110 + 36 * len(pair.first_grid),
    )
