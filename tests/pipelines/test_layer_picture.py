"""The drawing of a network's layers: agrees with Keras for every preset and space."""

from collections.abc import Callable

import optuna
import pytest

from pipelines import layer_picture, runtime
from pipelines.activations import LeanActivation
from pipelines.dropout import LeanDropout
from pipelines.layer_picture import Drawn
from pipelines.networks import build_network
from pipelines.normalization import FusedBatchNormalization
from pipelines.runtime import Runtime
from spaces.config import Config, ConvBlock, DenseLayer, Network, Training
from spaces.presets import PRESETS
from spaces.spaces import SPACES
from tests.pipelines.test_networks import INPUTS
from tests.pipelines.test_pictures import decoded


@pytest.fixture(autouse=True)
def _float32(how: Runtime) -> None:
    runtime.fresh_graph(how, seed=0)


def lines_of(config: Config, task: str) -> list[Drawn]:
    """Of the network as a session builds it; what they say must agree with Keras."""
    network = build_network(
        config,
        *INPUTS[task],
        norm=FusedBatchNormalization,
        activation=LeanActivation,
        dropout=LeanDropout,
    )
    lines = layer_picture.layers_of(network)
    assert sum(line.n_parameters for line in lines) == network.count_params()
    assert lines[-1].shape == tuple(network.output.shape[1:])
    return lines


def test_a_tutorials_network_is_drawn_as_people_draw_it() -> None:
    lines = lines_of(PRESETS["mnist_conv_net"].config, "mnist")
    assert [(line.name, line.shape, line.n_parameters, line.words) for line in lines] == [
        ("input", (28, 28, 1), 0, "what comes in, pixels / 255"),
        ("conv_1", (26, 26, 32), 320, "32 filters 3x3, valid, relu"),
        ("pool_1", (13, 13, 32), 0, "largest of 2x2"),
        ("conv_2", (11, 11, 64), 18_496, "64 filters 3x3, valid, relu"),
        ("pool_2", (5, 5, 64), 0, "largest of 2x2"),
        ("conv_3", (3, 3, 64), 36_928, "64 filters 3x3, valid, relu"),
        ("flatten", (576,), 0, "in one row"),
        ("dense_1", (64,), 36_928, "64 units, relu"),
        ("logits", (10,), 650, "10 units, softmax"),
    ]
    assert [line.sources for line in lines] == [(), *((place,) for place in range(8))]
    image = decoded(layer_picture.drawing(lines, "cnn"))
    assert image.shape[1] == round(layer_picture.WIDTH * 90)
    assert image[..., :3].std() > 0.05


def test_a_shortcut_is_drawn_past_the_layers_it_skips(config: Callable[..., Config]) -> None:
    block = ConvBlock(
        filters=4, convolutions=2, residual=True, padding="same", batch_norm="before"
    )
    lines = lines_of(
        config(Network(blocks=(block, block), layers=(DenseLayer(units=3),))), "digits"
    )
    place = {line.name: number for number, line in enumerate(lines)}
    first, second = lines[place["add_1"]], lines[place["add_2"]]
    assert set(first.sources) == {place["conv_norm_1_2"], place["shortcut_1"]}
    assert set(second.sources) == {place["conv_norm_2_2"], place["pool_1"]}
    assert lines[place["conv_norm_1_1"]].kind == "BatchNormalization"
    assert first.words == "sum of both, relu"
    with_it = decoded(layer_picture.drawing(lines, "residual"))
    red = (with_it[..., 0] > 0.7) & (with_it[..., 1] < 0.4)
    assert red.sum() > 50


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_drawn(name: str) -> None:
    lines = lines_of(PRESETS[name].config, PRESETS[name].task)
    assert decoded(layer_picture.drawing(lines, name)).shape[0] > 90


@pytest.mark.parametrize("task", SPACES)
def test_whatever_a_space_draws_is_drawn(task: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=7))
    for _ in range(5):
        config = SPACES[task].sample(study.ask(), Training(epochs=1))
        lines = lines_of(config, task)
        assert decoded(layer_picture.drawing(lines, config.title())).shape[0] > 90
        for place, line in enumerate(lines):
            assert all(source < place for source in line.sources)
