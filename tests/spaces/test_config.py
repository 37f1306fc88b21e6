"""Configs as files: what is written is read again, and what is wrong is said in one sentence."""

import json
from typing import get_args

import pytest

from spaces.config import OPTIMIZER_DEFAULTS, Augmentation, Config, Optimization
from spaces.errors import InputError
from spaces.presets import PRESETS

SMALL = """
network:
  layers: [{units: 16}]
optimization: {optimizer: adam, learning_rate: 1e-3, batch_size: 32}
training: {epochs: 5}
"""
NO_OPTIMIZATION = "network: {layers: []}\ntraining: {epochs: 5}\n"


def read(text: str) -> Config:
    return Config.from_yaml(text, source="my.yaml")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_yaml_and_json(name: str) -> None:
    config = PRESETS[name].config
    assert read(config.to_yaml()) == config
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert read(json.dumps(config.model_dump(mode="json"))) == config


def test_a_number_without_a_dot_before_its_exponent_is_a_number() -> None:
    assert read(SMALL).optimization.learning_rate == 0.001


@pytest.mark.parametrize(("optimizer", "own"), OPTIMIZER_DEFAULTS.items())
def test_an_optimizer_gets_its_own_defaults_and_no_others(
    optimizer: str, own: dict[str, float | bool]
) -> None:
    text = SMALL.replace("adam", optimizer)
    every = {name for names in OPTIMIZER_DEFAULTS.values() for name in names}
    optimization = read(text).optimization
    assert {name: getattr(optimization, name) for name in own} == own
    assert {getattr(optimization, name) for name in every - set(own)} <= {None}


def test_what_is_the_optimizers_default_can_be_left_out_or_written() -> None:
    written = SMALL.replace("batch_size: 32", "batch_size: 32, beta_1: 0.9, beta_2: 0.999")
    assert read(written) == read(SMALL)


def test_a_config_cannot_be_changed() -> None:
    config = read(SMALL)
    with pytest.raises(ValueError, match="frozen"):
        setattr(config.training, "epochs", 6)  # noqa: B010 - mypy knows that it is frozen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "",
            "my.yaml holds None where a config is needed: it starts with 'network:', as "
            "`hpsearch export` writes it.",
            id="empty",
        ),
        pytest.param(
            "- 1\n- 2",
            "my.yaml holds [1, 2] where a config is needed: it starts with 'network:', as "
            "`hpsearch export` writes it.",
            id="a list",
        ),
        pytest.param(
            "network: [\ntraining: }",
            "my.yaml is not YAML near line 2: mend it or export it anew.",
            id="not YAML",
        ),
        pytest.param(
            "network: \x00", "my.yaml is not YAML: mend it or export it anew.", id="binary"
        ),
        pytest.param(
            "network: 2024-13-45",
            "my.yaml is not YAML: mend it or export it anew.",
            id="not a date",
        ),
        pytest.param(
            SMALL.replace("training: {epochs: 5}", ""),
            "my.yaml: the field training is missing: add it.",
            id="missing part",
        ),
        pytest.param(
            SMALL.replace(", batch_size: 32", ""),
            "my.yaml: the field optimization.batch_size is missing: add it.",
            id="missing field",
        ),
        pytest.param(
            SMALL.replace("epochs: 5", "epochs: 5, patiense: 2"),
            "my.yaml: there is no field training.patiense: did you mean 'patience'?",
            id="misspelt",
        ),
        pytest.param(
            SMALL.replace("epochs: 5", "epochs: 5, colour: red"),
            "my.yaml: there is no field training.colour: remove it.",
            id="unknown",
        ),
        pytest.param(
            SMALL.replace("units: 16", "units: many"),
            "my.yaml: network.layers.0.units should be a valid integer, unable to parse string "
            "as an integer, got 'many': change it.",
            id="mistyped",
        ),
        pytest.param(
            SMALL.replace("1e-3", "yes"),
            "my.yaml: optimization.learning_rate should not be yes or no, got True: change it.",
            id="yes for a number",
        ),
        pytest.param(
            SMALL.replace("units: 16", "units: 16, dropout: 1.5"),
            "my.yaml: network.layers.0.dropout should be less than 1, got 1.5: change it.",
            id="out of range",
        ),
        pytest.param(
            SMALL.replace("1e-3", ".inf"),
            "my.yaml: optimization.learning_rate should be a finite number, got inf: change it.",
            id="infinite",
        ),
        pytest.param(
            SMALL.replace("adam", "adma"),
            "my.yaml: optimization.optimizer should be 'sgd', 'rmsprop', 'adam', 'adamw' or "
            "'nadam', got 'adma': change it.",
            id="unknown choice",
        ),
        pytest.param(
            SMALL.replace("batch_size: 32", "batch_size: 32, momentum: 0.9"),
            "my.yaml: optimization: adam has no momentum, got 0.9; remove the field.",
            id="parameter of another optimizer",
        ),
        pytest.param(
            SMALL.replace("layers:", "blocks: [{filters: 8, residual: true}]\n  layers:"),
            "my.yaml: network.blocks.0: residual adds images of one size: it needs padding "
            "'same', got 'valid'.",
            id="residual without padding",
        ),
        pytest.param(
            SMALL.replace("layers:", "blocks: [{filters: 8}]\n  embedding: 4\n  layers:"),
            "my.yaml: network: embedding is for tables, which have no blocks, got 4.",
            id="embedding of an image",
        ),
        pytest.param(
            SMALL.replace("{epochs: 5}", "5"),
            "my.yaml: training should be a valid dictionary or instance of Training, got 5: "
            "change it.",
            id="a number for a part",
        ),
        pytest.param(
            SMALL.replace("epochs: 5", "epochs: 0").replace("units: 16", "units: 0"),
            "my.yaml: network.layers.0.units should be greater than or equal to 1, got 0: change "
            "it. (1 more will be named then.)",
            id="two problems",
        ),
    ],
)
def test_a_bad_file_gets_one_sentence(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert str(caught.value) == message


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(InputError) as caught:
        read(SMALL.replace("units: 16", f"units: {'x' * 500}"))
    assert len(str(caught.value)) < 200


def test_parameters_have_one_name_for_what_all_blocks_share() -> None:
    parameters = PRESETS["mnist_conv_net"].config.parameters()
    assert (parameters["filters_1"], parameters["filters_3"]) == (32, 64)
    assert parameters["kernel_size"] == 3
    assert parameters["pooling"] == "max-max-none"
    assert parameters["learning_rate"] == 0.001


def test_parameters_leave_out_what_the_config_does_not_have() -> None:
    parameters = PRESETS["xor_8_4"].config.parameters()
    assert parameters["family"] == "mlp"
    assert not {"blocks", "kernel_size", "conv_dropout", "momentum"} & set(parameters)


def test_parameters_for_tables_leave_out_augmentation() -> None:
    config = PRESETS["churn_mlp_6_6"].config
    of_images, of_tables = config.parameters(), config.parameters(images=False)
    assert set(of_images) - set(of_tables) == set(Augmentation.model_fields)
    assert of_images.items() >= of_tables.items()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("mnist_conv_net", "cnn 3x32-64-64 d64 adam"),
        ("mnist_cnn_early_stopping", "cnn 3x32-64 adam"),
        ("mnist_mlp_300", "mlp d300 rmsprop"),
    ],
)
def test_title(name: str, title: str) -> None:
    assert PRESETS[name].config.title() == title


def test_every_optimizer_has_defaults() -> None:
    literal = Optimization.model_fields["optimizer"].annotation
    assert set(get_args(literal)) == set(OPTIMIZER_DEFAULTS)
