"""Networks: what a config says is what Keras builds."""

import random
from collections.abc import Callable
from typing import get_args

import keras
import numpy as np
import optuna
import pytest

from pipelines import runtime
from pipelines.networks import (
    INITIALIZERS,
    POOLINGS,
    InvalidShapeError,
    build_network,
    logits_of,
)
from pipelines.runtime import Runtime
from spaces.config import (
    BatchNorm,
    Config,
    ConvBlock,
    DenseLayer,
    Network,
    Regularization,
    Training,
)
from spaces.presets import PRESETS
from spaces.spaces import SPACES

MakeConfig = Callable[..., Config]

INPUTS = {
    "fashion": ((28, 28, 1), 10),
    "mnist": ((28, 28, 1), 10),
    "churn": ((11,), 2),
    "digits": ((8, 8, 1), 10),
    "iris": ((4,), 3),
    "xor": ((2,), 2),
}


@pytest.fixture(autouse=True)
def _float32(how: Runtime) -> None:
    runtime.fresh_graph(how, seed=0)


def raw_inputs(task: str, count: int = 6) -> np.ndarray:
    shape, _ = INPUTS[task]
    generator = np.random.default_rng(0)
    if len(shape) == 3:
        return generator.integers(0, 256, (count, *shape)).astype(np.float32)
    return generator.normal(size=(count, *shape)).astype(np.float32)


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def weights(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.get_weights()]


def test_the_seed_alone_decides_the_weights(config: MakeConfig) -> None:
    network = Network(blocks=(ConvBlock(filters=4),), layers=(DenseLayer(units=8),))

    def kernels(seed: int) -> list[np.ndarray]:
        random.random()  # as another thread of the worker may do
        model = build_network(config(network), (8, 8, 1), 10, seed)
        return [weight for weight in weights(model) if weight.ndim > 1]

    for first, again, other in zip(kernels(3), kernels(3), kernels(4), strict=True):
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_tables_and_config_name_the_same_initializers_and_poolings() -> None:
    initializers = get_args(Network.model_fields["initializer"].annotation)
    poolings = get_args(ConvBlock.model_fields["pooling"].annotation)
    assert set(INITIALIZERS) == set(initializers)
    assert {*POOLINGS, "none"} == set(poolings)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_for_its_task(name: str) -> None:
    preset = PRESETS[name]
    shape, n_classes = INPUTS[preset.task]
    model = build_network(preset.config, shape, n_classes)
    assert model.output_shape == (None, 1 if n_classes == 2 else n_classes)
    if preset.parameters is not None:
        assert model.count_params() == preset.parameters


@pytest.mark.parametrize("task", SPACES)
def test_what_a_space_draws_can_be_built(task: str) -> None:
    shape, n_classes = INPUTS[task]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=7))
    for _ in range(5):
        drawn = SPACES[task].sample(study.ask(), Training(epochs=1))
        model = build_network(drawn, shape, n_classes)
        assert model.output_shape == (None, 1 if n_classes == 2 else n_classes)
        assert model.name == drawn.network.family


@pytest.mark.parametrize("task", INPUTS)
def test_the_outputs_are_probabilities(task: str, config: MakeConfig) -> None:
    shape, n_classes = INPUTS[task]
    network = Network(layers=(DenseLayer(units=8),))
    outputs = build_network(config(network), shape, n_classes)(raw_inputs(task)).numpy()
    assert ((outputs >= 0) & (outputs <= 1)).all()
    if n_classes > 2:
        assert np.allclose(outputs.sum(axis=1), 1, atol=1e-6)
    else:
        assert outputs.shape == (6, 1)


def test_an_image_network_computes_on_pixels_divided_by_255(config: MakeConfig) -> None:
    images = raw_inputs("mnist")
    model = build_network(config(Network(layers=(DenseLayer(units=16),))), (28, 28, 1), 10)
    kernel, bias, last_kernel, last_bias = weights(model)
    hidden = np.maximum((images / 255).reshape(len(images), -1) @ kernel + bias, 0)
    logits = hidden @ last_kernel + last_bias
    by_hand = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(model(images), by_hand, atol=1e-5)
    assert np.allclose(logits_of(model)(images), logits, atol=1e-5)


def test_a_table_network_computes_on_the_features_as_they_are(config: MakeConfig) -> None:
    rows = raw_inputs("churn")
    network = Network(layers=(DenseLayer(units=6),), activation="tanh")
    model = build_network(config(network), (11,), 2)
    kernel, bias, last_kernel, last_bias = weights(model)
    logits = np.tanh(rows @ kernel + bias) @ last_kernel + last_bias
    assert np.allclose(model(rows), 1 / (1 + np.exp(-logits)), atol=1e-6)


@pytest.mark.parametrize(
    ("batch_norm", "block", "layer"),
    [
        (
            "none",
            ["conv_1", "conv_activation_1", "pool_1", "conv_dropout_1"],
            ["dense_1", "activation_1", "dropout_1"],
        ),
        (
            "before",
            ["conv_1", "conv_norm_1", "conv_activation_1", "pool_1", "conv_dropout_1"],
            ["dense_1", "norm_1", "activation_1", "dropout_1"],
        ),
        (
            "after",
            ["conv_1", "conv_activation_1", "pool_1", "conv_norm_1", "conv_dropout_1"],
            ["dense_1", "activation_1", "norm_1", "dropout_1"],
        ),
    ],
)
def test_batch_norm_stands_before_or_after_activation_and_pooling(
    batch_norm: BatchNorm, block: list[str], layer: list[str], config: MakeConfig
) -> None:
    network = Network(
        blocks=(ConvBlock(filters=4, batch_norm=batch_norm, dropout=0.2),),
        layers=(DenseLayer(units=4, batch_norm=batch_norm, dropout=0.2),),
    )
    expected = ["input", "scale", *block, "flatten", *layer, "logits", "probabilities"]
    assert names(build_network(config(network), (28, 28, 1), 10)) == expected


def test_convolutions_stand_in_a_row_before_the_pooling(config: MakeConfig) -> None:
    network = Network(blocks=(ConvBlock(filters=4, convolutions=2, batch_norm="before"),))
    model = build_network(config(network), (28, 28, 1), 10)
    block = [f"conv{kind}_1_{i}" for i in (1, 2) for kind in ("", "_norm", "_activation")]
    expected = ["input", "scale", *block, "pool_1", "flatten", "logits", "probabilities"]
    assert names(model) == expected
    assert model.get_layer("pool_1").output.shape == (None, 12, 12, 4)


def test_a_residual_block_adds_its_input_before_the_last_activation(config: MakeConfig) -> None:
    block = ConvBlock(filters=4, convolutions=2, residual=True, padding="same", pooling="none")
    model = build_network(config(Network(blocks=(block, block))), (8, 8, 1), 10)
    first, second = model.get_layer("add_1"), model.get_layer("add_2")
    sources = [tensor._keras_history.operation.name for tensor in (*first.input, *second.input)]
    assert sources == ["conv_1_2", "shortcut_1", "conv_2_2", "conv_activation_1_2"]
    assert model.get_layer("conv_activation_1_2").input is first.output
    # What does not change in a block passes it by.
    for name in ("conv_2_1", "conv_2_2"):
        layer = model.get_layer(name)
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    outputs = [model.get_layer(f"conv_activation_{i}_2").output for i in (1, 2)]
    before, after = keras.Model(model.input, outputs)(raw_inputs("digits"))
    assert np.array_equal(before, after)
    assert np.ptp(before) > 0


def test_the_average_head_hands_on_one_number_a_filter(config: MakeConfig) -> None:
    network = Network(blocks=(ConvBlock(filters=6),), head="average")
    model = build_network(config(network), (28, 28, 1), 10)
    inputs = raw_inputs("fashion")
    pooled = keras.Model(model.input, model.get_layer("pool_1").output)(inputs)
    logits = logits_of(model)(inputs)
    kernel, bias = model.get_layer("logits").get_weights()
    assert kernel.shape == (6, 10)
    assert np.allclose(np.mean(pooled, axis=(1, 2)) @ kernel + bias, logits, atol=1e-5)


def test_an_embedding_bends_each_column_by_itself(config: MakeConfig) -> None:
    network = Network(embedding=3, layers=(DenseLayer(units=5),))
    model = build_network(config(network), (4,), 3)
    assert names(model)[1:5] == ["columns", "embedding", "flatten", "dense_1"]
    rows = raw_inputs("iris")
    kernel, bias = model.get_layer("embedding").get_weights()
    embedded = keras.Model(model.input, model.get_layer("embedding").output)(rows)
    expected = np.maximum(rows[:, :, None] * kernel[:, 0] + bias, 0)
    assert expected.shape == (len(rows), 4, 3)
    assert np.allclose(embedded, expected, atol=1e-6)
    assert len(np.unique(bias)) == 12


def test_what_a_layer_does_not_ask_for_is_not_in_the_network(config: MakeConfig) -> None:
    network = Network(blocks=(ConvBlock(filters=4, pooling="none"),))
    expected = ["input", "scale", "conv_1", "conv_activation_1", "flatten"]
    model = build_network(config(network), (8, 8, 1), 10)
    assert names(model) == [*expected, "logits", "probabilities"]


def test_pooling_and_padding_are_the_ones_asked_for(config: MakeConfig) -> None:
    blocks = (
        ConvBlock(filters=2, padding="same", pooling="average"),
        ConvBlock(filters=3, kernel_size=5, padding="valid", pooling="max"),
    )
    model = build_network(config(Network(blocks=blocks)), (28, 28, 1), 10)
    shapes = [
        model.get_layer(name).output.shape for name in ("conv_1", "pool_1", "conv_2", "pool_2")
    ]
    assert shapes == [(None, 28, 28, 2), (None, 14, 14, 2), (None, 10, 10, 3), (None, 5, 5, 3)]
    kinds = [type(model.get_layer(name)).__name__ for name in ("pool_1", "pool_2")]
    assert kinds == ["AveragePooling2D", "MaxPooling2D"]


@pytest.mark.parametrize("strength", [(0.0, 0.0), (1e-3, 0.0), (0.0, 2e-3), (1e-3, 2e-3)])
def test_penalties_lie_on_every_kernel_but_the_last(
    strength: tuple[float, float], config: MakeConfig
) -> None:
    network = Network(blocks=(ConvBlock(filters=4),), layers=(DenseLayer(units=5),))
    l1, l2 = strength
    regularization = Regularization(l1=l1, l2=l2)
    model = build_network(config(network, regularization=regularization), (8, 8, 1), 10)
    kernels = [weight for weight in weights(model)[:4] if weight.ndim > 1]
    penalty = sum(l1 * np.abs(kernel).sum() + l2 * (kernel**2).sum() for kernel in kernels)
    assert len(kernels) == 2
    assert len(model.losses) == (2 if any(strength) else 0)
    assert sum(float(loss) for loss in model.losses) == pytest.approx(penalty, rel=1e-5)


def test_the_initializer_and_the_activation_are_the_ones_asked_for(config: MakeConfig) -> None:
    network = Network(
        layers=(DenseLayer(units=400),), initializer="random_uniform", activation="elu"
    )
    model = build_network(config(network), (11,), 2)
    kernel = weights(model)[0]
    assert 0.045 < np.abs(kernel).max() <= 0.05  # Keras' random_uniform
    assert model.get_layer("activation_1").activation is keras.activations.elu


@pytest.mark.parametrize(
    ("blocks", "shape", "message"),
    [
        (
            (ConvBlock(filters=2, kernel_size=9),),
            (8, 8, 1),
            "block 1 has a kernel of 9 pixels on an image of 8",
        ),
        (
            (ConvBlock(filters=2), ConvBlock(filters=2, kernel_size=5)),
            (8, 8, 1),
            "block 2 has a kernel of 5 pixels on an image of 3",
        ),
        (
            (ConvBlock(filters=2), ConvBlock(filters=2), ConvBlock(filters=2, kernel_size=1)),
            (8, 8, 1),
            "block 2 pools an image of 1 pixel",
        ),
        (
            (ConvBlock(filters=2, kernel_size=5, convolutions=2, pooling="none"),),
            (8, 8, 1),
            "block 1 has a kernel of 5 pixels on an image of 4",
        ),
        ((ConvBlock(filters=2),), (11,), "need images, and this task has a table"),
    ],
)
def test_layers_that_do_not_fit_are_an_error_that_names_the_block(
    blocks: tuple[ConvBlock, ...], shape: tuple[int, ...], message: str, config: MakeConfig
) -> None:
    with pytest.raises(InvalidShapeError, match=message):
        build_network(config(Network(blocks=blocks)), shape, 10)


@pytest.mark.parametrize(
    "blocks",
    [
        (ConvBlock(filters=2, kernel_size=7),),  # leaves 2 pixels, which are pooled to 1
        (ConvBlock(filters=2, kernel_size=8, pooling="none"),),
        (ConvBlock(filters=2, kernel_size=15, padding="same"),),
    ],
)
def test_layers_that_just_fit_are_built(blocks: tuple[ConvBlock, ...], config: MakeConfig) -> None:
    model = build_network(config(Network(blocks=blocks)), (8, 8, 1), 10)
    assert model(np.zeros((1, 8, 8, 1), np.float32)).shape == (1, 10)
