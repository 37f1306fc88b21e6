"""The layers as the terminal shows them are those that Keras builds."""

import keras
import pytest

from pipelines.networks import build_network
from pipelines.tasks import TASKS
from search.layers import Layers, layers_of, n_features
from search.space_check import draws
from spaces.config import Config, ConvBlock, DenseLayer, Network, Optimization, Training
from spaces.presets import PRESETS
from spaces.spaces import SPACES
from tests.configs import SHAPES

N_DRAWS = 10


def a_config(**network: object) -> Config:
    return Config(
        network=Network.model_validate(network),
        optimization=Optimization(optimizer="sgd", learning_rate=0.1, batch_size=8),
        training=Training(epochs=1),
    )


def shown(config: Config, task: str) -> Layers:
    return layers_of(config, SHAPES[task], TASKS[task].n_classes)


def assert_as_built(config: Config, task: str) -> None:
    model = build_network(config, SHAPES[task], TASKS[task].n_classes)
    layers = shown(config, task)
    assert layers.refusal == ""
    assert layers.weights == model.count_params()
    built = {layer.name: layer for layer in model.layers}
    for row in layers.rows:
        assert row.weights == built[row.name].count_params(), row
        assert row.shape == tuple(built[row.name].output.shape[1:]), row
    with_weights = {layer.name for layer in model.layers if layer.count_params()}
    assert {row.name for row in layers.rows if row.weights} == with_weights
    keras.backend.clear_session()


@pytest.mark.parametrize("name", PRESETS)
def test_the_layers_of_a_preset(name: str) -> None:
    preset = PRESETS[name]
    assert_as_built(preset.config, preset.task)
    if preset.parameters is not None:
        assert shown(preset.config, preset.task).weights == preset.parameters


@pytest.mark.parametrize("task", SPACES)
def test_the_layers_of_what_a_space_draws(task: str) -> None:
    for draw in draws(SPACES[task], Training(epochs=3), N_DRAWS):
        assert_as_built(draw.config, task)


@pytest.mark.parametrize(
    "block",
    [
        {"convolutions": 2, "residual": True, "padding": "same", "batch_norm": "before"},
        {"convolutions": 1, "residual": True, "padding": "same", "batch_norm": "after"},
        {"kernel_size": 2, "convolutions": 2, "padding": "valid", "pooling": "average"},
        {"kernel_size": 1, "pooling": "none", "dropout": 0.5},
    ],
)
@pytest.mark.parametrize("head", ["flatten", "average"])
def test_blocks_of_every_kind(block: dict[str, object], head: str) -> None:
    blocks = [{"filters": 4, **block}, {"filters": 4, **block}, {"filters": 6, **block}]
    assert_as_built(a_config(blocks=blocks, head=head, layers=[{"units": 3}]), "mnist")


def test_how_shapes_and_weights_come_about() -> None:
    rows = {row.name: row for row in shown(PRESETS["fashion_conv_64_64"].config, "fashion").rows}
    assert rows["conv_1"].why == "28 - 3 + 1 = 26; 64 x (3x3x1 + 1) = 640"
    assert rows["conv_1"].shape_text == "26x26x64"
    assert rows["pool_1"].why == "26 / 2 = 13"
    assert rows["pool_2"].why == "11 / 2 = 5, the last line is left out"
    assert rows["flatten"].why == "5 x 5 x 64 = 1,600"
    assert rows["dense_1"].why == "128 x (1600 + 1) = 204,928"


@pytest.mark.parametrize(
    ("network", "refusal"),
    [
        (
            {"blocks": [ConvBlock(filters=2, kernel_size=5), ConvBlock(filters=2)]},
            "block 2 has a kernel of 3 pixels on an image of 2",
        ),
        (
            {"blocks": [ConvBlock(filters=2, kernel_size=8)]},
            "block 1 pools an image of 1 pixel",
        ),
    ],
)
def test_layers_that_do_not_fit_are_shown_up_to_there(
    network: dict[str, object], refusal: str
) -> None:
    config = a_config(**network)
    layers = shown(config, "digits")
    assert layers.refusal == refusal
    assert layers.rows[-1].name.startswith(("pool", "conv"))
    with pytest.raises(ValueError, match=refusal):
        build_network(config, (8, 8, 1), 10)


def test_a_table_takes_no_convolutions() -> None:
    layers = shown(a_config(blocks=[ConvBlock(filters=2)]), "churn")
    assert layers.refusal == "convolution blocks need images, and this is a table"


@pytest.mark.parametrize(
    "network",
    [
        {"layers": [DenseLayer(units=6, batch_norm="before")]},
        {"embedding": 8, "layers": [DenseLayer(units=6)]},
        {},
    ],
)
@pytest.mark.parametrize("count", [1, 2, 11, 300])
def test_the_features_of_a_table_follow_from_the_weights(
    network: dict[str, object], count: int
) -> None:
    config = a_config(**network)
    weights = layers_of(config, (count,), 2).weights
    assert n_features(config, 2, weights) == count
    assert n_features(config, 2, 0) is None
