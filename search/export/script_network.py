"""The part of a training script that builds the network, layer by layer."""

from collections.abc import Iterator

from search.export.script_text import wrapped
from spaces.config import Config, ConvBlock, DenseLayer

_POOLINGS = {"max": "MaxPooling2D", "average": "AveragePooling2D"}
_HEADS = {"flatten": "Flatten", "average": "GlobalAveragePooling2D"}


def network_code(config: Config, *, images: bool, n_classes: int) -> str:
    """The function `build_network(input_shape)`.

    Args:
        images: Whether the inputs are raw pixels, and not the columns of a table.
    """
    lines = [
        "def build_network(input_shape):",
        f'    """From {"raw 0-255 pixels" if images else "prepared columns"} to probabilities."""',
        "    inputs = keras.Input(input_shape)",
        f"    x = {'layers.Rescaling(1 / 255)(inputs)' if images else 'inputs'}",
    ]
    writer = _Lines(config)
    channels = 1  # of gray images
    for block in config.network.blocks:
        lines += ["", *writer.block(block, channels)]
        channels = block.filters
    if images:
        lines += ["", *writer.head()]
    if config.network.embedding:
        lines += ["", *writer.embedding()]
    for layer in config.network.layers:
        lines += ["", *writer.dense(layer)]
    units, activation = (1, "sigmoid") if n_classes == 2 else (n_classes, "softmax")
    lines += [
        "",
        f'    outputs = layers.Dense({units}, activation="{activation}")(x)',
        "    return keras.Model(inputs, outputs)",
    ]
    return "\n".join(lines)


def kernel_constant(config: Config) -> str:
    """What all hidden layers say of their weights; empty where that is Keras' default."""
    entries = []
    if config.network.initializer != "glorot_uniform":
        entries.append(f'"kernel_initializer": "{config.network.initializer}"')
    if penalty := _penalty(config):
        entries.append(f'"kernel_regularizer": {penalty}')
    if not entries or not (config.network.blocks or config.network.layers):
        return ""
    return wrapped("KERNEL = {", entries, "}")


def _penalty(config: Config) -> str:
    l1, l2 = config.regularization.l1, config.regularization.l2
    if l1 and l2:
        return f"keras.regularizers.L1L2({l1!r}, {l2!r})"
    if l1:
        return f"keras.regularizers.L1({l1!r})"
    return f"keras.regularizers.L2({l2!r})" if l2 else ""


class _Lines:
    """Writes the lines of each kind of layer."""

    def __init__(self, config: Config) -> None:
        self._network = config.network
        self._kernel = ", **KERNEL" if kernel_constant(config) else ""

    def block(self, block: ConvBlock, channels: int) -> Iterator[str]:
        padding = ', padding="same"' if block.padding == "same" else ""
        if block.residual:
            yield "    kept = x"
        for position in range(1, block.convolutions + 1):
            adds = block.residual and position == block.convolutions
            convolution = f"Conv2D({block.filters}, {block.kernel_size}{padding}"
            yield from self._with_activation(
                convolution,
                normalized=block.batch_norm == "before",
                added=list(self._shortcut(block, channels)) if adds else [],
            )
        if block.pooling != "none":
            yield f"    x = layers.{_POOLINGS[block.pooling]}(2)(x)"
        yield from self._after(block)

    def dense(self, layer: DenseLayer) -> Iterator[str]:
        normalized = layer.batch_norm == "before"
        yield from self._with_activation(f"Dense({layer.units}", normalized=normalized, added=[])
        yield from self._after(layer)

    def head(self) -> Iterator[str]:
        yield f"    x = layers.{_HEADS[self._network.head]}()(x)"

    def embedding(self) -> Iterator[str]:
        yield from (
            "    # A small layer for each column alone (Gorishniy et al., 2022).",
            "    x = layers.Reshape((-1, 1))(x)",
            "    x = layers.EinsumDense(",
            '        "bci,ciu->bcu",',
            f"        (x.shape[1], {self._network.embedding}),",
            '        bias_axes="cu",',
            '        activation="relu",',
            '        kernel_initializer="random_normal",',
            "        bias_initializer=keras.initializers.RandomUniform(-1, 1),",
            "    )(x)",
            "    x = layers.Flatten()(x)",
        )

    def _shortcut(self, block: ConvBlock, channels: int) -> Iterator[str]:
        if channels != block.filters:
            yield f"    kept = layers.Conv2D({block.filters}, 1{self._kernel})(kept)"
        yield "    x = layers.Add()([x, kept])"

    def _with_activation(self, layer: str, *, normalized: bool, added: list[str]) -> Iterator[str]:
        """A layer with its activation, for which something may have to wait its turn."""
        activation = self._network.activation
        if not normalized and not added:
            yield f'    x = layers.{layer}, activation="{activation}"{self._kernel})(x)'
            return
        yield f"    x = layers.{layer}{self._kernel})(x)"
        if normalized:
            yield "    x = layers.BatchNormalization()(x)"
        yield from added
        yield f'    x = layers.Activation("{activation}")(x)'

    def _after(self, part: ConvBlock | DenseLayer) -> Iterator[str]:
        if part.batch_norm == "after":
            yield "    x = layers.BatchNormalization()(x)"
        if part.dropout:
            yield f"    x = layers.Dropout({part.dropout!r})(x)"
