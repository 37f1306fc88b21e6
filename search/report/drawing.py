"""The winner's layers as small drawings, one after the other."""

import math
from dataclasses import dataclass

from search.layers import Layer, Layers, Shape

SIDE = 76
"""Of the drawing of a layer, in pixels."""
COLOURS = (
    ("input", "grey"), ("conv_norm", "purple"), ("conv", "blue"), ("pool", "grey"),
    ("shortcut", "blue"), ("add", "grey"), ("norm", "purple"), ("embedding", "green"),
    ("dense", "orange"), ("output", "red"), ("logits", "red"),
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A layer with its picture, an SVG element."""

    layer: Layer
    picture: str


def drawn(layers: Layers) -> list[Drawn]:
    """Maps of pixels as stacked squares, rows of units as columns of dots."""
    largest = max((row.shape[0] for row in layers.rows if len(row.shape) == 3), default=1)
    return [Drawn(row, _picture(row, largest)) for row in layers.rows]


def _picture(row: Layer, largest: int) -> str:
    colour = next((c for start, c in COLOURS if row.name.startswith(start)), "grey")
    body = _maps(row.shape, largest) if len(row.shape) == 3 else _units(row.shape)
    return (
        f'<svg viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}" aria-hidden="true"'
        f' style="--of:var(--{colour})">{body}</svg>'
    )


def _maps(shape: Shape, largest: int) -> str:
    """As many squares as there are doublings of the filters, as large as the image still is."""
    count = 1 + min(6, round(math.log2(shape[-1])))
    side = 12 + 34 * math.sqrt(shape[0] / largest)
    step = min(4.0, (SIDE - 4 - side) / max(1, count))
    start = (SIDE - side - step * (count - 1)) / 2
    return "".join(
        f'<rect class="map" x="{start + i * step:.1f}" y="{start + i * step:.1f}"'
        f' width="{side:.1f}" height="{side:.1f}" rx="2"/>'
        for i in range(count)
    )


def _units(shape: Shape) -> str:
    """A column of dots that grows with the doublings of the units."""
    count = 1 if shape[-1] == 1 else 2 + min(7, round(math.log2(shape[-1]) * 0.7))
    columns = 1 if len(shape) == 1 else 3
    top = (SIDE - 8 * count) / 2 + 4
    left = (SIDE - 10 * (columns - 1)) / 2
    return "".join(
        f'<circle class="unit" cx="{left + 10 * c:.1f}" cy="{top + 8 * i:.1f}" r="3"/>'
        for c in range(columns)
        for i in range(count)
    )
