"""What a plot of the report shows, whoever draws it: plotly, or SVG where scripts are off.

Colours are names of the page's style sheet, which gives each a value for light and for dark.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Colour = Literal["ink", "muted", "blue", "orange", "green", "red", "purple", "grey"]
Symbol = Literal["circle", "circle-open", "x", "diamond", "star", "triangle-up", "triangle-down"]
Numbers = Sequence[float | None]
"""None is a gap in a line."""

HEIGHT = 300
PAD = 0.05
DECADE = 10.0


@dataclass(frozen=True)
class Axis:
    """One axis; without limits it holds all that is drawn.

    Attributes:
        ticks: Places and what stands at them; empty: wherever round numbers are.
    """

    title: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Line:
    """Points joined by a line, or by steps. `hover` has a text a point, or is empty."""

    name: str
    x: Numbers
    y: Numbers
    colour: Colour
    width: float = 2.0
    dashed: bool = False
    opacity: float = 1.0
    steps: bool = False
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Band:
    """The area between two lines."""

    name: str
    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: Colour


@dataclass(frozen=True)
class Dots:
    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: Colour
    symbol: Symbol = "circle"
    size: float = 7.0
    opacity: float = 0.75
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Bars:
    """Bars that start at zero; of `low` and `high` whiskers are drawn."""

    name: str
    places: Sequence[float]
    values: Sequence[float]
    colour: Colour
    horizontal: bool = False
    texts: Sequence[str] = ()
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Spans:
    """Horizontal bars from `starts` to `ends`, as of a time table."""

    name: str
    rows: Sequence[float]
    starts: Sequence[float]
    ends: Sequence[float]
    colour: Colour
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Heat:
    """A table of coloured cells, rows from below; `shades` from 0 to 1, NaN for an empty one."""

    name: str
    shades: Sequence[Sequence[float]]
    texts: Sequence[Sequence[str]]
    hover: Sequence[Sequence[str]] = ()


Layer = Line | Band | Dots | Bars | Spans | Heat


@dataclass(frozen=True)
class Plot:
    """A plot with all that must be said of it.

    Attributes:
        key: Names it on the page.
        alt: What it is, for who cannot see it.
        caption: What to see in it.
    """

    key: str
    alt: str
    caption: str
    x: Axis
    y: Axis
    layers: tuple[Layer, ...]
    height: int = HEIGHT
    legend: bool = True

    @property
    def named(self) -> list[Layer]:
        """The layers of which a legend tells."""
        shown: list[Layer] = [
            each for each in self.layers if each.name and not isinstance(each, Heat)
        ]
        return shown if self.legend and len(shown) > 1 else []


def limits(plot: Plot, which: Literal["x", "y"]) -> tuple[float, float]:
    """The ends of an axis: those it was given, else with a little air around all that is drawn."""
    axis = plot.x if which == "x" else plot.y
    values = [v for layer in plot.layers for v in _reach(layer, which) if math.isfinite(v)]
    if axis.log:
        values = [math.log10(value) for value in values if value > 0]
    low, high = min(values, default=0.0), max(values, default=1.0)
    air = PAD * (high - low) or 0.5
    low, high = (low - air, high + air)
    if axis.log:
        low, high = DECADE**low, DECADE**high
    elif _from_zero(plot, which):
        low = min(low, 0.0) if min(values, default=0.0) < 0 else 0.0
    return (
        low if axis.low is None else axis.low,
        high if axis.high is None else axis.high,
    )


def ticks_of(axis: Axis, low: float, high: float) -> list[tuple[float, str]]:
    """Where an axis is labelled, and how."""
    if axis.ticks:
        return [tick for tick in axis.ticks if low <= tick[0] <= high]
    return log_ticks(low, high) if axis.log else round_ticks(low, high)


def round_ticks(low: float, high: float, about: int = 5) -> list[tuple[float, str]]:
    """Multiples of 1, 2 or 5 times a power of ten, about so many."""
    span = (high - low) or 1.0
    power = DECADE ** math.floor(math.log10(span / about))
    step = next(s * power for s in (1, 2, 5, 10) if span / (s * power) <= about + 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(n * step, _plain(n * step, digits)) for n in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten; with 2 and 5 between them where there are few."""
    decades = math.log10(high / low)
    step = max(1, math.ceil(decades / 6))
    parts = (1,) if decades > 2.5 else (1, 2, 5)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    places = [
        part * DECADE**power
        for power, part in itertools.product(range(first, last + 1), parts)
        if power % step == 0
    ]
    return [(place, short(place)) for place in places if low <= place <= high * (1 + 1e-9)]


def short(value: float) -> str:
    """A number as a tick has it: 0.002, 1e-5, 512, 20k, 1.5M."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:g}M"
    if size >= 1e4:
        return f"{value / 1e3:g}k"
    if 0 < size < 1e-3:
        digits, _, power = f"{value:.3g}".partition("e")
        return f"{digits}e{int(power)}" if power else digits
    return f"{value:.4g}"


def categories(title: str, labels: Iterable[str]) -> Axis:
    """An axis with a place for each label, from 0."""
    ticks = tuple((float(place), label) for place, label in enumerate(labels))
    return Axis(title, low=-0.6, high=len(ticks) - 0.4, ticks=ticks)


def thinned(values: Sequence[float], most: int) -> list[int]:
    """Indices of at most so many of the values, evenly, both ends among them."""
    if len(values) <= most:
        return list(range(len(values)))
    return sorted({round(i * (len(values) - 1) / (most - 1)) for i in range(most)})


def _plain(value: float, digits: int) -> str:
    return short(value) if abs(value) >= DECADE**4 else f"{value + 0.0:.{digits}f}"


def _from_zero(plot: Plot, which: Literal["x", "y"]) -> bool:
    """Whether bars grow along the axis."""
    bars = [layer for layer in plot.layers if isinstance(layer, Bars)]
    spans = which == "x" and any(isinstance(layer, Spans) for layer in plot.layers)
    return spans or any(bar.horizontal == (which == "x") for bar in bars)


def _reach(layer: Layer, which: Literal["x", "y"]) -> list[float]:
    """The values of a layer along an axis."""
    found: Iterable[float | None]
    if isinstance(layer, Heat):
        count = len(layer.shades) if which == "y" else len(layer.shades[0])
        found = (0.0, count - 1.0)
    elif isinstance(layer, Spans):
        found = layer.rows if which == "y" else (*layer.starts, *layer.ends)
    elif isinstance(layer, Bars):
        along = layer.horizontal == (which == "x")
        found = (*layer.values, *layer.low, *layer.high) if along else layer.places
    elif isinstance(layer, Band):
        found = layer.x if which == "x" else (*layer.low, *layer.high)
    else:
        found = layer.x if which == "x" else layer.y
    return [float(value) for value in found if value is not None]
