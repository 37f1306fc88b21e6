"""Presets: the tutorials' models, their sizes, and which of them a search can start from."""

from collections.abc import Callable

import pytest

from spaces.config import OPTIMIZER_DEFAULTS, Config
from spaces.errors import InputError
from spaces.presets import PRESETS, find_preset, presets_of
from spaces.spaces import SPACES

INPUTS = {"fashion": 28 * 28, "mnist": 28 * 28, "churn": 11, "iris": 4, "xor": 2}
OUTPUTS = {"fashion": 10, "mnist": 10, "churn": 1, "iris": 3, "xor": 1}

FITS = {
    "fashion_dense_128": True,
    "fashion_conv_64_64": True,
    "fashion_cnn_he": True,
    "fashion_mlp_128_100": False,  # two rates of dropout
    "fashion_mlp_300_128": True,
    "fashion_mlp_wide_bn": False,  # 2048 units
    "mnist_mlp_300": True,
    "mnist_mlp_512": True,
    "mnist_mlp_512_512": True,
    "mnist_mlp_512_512_dropout": True,
    "mnist_conv_net": True,
    "mnist_conv_net_l1": True,
    "mnist_conv_net_l2": True,
    "mnist_conv_net_batch_norm": False,  # batch normalization after the activation
    "mnist_conv_net_dropout": False,  # dropout after the first block only
    "mnist_conv_net_augmented": False,  # shear
    "mnist_le_net": True,
    "mnist_cnn_early_stopping": False,  # dropout after the last block only
    "churn_mlp_6_6": True,
    "iris_mlp_32": True,
    "xor_8_4": True,
}


def count_parameters(config: Config, task: str, sides: list[int]) -> int:
    """Weights, biases and the four numbers a channel of batch normalization."""
    channels, total = 1, 0
    for block in config.network.blocks:
        total += (block.kernel_size**2 * channels + 1) * block.filters
        total += 0 if block.batch_norm == "none" else 4 * block.filters
        channels = block.filters
    width = sides[-1] ** 2 * channels if config.network.blocks else INPUTS[task]
    for layer in config.network.layers:
        total += (width + 1) * layer.units
        total += 0 if layer.batch_norm == "none" else 4 * layer.units
        width = layer.units
    return total + (width + 1) * OUTPUTS[task]


@pytest.mark.parametrize(
    "name", [name for name, preset in PRESETS.items() if preset.parameters is not None]
)
def test_the_network_has_the_authors_number_of_parameters(
    name: str, sides: Callable[[Config, int], list[int]]
) -> None:
    preset = PRESETS[name]
    side = SPACES[preset.task].image_side or 1
    walked = sides(preset.config, side)
    assert count_parameters(preset.config, preset.task, walked) == preset.parameters


def test_which_presets_fit_the_space_of_their_task() -> None:
    fits = {p.name: SPACES[p.task].contains(p.config) for p in PRESETS.values()}
    assert fits == FITS


@pytest.mark.parametrize(
    ("name", "title", "epochs", "batch"),
    [
        ("fashion_dense_128", "mlp d128 adam", 5, 32),
        ("fashion_conv_64_64", "cnn 3x64-64 d128 adam", 5, 32),
        ("fashion_cnn_he", "cnn 3x32 d100 adam", 15, 32),
        ("fashion_mlp_128_100", "mlp d128-100 adam", 50, 500),
        ("fashion_mlp_300_128", "mlp d300-128 adam", 50, 500),
        ("fashion_mlp_wide_bn", "mlp d2048-1024-1024 adam", 100, 256),
        ("mnist_mlp_300", "mlp d300 rmsprop", 10, 500),
        ("mnist_mlp_512", "mlp d512 adam", 60, 256),
        ("mnist_mlp_512_512", "mlp d512-512 adam", 60, 256),
        ("mnist_mlp_512_512_dropout", "mlp d512-512 adam", 60, 256),
        ("mnist_conv_net", "cnn 3x32-64-64 d64 adam", 60, 256),
        ("mnist_conv_net_l1", "cnn 3x32-64-64 d64 adam", 60, 256),
        ("mnist_conv_net_l2", "cnn 3x32-64-64 d64 adam", 60, 256),
        ("mnist_conv_net_batch_norm", "cnn 3x32-64-64 d64 adam", 60, 256),
        ("mnist_conv_net_dropout", "cnn 3x32-64-64 d64 adam", 60, 256),
        ("mnist_conv_net_augmented", "cnn 3x32-64-64 d64 adam", 60, 64),
        ("mnist_le_net", "cnn 5x20-50 d500 adam", 60, 256),
        ("mnist_cnn_early_stopping", "cnn 3x32-64 adam", 30, 128),
        ("churn_mlp_6_6", "mlp d6-6 adam", 100, 10),
        ("iris_mlp_32", "mlp d32-32-32 adam", 100, 32),
        ("xor_8_4", "mlp d8-4 adam", 500, 1),
    ],
)
def test_a_preset_is_its_row_of_the_table(name: str, title: str, epochs: int, batch: int) -> None:
    config = PRESETS[name].config
    assert config.title() == title
    assert (config.training.epochs, config.optimization.batch_size) == (epochs, batch)


def test_a_preset_trains_at_the_default_rate_of_a_constant_schedule() -> None:
    for preset in PRESETS.values():
        chosen = preset.config.optimization
        own = {name: getattr(chosen, name) for name in OPTIMIZER_DEFAULTS[chosen.optimizer]}
        assert (chosen.learning_rate, chosen.schedule) == (0.001, "constant")
        assert own == OPTIMIZER_DEFAULTS[chosen.optimizer]
        assert preset.config.training.final_decay == 0


def test_what_sets_a_preset_apart_from_its_plain_network() -> None:
    configs = {name: preset.config for name, preset in PRESETS.items()}
    norm, dropout = configs["mnist_conv_net_batch_norm"], configs["mnist_conv_net_dropout"]
    wide, early = configs["fashion_mlp_wide_bn"], configs["mnist_cnn_early_stopping"]
    augmented = configs["mnist_conv_net_augmented"].augmentation
    assert configs["fashion_cnn_he"].network.initializer == "he_uniform"
    assert configs["churn_mlp_6_6"].network.initializer == "random_uniform"
    assert [d.dropout for d in configs["fashion_mlp_128_100"].network.layers] == [0.25, 0.5]
    assert [d.batch_norm for d in wide.network.layers] == ["none", "before", "before"]
    assert configs["mnist_conv_net_l1"].regularization.l1 == 1e-4
    assert configs["mnist_conv_net_l2"].regularization.l2 == 1e-4
    assert [b.pooling for b in norm.network.blocks] == ["max", "max", "none"]
    assert [b.batch_norm for b in norm.network.blocks] == ["after", "none", "none"]
    assert [d.batch_norm for d in norm.network.layers] == ["after"]
    assert [b.dropout for b in dropout.network.blocks] == [0.25, 0, 0]
    assert [d.dropout for d in dropout.network.layers] == [0.5]
    assert (augmented.rotation, augmented.shift) == (8, 0.08)
    assert (augmented.zoom, augmented.shear) == (0.08, 0.3)
    assert {b.padding for b in configs["mnist_le_net"].network.blocks} == {"same"}
    assert [b.dropout for b in early.network.blocks] == [0, 0.5]
    assert (early.training.patience, early.training.min_delta) == (2, 0.0005)


def test_presets_are_found_by_task_and_name() -> None:
    assert [preset.name for preset in presets_of("churn")] == ["churn_mlp_6_6"]
    assert find_preset("mnist", "mnist_le_net") is PRESETS["mnist_le_net"]
    assert presets_of("digits") == []


@pytest.mark.parametrize(
    ("task", "name", "message"),
    [
        (
            "xor",
            "xor_84",
            "Unknown preset 'xor_84'. Did you mean 'xor_8_4'? Choose from: xor_8_4.",
        ),
        (
            "churn",
            "mnist_le_net",
            "Unknown preset 'mnist_le_net'. Choose from: churn_mlp_6_6.",
        ),
        (
            "digits",
            "mnist_le_net",
            "There are no presets for digits, got 'mnist_le_net': leave it out.",
        ),
    ],
)
def test_an_unknown_preset_gets_one_sentence(task: str, name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        find_preset(task, name)
    assert str(caught.value) == message
