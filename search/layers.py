"""The layers of a config with their output shapes and weights, and how these come about.

Computed without TensorFlow, so that the terminal answers at once; a test holds them against the
networks that Keras builds.
"""

from dataclasses import dataclass
from typing import Literal

from spaces.config import Config, ConvBlock, DenseLayer

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer that has weights or changes the shape.

    Attributes:
        name: Keras' name for it.
        what: In words, with the activation that follows.
        shape: Of what comes out for one example.
        weights: Those included that batch normalization keeps and does not train.
        why_shape: How the shape comes about; empty where it stays as it was.
        why_weights: How the weights are counted; empty without any.
    """

    name: str
    what: str
    shape: Shape
    weights: int = 0
    why_shape: str = ""
    why_weights: str = ""

    @property
    def shape_text(self) -> str:
        return "x".join(str(length) for length in self.shape)

    @property
    def why(self) -> str:
        return "; ".join(text for text in (self.why_shape, self.why_weights) if text)


@dataclass(frozen=True)
class Layers:
    """A network from its input to its probabilities.

    Attributes:
        refusal: Why the layers from there on do not fit; empty where all do.
    """

    rows: tuple[Layer, ...]
    refusal: str = ""

    @property
    def weights(self) -> int:
        return sum(row.weights for row in self.rows)


def layers_of(config: Config, input_shape: Shape, n_classes: int) -> Layers:
    """What `build_network` builds of the config.

    Args:
        input_shape: (side, side, channels), or (features,).
        n_classes: Two classes get one unit.
    """
    walk = _Walk(config, input_shape)
    try:
        walk.network(n_classes)
    except _DoesNotFitError as error:
        return Layers(tuple(walk.rows), str(error))
    return Layers(tuple(walk.rows))


def n_features(config: Config, n_classes: int, n_weights: int) -> int | None:
    """How many features a table has on which the config has so many weights; None if none fits."""
    one, two = (layers_of(config, (n,), n_classes).weights for n in (1, 2))
    count, rest = divmod(n_weights - one, two - one)
    return count + 1 if rest == 0 and count >= 0 else None


class _DoesNotFitError(ValueError):
    pass


class _Walk:
    """Goes from layer to layer, in the order of `pipelines.networks`."""

    def __init__(self, config: Config, input_shape: Shape) -> None:
        self._network = config.network
        self._shape = input_shape
        columns = "" if len(input_shape) > 1 else f"{input_shape[0]} columns of the table"
        self.rows = [Layer("input", "input", input_shape, why_shape=columns)]

    def network(self, n_classes: int) -> None:
        for number, block in enumerate(self._network.blocks, 1):
            if len(self._shape) != 3:
                raise _DoesNotFitError("convolution blocks need images, and this is a table")
            self._block(block, number)
        if len(self._shape) > 1:
            self._head()
        if self._network.embedding:
            self._embedding(self._network.embedding)
        for number, layer in enumerate(self._network.layers, 1):
            self._layer(layer, number)
        units, end = (1, "sigmoid") if n_classes == 2 else (n_classes, "softmax")
        self._dense("logits", "output", units, end)

    def _block(self, block: ConvBlock, number: int) -> None:
        kept, act = self._shape, self._network.activation
        for position in range(1, block.convolutions + 1):
            name = f"{number}" if block.convolutions == 1 else f"{number}_{position}"
            adds = block.residual and position == block.convolutions
            follows = "" if adds or block.batch_norm == "before" else act
            self._convolution(block, number, f"conv_{name}", follows)
            if block.batch_norm == "before":
                self._norm(f"conv_norm_{name}", "" if adds else act)
            if adds:
                self._add(block, number, kept)
        if block.pooling != "none":
            self._pool(block.pooling, number)
        if block.batch_norm == "after":
            self._norm(f"conv_norm_{number}", "")

    def _convolution(self, block: ConvBlock, number: int, name: str, follows: str) -> None:
        side, _, depth = self._shape
        kernel, filters = block.kernel_size, block.filters
        if block.padding == "valid" and kernel > side:
            raise _DoesNotFitError(
                f"block {number} has a kernel of {kernel} pixels on an image of {side}"
            )
        after = side if block.padding == "same" else side - kernel + 1
        why = "same padding" if block.padding == "same" else f"{side} - {kernel} + 1 = {after}"
        weights = filters * (kernel * kernel * depth + 1)
        self._add_row(
            Layer(
                name,
                _what(f"conv {kernel}x{kernel}", follows),
                (after, after, filters),
                weights,
                why,
                f"{filters} x ({kernel}x{kernel}x{depth} + 1) = {weights:,}",
            )
        )

    def _add(self, block: ConvBlock, number: int, kept: Shape) -> None:
        """What went into the block, its filters fitted, is added to what comes out."""
        if kept[-1] != block.filters:
            weights = block.filters * (kept[-1] + 1)
            why = f"{block.filters} x (1x1x{kept[-1]} + 1) = {weights:,}"
            row = Layer(
                f"shortcut_{number}", "shortcut 1x1", self._shape, weights, "block's input", why
            )
            self._add_row(row)
        what = _what("sum", self._network.activation)
        self._add_row(Layer(f"add_{number}", what, self._shape, why_shape="with block's input"))

    def _pool(self, kind: Literal["max", "average"], number: int) -> None:
        side, _, depth = self._shape
        if side < 2:
            raise _DoesNotFitError(f"block {number} pools an image of {side} pixel")
        after = side // 2
        lost = ", the last line is left out" if side % 2 else ""
        what = f"{kind} pooling" if kind == "max" else "mean pooling"
        row = Layer(
            f"pool_{number}",
            what,
            (after, after, depth),
            why_shape=f"{side} / 2 = {after}{lost}",
        )
        self._add_row(row)

    def _head(self) -> None:
        *sides, depth = self._shape
        if self._network.head == "average":
            why = f"the mean of each of {depth} filters"
            self._add_row(Layer("average", "average", (depth,), why_shape=why))
            return
        self._flatten((*sides, depth))

    def _flatten(self, shape: Shape) -> None:
        count = 1
        for length in shape:
            count *= length
        why = f"{' x '.join(map(str, shape))} = {count:,}"
        self._add_row(Layer("flatten", "flatten", (count,), why_shape=why))

    def _embedding(self, units: int) -> None:
        (columns,) = self._shape
        weights = columns * units * 2
        row = Layer(
            "embedding",
            _what("embedding", "relu"),
            (columns, units),
            weights,
            "each column by itself",
            f"{columns} x {units} x (1 + 1) = {weights:,}",
        )
        self._add_row(row)
        self._flatten((columns, units))

    def _layer(self, layer: DenseLayer, number: int) -> None:
        act = self._network.activation
        before = layer.batch_norm == "before"
        self._dense(f"dense_{number}", "dense", layer.units, "" if before else act)
        if layer.batch_norm != "none":
            self._norm(f"norm_{number}", act if before else "")

    def _dense(self, name: str, what: str, units: int, follows: str) -> None:
        (inputs,) = self._shape
        weights = units * (inputs + 1)
        why = f"{units} x ({inputs} + 1) = {weights:,}"
        self._add_row(Layer(name, _what(what, follows), (units,), weights, why_weights=why))

    def _norm(self, name: str, follows: str) -> None:
        depth = self._shape[-1]
        why = f"4 x {depth} = {4 * depth:,}, half of them trained"
        what = _what("batch norm", follows)
        self._add_row(Layer(name, what, self._shape, 4 * depth, why_weights=why))

    def _add_row(self, row: Layer) -> None:
        self._shape = row.shape
        self.rows.append(row)


def _what(layer: str, follows: str) -> str:
    return f"{layer}, {follows}" if follows else layer
