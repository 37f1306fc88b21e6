"""Spaces: what they draw can be built, written down and drawn again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.config import (
    OPTIMIZER_DEFAULTS,
    Augmentation,
    Config,
    DenseLayer,
    Regularization,
    Training,
)
from spaces.domains import Choice, Domain, Float, Int, Value
from spaces.errors import InputError
from spaces.presets import PRESETS
from spaces.space import Space
from spaces.spaces import SPACES

TINY = Space(
    task="tiny",
    domains={
        "layers": Int(1, 2),
        "units_1": Int(2, 64, log=True),
        "units_2": Int(2, 64, log=True),
        "optimizer": Choice("sgd", "adam"),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.0, 0.9, step=0.1),
        "batch_size": Int(8, 64),
        "l2": Float(1e-6, 1e-2, log=True, zero=True),
    },
)
IMAGE_TASKS = ("fashion", "mnist", "digits")

each_space = pytest.mark.parametrize("task", SPACES)


class DrawnTrial:
    """A trial whose values Hypothesis draws; `params` is what Optuna would store."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Value]], Value]) -> None:
        self._draw = draw
        self.params: dict[str, Value] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return cast("int", self._suggest(name, st.integers(low, high)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        values: st.SearchStrategy[Value] = st.floats(low, high)
        if step:
            values = st.integers(0, round((high - low) / step)).map(
                lambda k: min(low + k * step, high)
            )
        return cast("float", self._suggest(name, values))

    def suggest_categorical(self, name: str, choices: tuple[Value, ...]) -> Value:
        return self._suggest(name, st.sampled_from(choices))

    def _suggest(self, name: str, values: st.SearchStrategy[Value]) -> Value:
        self.params[name] = self._draw(values)
        return self.params[name]


@st.composite
def drawn(draw: st.DrawFn, task: str) -> tuple[Config, dict[str, Value]]:
    trial = DrawnTrial(draw)
    return SPACES[task].sample(trial, Training(epochs=3)), trial.params


@st.composite
def drawn_from(draw: st.DrawFn, tasks: tuple[str, ...]) -> tuple[str, Config]:
    task = draw(st.sampled_from(tasks))
    return task, draw(drawn(task))[0]


@each_space
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_drawn_lies_in_the_space_and_is_drawn_again(
    task: str, data: st.DataObject
) -> None:
    config, params = data.draw(drawn(task))
    assert SPACES[task].contains(config)
    assert Config.from_yaml(config.to_yaml(), source="drawn") == config
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert SPACES[task].sample(optuna.trial.FixedTrial(params), config.training) == config


@each_space
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_encoded_config_wins_over_the_unused_rest(task: str, data: st.DataObject) -> None:
    config, _ = data.draw(drawn(task))
    _, others = data.draw(drawn(task))
    trial = optuna.trial.FixedTrial({**others, **SPACES[task].encode(config)})
    assert SPACES[task].sample(trial, config.training) == config


@settings(max_examples=200, deadline=None)
@given(drawn=drawn_from(IMAGE_TASKS))
def test_every_drawn_image_network_can_be_built(
    drawn: tuple[str, Config], sides: Callable[[Config, int], list[int]]
) -> None:
    task, config = drawn
    walked = sides(config, cast("int", SPACES[task].image_side))
    for before, block in zip(walked, config.network.blocks, strict=False):
        assert block.padding == "same" or block.convolutions * (block.kernel_size - 1) < before
    assert walked[-1] >= 1


@settings(max_examples=100, deadline=None)
@given(drawn=drawn_from(IMAGE_TASKS))
def test_what_only_convolutions_have_is_drawn_for_them_alone(drawn: tuple[str, Config]) -> None:
    _, config = drawn
    for block in config.network.blocks:
        assert block.padding == "same" or not block.residual
    assert config.network.head == "flatten" or config.network.family == "cnn"


@settings(max_examples=30, deadline=None)
@given(drawn=drawn_from(tuple(SPACES)))
def test_a_drawn_config_is_flat_under_the_names_of_its_space(drawn: tuple[str, Config]) -> None:
    task, config = drawn
    parameters = config.parameters()
    for name, value in SPACES[task].encode(config).items():
        if value == SPACES[task].domains[name].stored(parameters[name]):
            continue
        # Blocks that no longer fit the image differ from what was drawn, and show it.
        assert name in {"padding", "pooling"}
        assert str(parameters[name]).startswith(f"{value}-")


@each_space
def test_the_default_config_of_a_space_lies_in_it(task: str, training: Training) -> None:
    assert SPACES[task].contains(SPACES[task].default(training))


def test_a_default_config_has_keras_defaults_and_else_the_middle_of_a_range(
    training: Training,
) -> None:
    config = SPACES["fashion"].default(training)
    assert config.title() == "cnn 3x32-64 d90 adam"
    how = config.optimization
    assert (how.batch_size, how.beta_1, how.beta_2, how.schedule) == (128, 0.9, 0.999, "constant")
    assert how.learning_rate == pytest.approx(10**-2.5)
    assert config.regularization == Regularization()
    assert config.augmentation == Augmentation()
    assert config.network.layers[0] == DenseLayer(units=90)


@pytest.mark.parametrize(
    ("override", "title"),
    [
        ("family=mlp", "mlp d90 adam"),
        ("optimizer=sgd,nadam", "cnn 3x32-64 d90 sgd"),
        ("layers=2..3", "cnn 3x32-64 d90-90 adam"),
        ("kernel_size=5", "cnn 5x32-64 d90 adam"),
    ],
)
def test_where_the_usual_lies_outside_the_default_config_keeps_to_the_space(
    override: str, title: str, training: Training
) -> None:
    space = SPACES["fashion"].narrow([override])
    config = space.default(training)
    assert config.title() == title
    assert space.contains(config)


def test_the_default_config_of_a_narrow_optimizer(training: Training) -> None:
    space = SPACES["fashion"].narrow(["optimizer=sgd", "momentum=0.5..0.9", "l2=1e-4..1e-2"])
    config = space.default(training)
    assert config.optimization.momentum == pytest.approx(0.7)
    assert config.optimization.nesterov is False
    assert config.regularization.l2 == pytest.approx(1e-3)


def test_a_random_sampler_draws_from_every_space(training: Training) -> None:
    for space in SPACES.values():
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
        for _ in range(20):
            trial = study.ask()
            assert space.contains(space.sample(trial, training))
            assert list(trial.params) == list(space.domains)


@each_space
def test_every_hyperparameter_is_explained_in_one_sentence(task: str) -> None:
    for name, domain in SPACES[task].domains.items():
        assert domain.about.endswith("."), name
        assert domain.about.count(". ") == 0, name
        assert 40 < len(domain.about) < 200, name


@pytest.mark.parametrize("task", ["fashion", "mnist", "digits", "churn"])
def test_a_space_offers_every_optimizer_with_all_its_own_parameters(task: str) -> None:
    domains = SPACES[task].domains
    optimizer = domains["optimizer"]
    assert isinstance(optimizer, Choice)
    assert set(optimizer.values) == set(OPTIMIZER_DEFAULTS)
    for own in OPTIMIZER_DEFAULTS.values():
        assert set(own) <= set(domains)


@each_space
def test_a_space_holds_the_default_of_each_optimizer_parameter_it_varies(task: str) -> None:
    domains = SPACES[task].domains
    for own in OPTIMIZER_DEFAULTS.values():
        for name, value in own.items():
            assert name not in domains or domains[name].contains(value), name


def test_only_fashion_mirrors_its_images() -> None:
    assert [task for task, space in SPACES.items() if "flip" in space.domains] == ["fashion"]


def test_spaces_are_found_under_the_name_of_their_task() -> None:
    assert {task: space.task for task, space in SPACES.items()} == {task: task for task in SPACES}
    sides = {task: space.image_side for task, space in SPACES.items() if space.image_side}
    assert sides == {"fashion": 28, "mnist": 28, "digits": 8}


@pytest.mark.parametrize(
    ("overrides", "name", "domain"),
    [
        (["learning_rate=1e-3..1e-2"], "learning_rate", Float(1e-3, 1e-2, log=True)),
        (["optimizer=adam"], "optimizer", Choice("adam")),
        (["batch_size=16,32"], "batch_size", Choice(16, 32)),
        (["batch_size=16..32", "batch_size=20..24"], "batch_size", Int(20, 24)),
        (["l2=0"], "l2", Choice(0.0)),
    ],
)
def test_narrowing_a_space(overrides: list[str], name: str, domain: Domain) -> None:
    narrowed = TINY.narrow(overrides)
    assert narrowed.domains == {**TINY.domains, name: domain}


@pytest.mark.parametrize("override", ["layers=1", "layers=1..1"])
def test_fewer_layers_leave_no_units_behind(override: str) -> None:
    assert set(TINY.domains) - set(TINY.narrow([override]).domains) == {"units_2"}


UNUSED = [
    (["blocks=1", "filters_3=64"], "filters_3=64"),
    (["filters_3=64", "blocks=1,2"], "filters_3=64"),
    (["layers=0", "units_1=64"], "units_1=64"),
    (["layers=0", "dropout=0..0.3"], "dropout=0..0.3"),
    (["optimizer=adam,adamw", "momentum=0.9"], "momentum=0.9"),
    (["family=mlp", "kernel_size=3"], "kernel_size=3"),
]
USED = [
    ["blocks=1..3", "filters_3=64"],
    ["layers=0", "batch_norm=before"],
    ["layers=0,1", "dropout=0..0.3"],
    ["optimizer=adam,sgd", "momentum=0.9", "nesterov=yes"],
    ["family=mlp,cnn", "kernel_size=3", "head=average"],
]


@pytest.mark.parametrize(("overrides", "unused"), UNUSED)
def test_a_value_that_would_never_be_used_is_refused(overrides: list[str], unused: str) -> None:
    with pytest.raises(InputError) as caught:
        SPACES["fashion"].narrow(iter(overrides))
    name, _, _ = unused.partition("=")
    assert str(caught.value) == (
        f"'{unused}' would never be used: the other values of --set leave no config with a"
        f" {name}; leave it out, or widen them."
    )


@pytest.mark.parametrize("overrides", USED)
def test_a_value_that_some_configs_use_is_taken(overrides: list[str]) -> None:
    narrowed = SPACES["fashion"].narrow(overrides)
    assert {each.partition("=")[0] for each in overrides} <= set(narrowed.domains)


@each_space
def test_all_that_a_space_varies_is_used(task: str) -> None:
    assert set(SPACES[task].domains) <= SPACES[task]._used()


def test_fewer_blocks_leave_no_filters_behind(training: Training) -> None:
    narrowed = SPACES["fashion"].narrow(["blocks=1,2", "family=cnn", "layers=0"])
    gone = {"filters_3", "filters_4", "units_1", "units_2", "units_3"}
    assert set(SPACES["fashion"].domains) - set(narrowed.domains) == gone
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    networks = [narrowed.sample(study.ask(), training).network for _ in range(20)]
    assert {len(network.blocks) for network in networks} == {1, 2}
    assert {network.layers for network in networks} == {()}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("momentun=0.5", "Unknown hyperparameter 'momentun'. Did you mean 'momentum'?"),
        ("colour=red", "Unknown hyperparameter 'colour'. Choose from: batch_size,"),
        ("momentum", "Cannot read 'momentum': write name=value, name=low..high or name=a,b,c."),
        ("momentum=", "Cannot read 'momentum=': write name=value,"),
        ("batch_size=64..8", "batch_size: the range is upside down: 64..8. Its range is 8..64."),
        ("batch_size=8..65", "batch_size: 65 lies outside. Its range is 8..64."),
        ("batch_size=big", "batch_size: a whole number is needed, got 'big'. Its range is 8..64."),
        ("optimizer=lion", "optimizer: 'lion' is none of its values. Its range is sgd, adam."),
        ("l2=1", "l2: 1 lies outside. Its range is 0 or 1e-06..0.01 (log)."),
        ("units_3=8", "Unknown hyperparameter 'units_3'. Did you mean 'units_2'?"),
    ],
)
def test_narrowing_to_what_a_space_does_not_have(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        TINY.narrow([override])
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units_3": Int(2, 4)}, "Unknown hyperparameter 'units_3'."),
        ({"momentom": Int(2, 4)}, "Unknown hyperparameter 'momentom'. Did you mean 'momentum'?"),
        ({"layers": Int(1, 3)}, "The space of tiny lacks 'units_3': give it a domain."),
        (
            {"activation": Choice("relu", "rleu")},
            "The space of tiny: activation should be 'relu', 'leaky_relu', 'elu',",
        ),
        (
            {"dropout": Float(0.0, 1.0)},
            "The space of tiny: dropout should be less than 1, got 1.0.",
        ),
        (
            {"units_2": Int(0, 8)},
            "The space of tiny: units_2 should be greater than or equal to 1, got 0.",
        ),
    ],
)
def test_a_space_that_no_network_can_have_is_refused(
    changes: dict[str, Domain], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        Space(task="tiny", domains={**TINY.domains, **changes})
    assert str(caught.value).startswith(message)


def test_encoding_leaves_out_what_the_config_does_not_use() -> None:
    encoded = SPACES["mnist"].encode(PRESETS["mnist_mlp_512"].config)
    assert not {"blocks", "filters_1", "kernel_size", "units_2", "momentum", "rho"} & set(encoded)
    assert encoded["units_1"] == 512


@pytest.mark.parametrize(
    ("preset", "task", "message"),
    [
        ("fashion_mlp_wide_bn", "fashion", "units_1: 2048 lies outside. Its range is 16..512"),
        ("mnist_conv_net_dropout", "mnist", "The config uses what the space of mnist does not"),
        ("mnist_conv_net", "churn", "units_1: 64 lies outside"),
    ],
)
def test_encoding_a_config_of_another_space(preset: str, task: str, message: str) -> None:
    space = SPACES[task].narrow(["units_1=4..32"]) if task == "churn" else SPACES[task]
    with pytest.raises(InputError) as caught:
        space.encode(PRESETS[preset].config)
    assert str(caught.value).startswith(message)


def test_a_network_with_blocks_lies_in_no_space_of_tables() -> None:
    assert not SPACES["churn"].contains(PRESETS["mnist_conv_net"].config)


def test_the_fingerprint_of_equal_spaces_is_one() -> None:
    whole = TINY.narrow(["l2=0..1e-2", "momentum=0..0.9"])
    integers = TINY.replace(momentum=Float(0, 0.9, step=0.1))
    reordered = replace(TINY, domains=dict(reversed(list(TINY.domains.items()))))
    assert TINY == whole == integers == reordered
    assert {s.fingerprint() for s in (TINY, whole, integers, reordered)} == {"d7bfdade"}


@each_space
def test_the_fingerprint_does_not_change_with_the_sentences(task: str) -> None:
    space = SPACES[task]
    silent = {
        name: Choice(*domain.values) if isinstance(domain, Choice) else replace(domain, about="")
        for name, domain in space.domains.items()
    }
    assert replace(space, domains=silent).fingerprint() == space.fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"units_1": Int(2, 63, log=True)},
        {"units_1": Int(3, 64, log=True)},
        {"units_1": Int(2, 64)},
        {"momentum": Float(0.0, 0.9)},
        {"momentum": Float(0.0, 0.9, step=0.3)},
        {"momentum": None},
        {"l2": Float(1e-6, 1e-2, log=True)},
        {"optimizer": Choice("sgd", "adam", "adamw")},
        {"optimizer": Choice("adam", "sgd")},
        {"dropout": Float(0.0, 0.5)},
    ],
)
def test_the_fingerprint_changes_with_any_range(changes: dict[str, Any]) -> None:
    assert TINY.replace(**changes).fingerprint() != TINY.fingerprint()


def test_the_fingerprint_changes_with_the_task_and_the_image() -> None:
    prints = {space.fingerprint() for space in (TINY, TINY.replace(task="other"))}
    prints |= {TINY.replace(image_side=8).fingerprint()}
    prints |= {space.fingerprint() for space in SPACES.values()}
    assert len(prints) == 3 + len(SPACES)
