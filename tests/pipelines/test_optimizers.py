"""Optimizers, schedules and the weight average, against arithmetic."""

import math
from collections.abc import Callable
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.optimizers import OPTIMIZERS, SHAPES, Schedule, WeightAverage, build_optimizer
from spaces.config import OPTIMIZER_DEFAULTS, Config, Optimization, Training

MakeConfig = Callable[..., Config]

pytestmark = pytest.mark.usefixtures("how")

PEAK, STEPS = 0.1, 100


def schedule_of(config: MakeConfig, shape: str, final_decay: float = 0.0) -> Schedule:
    training = Training(epochs=1, final_decay=final_decay)
    return Schedule(config(learning_rate=PEAK, schedule=shape, training=training), STEPS)


@pytest.mark.parametrize(
    ("shape", "final_decay", "rates"),
    [
        ("constant", 0.0, {0: PEAK, 50: PEAK, 99: PEAK, 100: PEAK}),
        ("constant", 0.25, {0: PEAK, 75: PEAK, 80: 0.8 * PEAK, 99: 0.04 * PEAK, 100: 0}),
        ("constant", 1.0, {0: PEAK, 50: 0.5 * PEAK, 100: 0}),
        ("cosine", 0.0, {0: PEAK, 25: PEAK * (2 + math.sqrt(2)) / 4, 50: PEAK / 2, 100: 0}),
        ("one_cycle", 0.0, {0: PEAK / 25, 15: PEAK * 0.52, 30: PEAK, 65: PEAK / 2, 100: 0}),
    ],
)
def test_the_learning_rate_at_each_step(
    shape: str, final_decay: float, rates: dict[int, float], config: MakeConfig
) -> None:
    schedule = schedule_of(config, shape, final_decay)
    assert {step: schedule.at(step) for step in rates} == pytest.approx(rates, abs=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_learning_rate_never_leaves_zero_to_its_peak(shape: str, config: MakeConfig) -> None:
    schedule = schedule_of(config, shape, final_decay=0.3)
    rates = [schedule.at(step) for step in range(STEPS + 5)]
    assert max(rates) == pytest.approx(PEAK)
    assert min(rates) >= 0
    assert rates[STEPS - 1] < 0.05 * PEAK


def test_tables_and_config_name_the_same_optimizers_and_schedules() -> None:
    fields = Optimization.model_fields
    assert (
        set(OPTIMIZERS) == set(OPTIMIZER_DEFAULTS) == set(get_args(fields["optimizer"].annotation))
    )
    assert set(SHAPES) == set(get_args(fields["schedule"].annotation))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_defaults_are_those_of_keras(name: str) -> None:
    keras_own = OPTIMIZERS[name]().get_config()
    own = OPTIMIZER_DEFAULTS[name]
    assert {parameter: keras_own[parameter] for parameter in own} == own


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("sgd", {"momentum": 0.7, "nesterov": True}),
        ("rmsprop", {"rho": 0.8, "momentum": 0.3}),
        ("adam", {"beta_1": 0.85, "beta_2": 0.95}),
        ("adamw", {"beta_1": 0.85, "beta_2": 0.95, "weight_decay": 0.02}),
        ("nadam", {"beta_1": 0.85, "beta_2": 0.95}),
    ],
)
def test_own_parameters_reach_the_optimizer(
    name: str, own: dict[str, float], config: MakeConfig
) -> None:
    configured = config(optimizer=name, **own)
    optimizer = build_optimizer(configured, Schedule(configured, STEPS))
    assert type(optimizer) is OPTIMIZERS[name]
    assert {parameter: getattr(optimizer, parameter) for parameter in own} == own
    assert set(own) == set(OPTIMIZER_DEFAULTS[name])


def test_each_step_is_as_long_as_the_schedule_says(config: MakeConfig) -> None:
    configured = config(optimizer="sgd", learning_rate=PEAK, schedule="one_cycle")
    schedule = Schedule(configured, STEPS)
    optimizer = build_optimizer(configured, schedule)
    weight = keras.Variable(0.0)
    places = [0.0]
    for _ in range(40):
        optimizer.apply([tf.constant(-1.0)], [weight])
        places.append(float(weight.value))
    assert np.diff(places) == pytest.approx([schedule.at(step) for step in range(40)], abs=1e-6)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_the_average_is_the_running_mean_of_the_weights(decay: float) -> None:
    values = np.random.default_rng(3).normal(size=(60, 4)).astype(np.float32)
    variable = keras.Variable(values[0])
    average = WeightAverage(decay, [variable])
    expected = values[0].astype(np.float64)
    for step, value in enumerate(values[1:], 1):
        variable.assign(value)
        average.update(tf.constant(step))
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
    assert average.means[0].numpy() == pytest.approx(expected, abs=1e-5)


def test_the_average_stands_in_for_the_weights_and_gives_them_back() -> None:
    variables = [keras.Variable([1.0, 2.0]), keras.Variable([[5.0]])]
    average = WeightAverage(0.9, variables)
    variables[0].assign([3.0, 4.0])
    with average.in_place():
        assert variables[0].numpy().tolist() == [1.0, 2.0]
        assert variables[1].numpy().tolist() == [[5.0]]
    assert variables[0].numpy().tolist() == [3.0, 4.0]


def test_the_weights_come_back_after_an_error() -> None:
    variable = keras.Variable([1.0])
    average = WeightAverage(0.9, [variable])
    variable.assign([3.0])
    with pytest.raises(MemoryError), average.in_place():
        raise MemoryError
    assert variable.numpy().tolist() == [3.0]


def test_without_decay_there_is_no_average() -> None:
    variable = keras.Variable([1.0])
    average = WeightAverage(0.0, [variable])
    variable.assign([3.0])
    average.update(tf.constant(1))
    with average.in_place():
        assert variable.numpy().tolist() == [3.0]
    assert average.means == []
