"""Gradients worked out after the pooling are TensorFlow's own, and of fewer numbers."""

from collections.abc import Callable
from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines import gradients
from pipelines.activations import LeanActivation

pytestmark = pytest.mark.usefixtures("how")

Network = Callable[[tf.Tensor], tf.Tensor]
SHAPE = (8, 6, 6, 4)
"""Pooled to (8, 3, 3, 4)."""
ACTIVATIONS = ("relu", "leaky_relu", "elu", "tanh")
OTHERS = ("gelu", "silu", "sigmoid")


def pooled(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def activated(x: tf.Tensor, name: str) -> tf.Tensor:
    return LeanActivation(name, dtype=x.dtype.name)(x)


def found(network: Network, inputs: tf.Tensor, *, ours: bool) -> tuple[np.ndarray, dict[str, int]]:
    """The gradient of the inputs, and the numbers that each kind of operation puts out."""

    @tf.function(autograph=False)  # type: ignore[untyped-decorator] # untyped
    def gradient(inputs: tf.Tensor) -> tf.Tensor:
        with gradients.after_pooling() if ours else nullcontext():
            outputs = network(inputs)
        weights = tf.reshape(tf.sin(tf.range(tf.size(outputs), dtype="float32")), outputs.shape)
        total = tf.reduce_sum(tf.cast(outputs, tf.float32) * weights)
        return tf.gradients(total, inputs)[0]

    concrete = gradient.get_concrete_function(tf.TensorSpec(inputs.shape, inputs.dtype))
    sizes: dict[str, int] = {}
    for operation in concrete.graph.get_operations():
        for output in operation.outputs:
            sizes[operation.type] = sizes.get(operation.type, 0) + output.shape.num_elements()
    return tf.cast(concrete(inputs), tf.float32).numpy(), sizes


@pytest.fixture(params=["float32", "bfloat16"])
def inputs(request: pytest.FixtureRequest) -> tf.Tensor:
    """With many equal numbers, as bfloat16 has them, and windows with nothing above zero."""
    keras.config.set_dtype_policy("float32")
    numbers = np.random.default_rng(7).normal(-0.5, 2.0, SHAPE).round(1)
    return tf.cast(tf.constant(numbers), request.param)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_pooled_activation_has_the_same_gradient_of_a_quarter_of_the_numbers(
    name: str, inputs: tf.Tensor
) -> None:
    def network(x: tf.Tensor) -> tf.Tensor:
        return pooled(activated(x, name))

    expected, before = found(network, inputs, ours=False)
    ours, sizes = found(network, inputs, ours=True)
    np.testing.assert_array_equal(ours, expected)
    assert np.count_nonzero(ours)
    (slope,) = {kind for kind in sizes if kind.endswith("Grad") and kind != "MaxPoolGrad"}
    assert sizes[slope] * 4 == before[slope] == np.prod(SHAPE)


@pytest.mark.parametrize(
    "network",
    [
        *(
            pytest.param(lambda x, name=name: activated(x, name), id=f"{name} alone")
            for name in ACTIVATIONS
        ),
        *(
            pytest.param(lambda x, name=name: pooled(activated(x, name)), id=f"{name} pooled")
            for name in OTHERS
        ),
        pytest.param(pooled, id="no activation"),
        pytest.param(lambda x: pooled(tf.nn.relu(x) * 2.0), id="something between"),
        pytest.param(lambda x: tf.nn.avg_pool2d(tf.nn.relu(x), 2, 2, "VALID"), id="mean"),
        pytest.param(lambda x: pooled(pooled(x)), id="pooled twice"),
        pytest.param(
            lambda x: pooled(y := tf.nn.relu(x)) + tf.reduce_mean(y), id="read elsewhere"
        ),
        pytest.param(
            lambda x: pooled(y := tf.nn.relu(x)) + tf.nn.max_pool2d(y, 3, 2, "SAME"),
            id="pooled by two",
        ),
    ],
)
def test_all_others_keep_theirs(network: Network) -> None:
    keras.config.set_dtype_policy("float32")
    inputs = tf.constant(np.random.default_rng(8).normal(size=SHAPE), tf.float32)
    expected, before = found(network, inputs, ours=False)
    ours, sizes = found(network, inputs, ours=True)
    np.testing.assert_array_equal(ours, expected)
    assert np.count_nonzero(ours)
    assert sizes == before
