"""Plots as still pictures: inline SVG, for print and for where scripts are off."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from search.report.plots import (
    Axis,
    Band,
    Bars,
    Dots,
    Heat,
    Layer,
    Line,
    Plot,
    Spans,
    Symbol,
    limits,
    thinned,
    ticks_of,
)

WIDTH = 480
LETTER = 6.4
"""Mean width of a letter, in the size of the ticks."""
ROW = 18.0
MOST_POINTS = 4000
"""Of a line; a curve of a picture this small shows no more."""
DARK = 0.55
"""From this shade on a cell's text has the colour of the paper."""


@dataclass(frozen=True)
class _Scale:
    """From values to places in the picture."""

    axis: Axis
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.axis.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, 1e-300))
        share = (value - low) / ((high - low) or 1.0)
        # What lies far outside is cut off by the frame anyway.
        return self.start + min(max(share, -1.0), 2.0) * (self.end - self.start)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        return [(self(place), text) for place, text in ticks_of(self.axis, self.low, self.high)]


def still(plot: Plot) -> str:
    """The plot as an SVG element."""
    legend, legend_height = _legend(plot)
    low, high = limits(plot, "y")
    widest = max((len(text) for _, text in ticks_of(plot.y, low, high)), default=0)
    left = min(14 + LETTER * widest + (16 if plot.y.title else 0), WIDTH * 0.45)
    top, right = legend_height + 8.0, WIDTH - 12.0
    x_low, x_high = limits(plot, "x")
    places = ticks_of(plot.x, x_low, x_high)
    room = (right - left) / max(1, len(places))
    turned = any(LETTER * len(text) > room for _, text in places)
    longest = max((len(text) for _, text in places), default=0)
    below = (LETTER * longest * 0.7 + 12 if turned else 20) + (18 if plot.x.title else 0)
    bottom = plot.height - below
    x = _Scale(plot.x, x_low, x_high, left, right)
    y = _Scale(plot.y, low, high, bottom, top)
    frame = f"clip-{escape(plot.key)}"
    body = "".join(_drawn(layer, x, y) for layer in plot.layers)
    return (
        f'<svg class="still" viewBox="0 0 {WIDTH} {plot.height}" role="img"'
        f' aria-label="{escape(plot.alt)}">'
        f'<clipPath id="{frame}"><rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}"'
        f' height="{bottom - top:.1f}"/></clipPath>'
        f"{legend}{_axes(plot, x, y, turned=turned)}"
        f'<g clip-path="url(#{frame})">{body}</g></svg>'
    )


def _axes(plot: Plot, x: _Scale, y: _Scale, *, turned: bool) -> str:
    parts = []
    for place, text in x.ticks:
        parts.append(_grid(place, y.start, place, y.end))
        at = f'x="{place:.1f}" y="{y.start + 15:.1f}"'
        turn = f'text-anchor="end" transform="rotate(-40 {place:.1f} {y.start + 12:.1f})"'
        how = turn if turned else 'text-anchor="middle"'
        parts.append(f"<text {at} {how}>{escape(text)}</text>")
    for place, text in y.ticks:
        parts.append(_grid(x.start, place, x.end, place))
        at = f'x="{x.start - 6:.1f}" y="{place + 4:.1f}"'
        parts.append(f'<text {at} text-anchor="end">{escape(text)}</text>')
    middle = (x.start + x.end) / 2
    if plot.x.title:
        at = f'x="{middle:.1f}" y="{plot.height - 5}"'
        parts.append(
            f'<text class="title" {at} text-anchor="middle">{escape(plot.x.title)}</text>'
        )
    if plot.y.title:
        height = (y.start + y.end) / 2
        at = f'x="12" y="{height:.1f}" transform="rotate(-90 12 {height:.1f})"'
        parts.append(
            f'<text class="title" {at} text-anchor="middle">{escape(plot.y.title)}</text>'
        )
    return "".join(parts)


def _legend(plot: Plot) -> tuple[str, float]:
    """The names of the layers in as many rows as they need, and their height."""
    parts, at, row = [], 4.0, 1
    for layer in plot.named:
        width = 24 + LETTER * len(layer.name)
        if at > 4 and at + width > WIDTH:
            at, row = 4.0, row + 1
        y = row * ROW - 5
        if isinstance(layer, Dots):
            sign = _marks(layer, [(at + 6, y - 4)])
        elif isinstance(layer, Line):
            sign = _path(f"M{at:.1f} {y - 4:.1f}h13", layer)
        else:
            fill = f"var(--{getattr(layer, 'colour', 'blue')})"
            sign = f'<rect x="{at:.1f}" y="{y - 9:.1f}" width="12" height="9" fill="{fill}"/>'
        parts.append(f'{sign}<text x="{at + 17:.1f}" y="{y:.1f}">{escape(layer.name)}</text>')
        at += width + 12
    return "".join(parts), (row * ROW if parts else 0.0)


def _drawn(layer: Layer, x: _Scale, y: _Scale) -> str:
    match layer:
        case Line():
            return _path(_line_path(layer, x, y), layer)
        case Band():
            return _band(layer, x, y)
        case Dots():
            return _dots(layer, x, y)
        case Bars():
            return _bars(layer, x, y)
        case Spans():
            return _spans(layer, x, y)
        case Heat():
            return _heat(layer, x, y)


def _line_path(layer: Line, x: _Scale, y: _Scale) -> str:
    parts, pen_up, before, last = [], True, 0.0, 0.0
    kept = set(thinned(range(len(layer.x)), MOST_POINTS))
    for index, (across, up) in enumerate(zip(layer.x, layer.y, strict=True)):
        if across is None or up is None or not math.isfinite(up):
            pen_up = True
            continue
        if index not in kept and not pen_up:
            continue
        place, height = x(across), y(up)
        if pen_up:
            parts.append(f"M{place:.1f} {height:.1f}")
        elif layer.steps:
            parts.append(f"H{place:.1f}V{height:.1f}")
        else:
            parts.append(f"l{place - before:.1f} {height - last:.1f}")
        # What was written is rounded, and the next step starts from there.
        before, last, pen_up = round(place, 1), round(height, 1), False
    return "".join(parts)


def _path(path: str, layer: Line) -> str:
    dash = ' stroke-dasharray="2 4"' if layer.dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="var(--{layer.colour})"'
        f' stroke-width="{layer.width:g}" stroke-opacity="{layer.opacity:g}"{dash}/>'
    )


def _band(layer: Band, x: _Scale, y: _Scale) -> str:
    there = [(x(a), y(b)) for a, b in zip(layer.x, layer.low, strict=True)]
    back = [(x(a), y(b)) for a, b in zip(layer.x, layer.high, strict=True)][::-1]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in there + back)
    return f'<polygon points="{points}" fill="var(--{layer.colour})" fill-opacity=".22"/>'


def _dots(layer: Dots, x: _Scale, y: _Scale) -> str:
    places = [
        (x(a), y(b))
        for a, b in zip(layer.x, layer.y, strict=True)
        if math.isfinite(a) and math.isfinite(b)
    ]
    return f'<g opacity="{layer.opacity:g}">{_marks(layer, places)}</g>'


def _marks(layer: Dots, places: Sequence[tuple[float, float]]) -> str:
    """The marks of a layer as one path: hundreds of elements would make the page slow."""
    size, r, colour = layer.size, layer.size / 2, f"var(--{layer.colour})"
    if layer.symbol == "circle":  # the round ends of lines without a length
        path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in places)
        return f'<path d="{path}" stroke="{colour}" stroke-width="{size:g}" class="round"/>'
    if layer.symbol == "circle-open":
        arcs = f"a{r:g} {r:g} 0 1 0 {size:g} 0a{r:g} {r:g} 0 1 0 {-size:g} 0"
        path = "".join(f"M{a - r:.1f} {b:.1f}{arcs}" for a, b in places)
        return f'<path d="{path}" fill="none" stroke="{colour}"/>'
    if layer.symbol == "x":
        cross = f"l{size:g} {size:g}m0 {-size:g}l{-size:g} {size:g}"
        path = "".join(f"M{a - r:.1f} {b - r:.1f}{cross}" for a, b in places)
        return f'<path d="{path}" stroke="{colour}" stroke-width="2"/>'
    path = "".join(f"M{_corners(layer.symbol, a, b, r * 1.25)}z" for a, b in places)
    return f'<path d="{path}" fill="{colour}"/>'


def _corners(symbol: Symbol, x: float, y: float, r: float) -> str:
    if symbol == "star":
        turns = [(i * math.pi / 5, r * (1.2 if i % 2 == 0 else 0.5)) for i in range(10)]
    elif symbol == "diamond":
        turns = [(i * math.pi / 2, r) for i in range(4)]
    else:
        first = math.pi if symbol == "triangle-down" else 0.0
        turns = [(first + i * 2 * math.pi / 3, r) for i in range(3)]
    return "L".join(f"{x + s * math.sin(t):.1f} {y - s * math.cos(t):.1f}" for t, s in turns)


def _bars(layer: Bars, x: _Scale, y: _Scale) -> str:
    across, along = (y, x) if layer.horizontal else (x, y)
    places = [across(place) for place in layer.places]
    gaps = [abs(b - a) for a, b in pairwise(sorted(places))]
    width = 0.72 * min([*gaps, 40.0])
    parts = []
    for index, (place, value) in enumerate(zip(places, layer.values, strict=True)):
        zero, tip = along(max(0.0, along.low)), along(value)
        box = (min(zero, tip), place - width / 2, abs(tip - zero), width)
        parts.append(_rect(*_turned(box, horizontal=layer.horizontal), f"var(--{layer.colour})"))
        if layer.low:
            ends = along(layer.low[index]), place, along(layer.high[index]), place
            a, b, c, d = ends if layer.horizontal else (place, ends[0], place, ends[2])
            parts.append(f'<path class="whisker" d="M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}"/>')
        if layer.texts:
            parts.append(_bar_text(layer, layer.texts[index], tip, place, x))
    return "".join(parts)


def _bar_text(layer: Bars, text: str, tip: float, place: float, x: _Scale) -> str:
    if not layer.horizontal:
        return (
            f'<text x="{place:.1f}" y="{tip - 4:.1f}" text-anchor="middle">{escape(text)}</text>'
        )
    inside = tip + LETTER * len(text) + 8 > x.end
    at, anchor, look = (tip - 4, "end", "fill:var(--paper)") if inside else (tip + 4, "start", "")
    return (
        f'<text x="{at:.1f}" y="{place + 4:.1f}" text-anchor="{anchor}" style="{look}">'
        f"{escape(text)}</text>"
    )


def _spans(layer: Spans, x: _Scale, y: _Scale) -> str:
    height = abs(y(0.8) - y(0.0))
    rows = zip(layer.rows, layer.starts, layer.ends, strict=True)
    return "".join(
        _rect(x(a), y(row) - height / 2, max(x(b) - x(a) - 0.5, 0.5), height,
              f"var(--{layer.colour})")
        for row, a, b in rows
    )  # fmt: skip


def _heat(layer: Heat, x: _Scale, y: _Scale) -> str:
    width, height = x(1) - x(0) - 2, y(0) - y(1) - 2
    size = min(11.0, height * 0.8)
    parts = []
    for row, (shades, texts) in enumerate(zip(layer.shades, layer.texts, strict=True)):
        for column, (shade, text) in enumerate(zip(shades, texts, strict=True)):
            if math.isnan(shade):
                continue
            a, b = x(column), y(row)
            fill = f"color-mix(in srgb,var(--blue) {max(0.0, shade):.0%},var(--cold))"
            parts.append(_rect(a - width / 2, b - height / 2, width, height, fill))
            if text and LETTER * len(text) * size / 11 <= width + 4:
                ink = "paper" if shade > DARK else "ink"
                parts.append(
                    f'<text x="{a:.1f}" y="{b + size / 3:.1f}" text-anchor="middle"'
                    f' style="fill:var(--{ink});font-size:{size:.0f}px">{escape(text)}</text>'
                )
    return "".join(parts)


def _turned(box: Sequence[float], *, horizontal: bool) -> tuple[float, float, float, float]:
    a, b, c, d = box
    return (a, b, c, d) if horizontal else (b, a, d, c)


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' style="fill:{fill}"/>'
    )


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="grid" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'
