"""Plots as plotly takes them: plain JSON, with the style sheet's names in the place of colours.

The page's script puts the colours of the moment in, and draws again when light turns to dark.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from search.report.plots import (
    Band,
    Bars,
    Colour,
    Dots,
    Heat,
    Layer,
    Line,
    Plot,
    Spans,
    limits,
    ticks_of,
)

Trace = dict[str, Any]
DIGITS = 6
WHISKER = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3}


def live(plot: Plot) -> str:
    """JSON of a figure that fits the width it is given; safe inside of a script element."""
    traces = [trace for layer in plot.layers for trace in _traces(layer)]
    named = {layer.name for layer in plot.named}
    for trace in traces:
        trace["showlegend"] = bool(trace.get("showlegend", True) and trace.get("name") in named)
    content = {"data": traces, "layout": _layout(plot)}
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _layout(plot: Plot) -> dict[str, Any]:
    return {
        "height": plot.height,
        "margin": {"l": 12, "r": 12, "t": 8, "b": 8},
        "hovermode": "closest",
        "barmode": "overlay",
        "bargap": 0.25,
        "showlegend": bool(plot.named),
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "yanchor": "bottom",
            "y": 1.02,
            "x": 0,
        },
        "xaxis": _axis(plot, "x"),
        "yaxis": _axis(plot, "y"),
    }


def _axis(plot: Plot, which: Any) -> dict[str, Any]:  # noqa: ANN401 - a literal, as `limits` has it
    axis = plot.x if which == "x" else plot.y
    low, high = limits(plot, which)
    found: dict[str, Any] = {
        "title": {"text": axis.title, "standoff": 8},
        "automargin": True,
        "zeroline": False,
        "range": _rounded([math.log10(low), math.log10(high)] if axis.log else [low, high]),
    }
    if axis.log:
        found["type"] = "log"
    if any(isinstance(layer, Heat) for layer in plot.layers):
        found |= {"showgrid": False, "ticks": ""}
    if axis.log or axis.ticks:
        ticks = ticks_of(axis, low, high)
        found |= {
            "tickmode": "array",
            "tickvals": [place for place, _ in ticks],
            "ticktext": [text for _, text in ticks],
        }
    return found


def _traces(layer: Layer) -> list[Trace]:
    match layer:
        case Line():
            return [_line(layer)]
        case Band():
            return _band(layer)
        case Dots():
            return [_dots(layer)]
        case Bars():
            return [_bars(layer)]
        case Spans():
            return [_spans(layer)]
        case Heat():
            return [_heat(layer)]


def _line(layer: Line) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": layer.name,
        "x": _rounded(layer.x),
        "y": _rounded(layer.y),
        "opacity": layer.opacity,
        "line": {
            "color": _var(layer.colour),
            "width": layer.width,
            "dash": "dot" if layer.dashed else "solid",
            "shape": "hv" if layer.steps else "linear",
        },
        **_hover(layer.hover),
    }


def _band(layer: Band) -> list[Trace]:
    """Plotly fills what lies between a trace and the one before."""
    edge = {
        "type": "scatter",
        "mode": "lines",
        "x": _rounded(layer.x),
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    fill = {"fill": "tonexty", "fillcolor": f"var(--{layer.colour},.22)", "name": layer.name}
    return [
        {**edge, "y": _rounded(layer.low), "showlegend": False},
        {**edge, "y": _rounded(layer.high), **fill},
    ]


def _dots(layer: Dots) -> Trace:
    marker = {"color": _var(layer.colour), "size": layer.size, "symbol": layer.symbol}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": layer.name,
        "x": _rounded(layer.x),
        "y": _rounded(layer.y),
        "opacity": layer.opacity,
        "marker": marker,
        **_hover(layer.hover),
    }


def _bars(layer: Bars) -> Trace:
    along, across = ("x", "y") if layer.horizontal else ("y", "x")
    found: Trace = {
        "type": "bar",
        "name": layer.name,
        "orientation": "h" if layer.horizontal else "v",
        along: _rounded(layer.values),
        across: _rounded(layer.places),
        "marker": {"color": _var(layer.colour)},
    }
    if layer.texts:
        found |= {"text": list(layer.texts), "textposition": "auto", "hoverinfo": "text"}
    if layer.low:
        pairs = list(zip(layer.values, layer.low, layer.high, strict=True))
        found[f"error_{along}"] = {
            **WHISKER,
            "color": _var("ink"),
            "array": _rounded([high - value for value, _, high in pairs]),
            "arrayminus": _rounded([value - low for value, low, _ in pairs]),
        }
    return found


def _spans(layer: Spans) -> Trace:
    lengths = [end - start for start, end in zip(layer.starts, layer.ends, strict=True)]
    return {
        "type": "bar",
        "orientation": "h",
        "name": layer.name,
        "base": _rounded(layer.starts),
        "x": _rounded(lengths),
        "y": _rounded(layer.rows),
        "width": 0.8,
        "offset": -0.4,
        "marker": {"color": _var(layer.colour), "line": {"width": 1, "color": _var("paper")}},
        "hovertext": list(layer.hover),
        "hoverinfo": "text",
    }


def _heat(layer: Heat) -> Trace:
    return {
        "type": "heatmap",
        "name": layer.name,
        "z": [_rounded(row) for row in layer.shades],
        "text": [list(row) for row in layer.texts],
        "texttemplate": "%{text}",
        "hovertext": [list(row) for row in (layer.hover or layer.texts)],
        "hoverinfo": "text",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, _var("cold")], [1, _var("blue")]],
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }


def _hover(texts: Sequence[str]) -> Trace:
    return {"text": [t.replace("\n", "<br>") for t in texts], "hoverinfo": "text"} if texts else {}


def _var(colour: Colour | str) -> str:
    return f"var(--{colour})"


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    """As many digits as a picture shows; what is no number is a gap."""
    return [
        float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None
        for value in values
    ]
