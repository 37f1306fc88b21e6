"""build_network: a config becomes a Keras model."""

import random

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
POOLINGS = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}


class InvalidShapeError(ValueError):
    """The layers do not fit on the input."""


def build_network(
    config: Config, input_shape: tuple[int, ...], n_classes: int, seed: int = 0
) -> keras.Model:
    """An untrained model that ends in probabilities.

    Args:
        input_shape: (side, side, channels) for images with raw 0-255 pixels, or (features,).
        n_classes: Units of the softmax; two classes get one sigmoid unit.
        seed: Decides the initial weights and what dropout drops.

    Raises:
        InvalidShapeError: a kernel or a pooling is larger than what is left of the image.
    """
    network = config.network
    _check_shapes(config, input_shape)
    # Keras would draw the layers' seeds from Python's global generator, which other threads of
    # a worker use as well: the same seed would give other weights.
    seeds = random.Random(seed)  # noqa: S311 - nothing secret
    inputs = keras.Input(input_shape, name="input")
    x = inputs
    if len(input_shape) == 3:
        x = layers.Rescaling(1 / 255, name="scale")(x)
    for number, block in enumerate(network.blocks, 1):
        x = _conv_block(x, block, config, str(number), seeds)
    if len(x.shape) > 2:
        x = layers.Flatten(name="flatten")(x)
    for number, layer in enumerate(network.layers, 1):
        x = _dense_layer(x, layer, config, str(number), seeds)
    units = 1 if n_classes == 2 else n_classes
    # Probabilities in float32 whatever the precision inside: a bfloat16 softmax is too coarse.
    initializer = keras.initializers.GlorotUniform(_next(seeds))
    x = layers.Dense(units, name="logits", dtype="float32", kernel_initializer=initializer)(x)
    activation = "sigmoid" if n_classes == 2 else "softmax"
    outputs = layers.Activation(activation, name="probabilities", dtype="float32")(x)
    return keras.Model(inputs, outputs, name=network.family)


def logits_of(model: keras.Model) -> keras.Model:
    """The same layers up to the last, which losses want for their precision."""
    return keras.Model(model.input, model.get_layer("logits").output)


def _conv_block(
    x: keras.KerasTensor, block: ConvBlock, config: Config, number: str, seeds: random.Random
) -> keras.KerasTensor:
    x = layers.Conv2D(
        block.filters, block.kernel_size, padding=block.padding, name=f"conv_{number}",
        **_kernel(config, seeds),
    )(x)  # fmt: skip
    if block.batch_norm == "before":
        x = layers.BatchNormalization(name=f"conv_norm_{number}")(x)
    x = layers.Activation(config.network.activation, name=f"conv_activation_{number}")(x)
    if block.pooling != "none":
        x = POOLINGS[block.pooling](2, name=f"pool_{number}")(x)
    if block.batch_norm == "after":
        x = layers.BatchNormalization(name=f"conv_norm_{number}")(x)
    if block.dropout:
        x = layers.Dropout(block.dropout, seed=_next(seeds), name=f"conv_dropout_{number}")(x)
    return x


def _dense_layer(
    x: keras.KerasTensor, layer: DenseLayer, config: Config, number: str, seeds: random.Random
) -> keras.KerasTensor:
    x = layers.Dense(layer.units, name=f"dense_{number}", **_kernel(config, seeds))(x)
    if layer.batch_norm == "before":
        x = layers.BatchNormalization(name=f"norm_{number}")(x)
    x = layers.Activation(config.network.activation, name=f"activation_{number}")(x)
    if layer.batch_norm == "after":
        x = layers.BatchNormalization(name=f"norm_{number}")(x)
    if layer.dropout:
        x = layers.Dropout(layer.dropout, seed=_next(seeds), name=f"dropout_{number}")(x)
    return x


def _next(seeds: random.Random) -> int:
    return seeds.randrange(2**31)


def _kernel(config: Config, seeds: random.Random) -> dict[str, object]:
    l1, l2 = config.regularization.l1, config.regularization.l2
    return {
        "kernel_initializer": INITIALIZERS[config.network.initializer](seed=_next(seeds)),
        "kernel_regularizer": keras.regularizers.L1L2(l1, l2) if l1 or l2 else None,
    }


def _check_shapes(config: Config, input_shape: tuple[int, ...]) -> None:
    """Says in our words what Keras would say in ten lines."""
    if not config.network.blocks:
        return
    if len(input_shape) != 3:
        raise InvalidShapeError("convolution blocks need images, and this task has a table")
    side = input_shape[0]
    for number, block in enumerate(config.network.blocks, 1):
        if block.padding == "valid":
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
