"""build_network: a config becomes a Keras model."""

import random
from dataclasses import dataclass

import keras
from keras import layers

from spaces.config import Config, ConvBlock, DenseLayer

INITIALIZERS = {
    "glorot_uniform": keras.initializers.GlorotUniform,
    "glorot_normal": keras.initializers.GlorotNormal,
    "he_uniform": keras.initializers.HeUniform,
    "he_normal": keras.initializers.HeNormal,
    "random_uniform": keras.initializers.RandomUniform,
}
HEADS = {"flatten": layers.Flatten, "average": layers.GlobalAveragePooling2D}
POOLINGS = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}


class InvalidShapeError(ValueError):
    """The layers do not fit on the input."""


def build_network(
    config: Config,
    input_shape: tuple[int, ...],
    n_classes: int,
    seed: int = 0,
    norm: type[keras.Layer] = layers.BatchNormalization,
    activation: type[keras.Layer] = layers.Activation,
    dropout: type[keras.Layer] = layers.Dropout,
) -> keras.Model:
    """An untrained model that ends in probabilities.

    Args:
        input_shape: (side, side, channels) for images with raw 0-255 pixels, or (features,).
        n_classes: Units of the softmax; two classes get one sigmoid unit.
        seed: Decides the initial weights and what dropout drops.
        norm: The layer for batch normalization, or one that computes the same faster.
        activation: The layer for activations, or one that computes the same.
        dropout: The layer for dropout, or one that drops as much.

    Raises:
        InvalidShapeError: a kernel or a pooling is larger than what is left of the image.
    """
    _check_shapes(config, input_shape)
    make = _Layers(config, random.Random(seed), norm, activation, dropout)  # noqa: S311 - nothing secret
    inputs = keras.Input(input_shape, name="input")
    x = inputs
    if len(input_shape) == 3:
        x = layers.Rescaling(1 / 255, name="scale")(x)
    for number, block in enumerate(config.network.blocks, 1):
        x = make.conv_block(x, block, number)
    if len(x.shape) > 2:
        x = HEADS[config.network.head](name=config.network.head)(x)
    if config.network.embedding:
        x = make.embedding(x)
    for number, layer in enumerate(config.network.layers, 1):
        x = make.dense_layer(x, layer, number)
    outputs = make.probabilities(x, n_classes)
    return keras.Model(inputs, outputs, name=config.network.family)


def logits_of(model: keras.Model) -> keras.Model:
    """The same layers up to the last, which losses want for their precision."""
    return keras.Model(model.input, model.get_layer("logits").output)


@dataclass(frozen=True)
class _Layers:
    """Makes the layers of one network.

    Keras would draw the layers' seeds from Python's global generator, which other threads of a
    worker use as well: the same seed would give other weights.
    """

    config: Config
    seeds: random.Random
    norm: type[keras.Layer]
    activation: type[keras.Layer]
    dropout: type[keras.Layer]

    def conv_block(self, x: keras.KerasTensor, block: ConvBlock, number: int) -> keras.KerasTensor:
        kept = x
        for position in range(1, block.convolutions + 1):
            name = f"{number}" if block.convolutions == 1 else f"{number}_{position}"
            x = self._convolution(x, block, block.kernel_size, f"conv_{name}")
            if block.batch_norm == "before":
                x = self.norm(name=f"conv_norm_{name}")(x)
            if block.residual and position == block.convolutions:
                if kept.shape[-1] != block.filters:
                    kept = self._convolution(kept, block, 1, f"shortcut_{number}")
                x = layers.Add(name=f"add_{number}")([x, kept])
            x = self._activated(x, f"conv_activation_{name}")
        if block.pooling != "none":
            x = POOLINGS[block.pooling](2, name=f"pool_{number}")(x)
        if block.batch_norm == "after":
            x = self.norm(name=f"conv_norm_{number}")(x)
        return self._dropout(x, block.dropout, f"conv_dropout_{number}")

    def _convolution(
        self, x: keras.KerasTensor, block: ConvBlock, size: int, name: str
    ) -> keras.KerasTensor:
        return layers.Conv2D(
            block.filters, size, padding=block.padding, name=name, **self._kernel()
        )(x)

    def embedding(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """A small layer for each column alone, which can bend where that column asks for it."""
        units = self.config.network.embedding
        x = layers.Reshape((x.shape[-1], 1), name="columns")(x)
        x = layers.EinsumDense(
            "bci,ciu->bcu",
            (x.shape[1], units),
            bias_axes="cu",
            activation="relu",
            kernel_initializer=keras.initializers.RandomNormal(seed=self._seed()),
            bias_initializer=keras.initializers.RandomUniform(-1, 1, seed=self._seed()),
            name="embedding",
        )(x)
        return layers.Flatten(name="flatten")(x)

    def dense_layer(
        self, x: keras.KerasTensor, layer: DenseLayer, number: int
    ) -> keras.KerasTensor:
        x = layers.Dense(layer.units, name=f"dense_{number}", **self._kernel())(x)
        if layer.batch_norm == "before":
            x = self.norm(name=f"norm_{number}")(x)
        x = self._activated(x, f"activation_{number}")
        if layer.batch_norm == "after":
            x = self.norm(name=f"norm_{number}")(x)
        return self._dropout(x, layer.dropout, f"dropout_{number}")

    def probabilities(self, x: keras.KerasTensor, n_classes: int) -> keras.KerasTensor:
        """In float32 whatever the precision inside: a bfloat16 softmax is too coarse."""
        units, activation = (1, "sigmoid") if n_classes == 2 else (n_classes, "softmax")
        x = layers.Dense(
            units,
            name="logits",
            dtype="float32",
            kernel_initializer=keras.initializers.GlorotUniform(self._seed()),
        )(x)
        return layers.Activation(activation, name="probabilities", dtype="float32")(x)

    def _activated(self, x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return self.activation(self.config.network.activation, name=name)(x)

    def _dropout(self, x: keras.KerasTensor, rate: float, name: str) -> keras.KerasTensor:
        return self.dropout(rate, seed=self._seed(), name=name)(x) if rate else x

    def _kernel(self) -> dict[str, object]:
        l1, l2 = self.config.regularization.l1, self.config.regularization.l2
        initializer = INITIALIZERS[self.config.network.initializer]
        return {
            "kernel_initializer": initializer(seed=self._seed()),
            "kernel_regularizer": keras.regularizers.L1L2(l1, l2) if l1 or l2 else None,
        }

    def _seed(self) -> int:
        return self.seeds.randrange(2**31)


def _check_shapes(config: Config, input_shape: tuple[int, ...]) -> None:
    """Says in our words what Keras would say in ten lines."""
    if not config.network.blocks:
        return
    if len(input_shape) != 3:
        raise InvalidShapeError("convolution blocks need images, and this task has a table")
    side = input_shape[0]
    for number, block in enumerate(config.network.blocks, 1):
        for _ in range(block.convolutions if block.padding == "valid" else 0):
            if block.kernel_size > side:
                raise InvalidShapeError(
                    f"block {number} has a kernel of {block.kernel_size} pixels"
                    f" on an image of {side}"
                )
            side = side - block.kernel_size + 1
        if block.pooling != "none":
            if side < 2:
                raise InvalidShapeError(f"block {number} pools an image of {side} pixel")
            side //= 2
