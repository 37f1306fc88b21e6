"""The lean layer drops as Keras' own does: as often, at random, and scales what it keeps."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.dropout import LeanDropout

pytestmark = pytest.mark.usefixtures("how")

ONES = np.ones((301, 33, 7), np.float32)
"""An odd number of them: two share each random word."""


@pytest.fixture(autouse=True)
def _float32() -> None:
    keras.config.set_dtype_policy("float32")


def dropped(rate: float, seed: int = 5, dtype: str = "float32") -> np.ndarray:
    outputs = LeanDropout(rate, seed=seed, dtype=dtype)(tf.cast(ONES, dtype), training=True)
    assert outputs.dtype == dtype
    numbers: np.ndarray = tf.cast(outputs, tf.float32).numpy()
    return numbers


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rate", [0.001, 0.05, 0.3, 0.5, 0.9])
def test_it_drops_at_its_rate_and_scales_the_rest(rate: float, dtype: str) -> None:
    outputs = dropped(rate, dtype=dtype)
    deviation = math.sqrt(rate * (1 - rate) / ONES.size)
    assert np.mean(outputs == 0) == pytest.approx(rate, abs=4 * deviation + 2**-16)
    scale = float(tf.cast(tf.cast(1 / (1 - rate), dtype), tf.float32))
    assert set(np.unique(outputs)) == {np.float32(0), np.float32(scale)}


def test_what_is_dropped_hangs_on_no_neighbour() -> None:
    zeros = (dropped(0.5) == 0).ravel()
    for distance in (1, 2, 3, 7, 33 * 7):
        correlation = np.corrcoef(zeros[:-distance], zeros[distance:])[0, 1]
        assert abs(correlation) < 4 / math.sqrt(zeros.size)


def test_each_call_and_each_seed_drops_others_and_the_same_seed_the_same() -> None:
    layer = LeanDropout(0.5, seed=5)
    first, second = (layer(ONES, training=True).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, dropped(0.5))
    for other in (second, dropped(0.5, seed=6)):
        assert np.mean((first == 0) == (other == 0)) == pytest.approx(0.5, abs=0.01)


def test_gradients_come_through_where_values_do() -> None:
    inputs, layer = tf.constant(ONES), LeanDropout(0.25, seed=5)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
    np.testing.assert_array_equal(tape.gradient(outputs, inputs), outputs)


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_in_prediction_or_at_no_rate(rate: float, training: bool) -> None:  # noqa: FBT001 - a case
    np.testing.assert_array_equal(LeanDropout(rate)(ONES, training=training), ONES)


def test_a_rate_next_to_one_drops_nearly_all() -> None:
    assert np.mean(dropped(0.9999999) == 0) > 0.999


def test_it_is_built_into_a_model_of_any_batch_size() -> None:
    inputs = keras.Input((5,))
    model = keras.Model(inputs, LeanDropout(0.5, seed=1)(inputs))
    step = tf.function(
        lambda rows: model(rows, training=True),
        input_signature=[tf.TensorSpec((None, 5))],
        autograph=False,
    )
    for n_rows in (1, 4):
        assert step(tf.ones((n_rows, 5))).shape == (n_rows, 5)
