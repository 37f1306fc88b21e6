"""The fused layer computes what Keras' own does, and shares its weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.normalization import FusedBatchNormalization
from pipelines.runtime import Runtime

pytestmark = pytest.mark.usefixtures("how")
SHAPE = (16, 7, 7, 5)


@pytest.fixture
def inputs(how: Runtime) -> tf.Tensor:
    random = np.random.default_rng(3)
    return tf.constant(random.normal(2.0, 3.0, SHAPE), tf.float32)


def layers() -> tuple[keras.Layer, keras.Layer]:
    """The fused one and Keras' own, with the same weights, none of them neutral."""
    keras.config.set_dtype_policy("float32")
    pair = FusedBatchNormalization(), keras.layers.BatchNormalization()
    weights = np.random.default_rng(4).uniform(0.5, 1.5, (4, SHAPE[-1]))
    for layer in pair:
        layer.build(SHAPE)
        layer.set_weights(weights)
    return pair


def test_training_outputs_are_those_of_keras(inputs: tf.Tensor) -> None:
    fused, plain = layers()
    np.testing.assert_allclose(
        fused(inputs, training=True), plain(inputs, training=True), rtol=1e-4, atol=1e-5
    )


def test_gradients_are_those_of_keras(inputs: tf.Tensor) -> None:
    gradients = []
    for layer in layers():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs, training=True) ** 3)
        gradients.append(
            tape.gradient(loss, [inputs, *[w.value for w in layer.trainable_weights]])
        )
    for fused, plain in zip(*gradients, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=2e-3, atol=2e-3)


def test_running_statistics_are_those_of_keras_but_for_the_unbiased_variance(
    inputs: tf.Tensor,
) -> None:
    fused, plain = layers()
    before = plain.moving_variance.numpy()
    fused(inputs, training=True)
    plain(inputs, training=True)
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    pixels = np.prod(SHAPE[:-1])
    kept = before * plain.momentum
    unbiased = (plain.moving_variance.numpy() - kept) * pixels / (pixels - 1)
    np.testing.assert_allclose(fused.moving_variance.numpy() - kept, unbiased, rtol=1e-3)


def test_predictions_are_those_of_keras(inputs: tf.Tensor) -> None:
    fused, plain = layers()
    np.testing.assert_allclose(
        fused(inputs, training=False), plain(inputs, training=False), rtol=1e-4, atol=1e-5
    )


def test_a_table_is_normalized_as_by_keras() -> None:
    inputs = tf.constant(np.random.default_rng(5).normal(size=(8, 5)), tf.float32)
    fused, plain = FusedBatchNormalization(), keras.layers.BatchNormalization()
    np.testing.assert_array_equal(fused(inputs, training=True), plain(inputs, training=True))
