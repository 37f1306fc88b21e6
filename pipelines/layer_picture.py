"""A drawing of a network's layers: what each does, what comes out of it, how many weights."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

WIDTH, TOP, LINE, BOX = 6.8, 0.5, 0.46, 0.33
"""Inches: the page, its title, the distance of two layers, the height of one."""
LEFT, RIGHT = 1.25, 4.75
"""Of the boxes, also in inches."""

COLOURS = {
    "Conv2D": "#cfe3f7",
    "Dense": "#d5ead0",
    "EinsumDense": "#d5ead0",
    "MaxPooling2D": "#fbe0c4",
    "AveragePooling2D": "#fbe0c4",
    "GlobalAveragePooling2D": "#fbe0c4",
    "BatchNormalization": "#e6dcf2",
    "Add": "#f7d6d6",
}
PLAIN, INK, FAINT, SHORTCUT = "#eceef1", "#24292f", "#8a8f98", "#c0362c"


@dataclass(frozen=True)
class Drawn:
    """A line of the drawing: a layer, with those behind it that change no shape.

    Attributes:
        words: What it does.
        shape: Of what comes out, for one example.
        sources: Positions of the lines that it takes in.
    """

    name: str
    kind: str
    words: str
    shape: tuple[int, ...]
    n_parameters: int
    sources: tuple[int, ...]


WORDS = {
    "InputLayer": "what comes in",
    "Rescaling": "pixels / 255",
    "Conv2D": "{0.filters} filters {0.kernel_size[0]}x{0.kernel_size[1]}, {0.padding}",
    "Dense": "{0.units} units",
    "EinsumDense": "{0.output.shape[2]} units a column, relu",
    "Activation": "{0.activation.__name__}",
    "Dropout": "dropout {0.rate:.3g}",
    "MaxPooling2D": "largest of {0.pool_size[0]}x{0.pool_size[1]}",
    "AveragePooling2D": "mean of {0.pool_size[0]}x{0.pool_size[1]}",
    "GlobalAveragePooling2D": "mean of each filter",
    "BatchNormalization": "batch norm",
    "Add": "sum of both",
    "Flatten": "in one row",
    "Reshape": "each column by itself",
}
"""By Keras' name of the layer."""


def layers_of(model: Any) -> list[Drawn]:  # noqa: ANN401 - Keras has no types
    """The lines for a Keras model."""
    lines: list[Drawn] = []
    line_of: dict[str, int] = {}
    for layer in model.layers:
        sources = _sources(layer, line_of)
        shape, n_parameters = tuple(layer.output.shape[1:]), int(layer.count_params())
        words = _words(layer)
        joins = sources == (len(lines) - 1,) and not n_parameters
        if joins and shape == lines[-1].shape:
            before = lines.pop()
            lines.append(replace(before, words=f"{before.words}, {words}"))
        else:
            lines.append(Drawn(layer.name, _kind(layer), words, shape, n_parameters, sources))
        line_of[layer.name] = len(lines) - 1
    return lines


def drawing(lines: Sequence[Drawn], title: str) -> bytes:
    """The picture, as PNG; the input is at the top."""
    height = TOP + LINE * len(lines) + 0.1
    figure = Figure(figsize=(WIDTH, height))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    axis.set_xlim(0, WIDTH)
    axis.set_ylim(height, 0)
    total = sum(line.n_parameters for line in lines)
    axis.text(0.12, 0.3, f"{title}: {total:,} parameters", fontsize=9, color=INK)
    axis.text(RIGHT + 0.1, 0.44, "comes out", fontsize=7, color=FAINT)
    axis.text(WIDTH - 0.12, 0.44, "parameters", fontsize=7, color=FAINT, ha="right")
    side = max([line.shape[0] for line in lines if len(line.shape) == 3], default=1)
    widest = max(math.prod(line.shape) for line in lines if len(line.shape) != 3)
    for place, line in enumerate(lines):
        _draw_box(axis, line, _middle(place))
        _draw_output(axis, line.shape, _middle(place), side, widest)
        if place - 1 in line.sources:
            ends = [_middle(place - 1) + BOX / 2, _middle(place) - BOX / 2]
            axis.plot([(LEFT + RIGHT) / 2] * 2, ends, color=FAINT, lw=1)
    _draw_shortcuts(axis, lines)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()


def _words(layer: Any) -> str:  # noqa: ANN401 - Keras has no types
    words = WORDS[_kind(layer)].format(layer)
    return "1 unit" if words == "1 units" else words


def _kind(layer: Any) -> str:  # noqa: ANN401 - as above
    """Keras' own name, also for a layer of ours that does the same."""
    return next(each.__name__ for each in type(layer).__mro__ if each.__name__ in WORDS)


def _sources(layer: Any, line_of: dict[str, int]) -> tuple[int, ...]:  # noqa: ANN401 - as above
    if _kind(layer) == "InputLayer":
        return ()
    inputs = layer.input if isinstance(layer.input, list) else [layer.input]
    return tuple(line_of[tensor._keras_history.operation.name] for tensor in inputs)


def _middle(place: int) -> float:
    return TOP + LINE * (place + 0.5)


def _draw_box(axis: Axes, line: Drawn, y: float) -> None:
    colour = COLOURS.get(line.kind, PLAIN)
    corner = (LEFT, y - BOX / 2)
    axis.add_patch(Rectangle(corner, RIGHT - LEFT, BOX, facecolor=colour, edgecolor=FAINT, lw=0.6))
    style: dict[str, Any] = {"va": "center", "color": INK}
    axis.text(LEFT + 0.08, y, line.name, fontsize=8, weight="bold", **style)
    axis.text(RIGHT - 0.08, y, line.words, fontsize=8, ha="right", **style)
    axis.text(RIGHT + 0.1, y, " x ".join(map(str, line.shape)), fontsize=8, **style)
    if line.n_parameters:
        axis.text(WIDTH - 0.12, y, f"{line.n_parameters:,}", fontsize=8, ha="right", **style)


def _draw_output(axis: Axes, shape: tuple[int, ...], y: float, side: int, widest: int) -> None:
    """What comes out, to scale: images as sheets, the more filters the more; numbers as a bar."""
    paint: dict[str, Any] = {"facecolor": "white", "edgecolor": INK, "lw": 0.6}
    middle = LEFT / 2 - 0.05
    if len(shape) != 3:
        length = 0.15 + 0.75 * math.log2(math.prod(shape)) / max(1.0, math.log2(widest))
        axis.add_patch(Rectangle((middle - length / 2, y - 0.05), length, 0.1, **paint))
        return
    size = max(0.04, 0.3 * shape[0] / side)
    n_sheets = 1 + min(4, round(math.log2(shape[-1]) / 2))
    for sheet in range(n_sheets):
        shift = (n_sheets / 2 - sheet) * 0.05
        axis.add_patch(Rectangle((middle - size / 2 + shift, y - size / 2), size, size, **paint))


def _draw_shortcuts(axis: Axes, lines: Sequence[Drawn]) -> None:
    """Lines by the side of the layers that they pass over."""
    links = [(a, b) for b, line in enumerate(lines) for a in line.sources if a < b - 1]
    for number, (source, place) in enumerate(links):
        x, start, end = LEFT - 0.1 - 0.07 * (number % 2), _middle(source) + 0.07, _middle(place)
        axis.plot([LEFT, x, x, LEFT], [start, start, end, end], color=SHORTCUT, lw=1)
        axis.plot(LEFT - 0.03, end, color=SHORTCUT, marker=">", markersize=4)
