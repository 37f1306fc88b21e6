"""The lean layer computes what Keras' own does."""

from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.activations import LeanActivation
from spaces.config import Network

pytestmark = pytest.mark.usefixtures("how")


@pytest.mark.parametrize("name", get_args(Network.model_fields["activation"].annotation))
def test_outputs_and_gradients_are_those_of_keras(name: str) -> None:
    keras.config.set_dtype_policy("float32")
    inputs = tf.constant(np.linspace(-20, 20, 401), tf.float32)
    found = []
    for layer in (LeanActivation(name), keras.layers.Activation(name)):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
        found.append((outputs, tape.gradient(outputs, inputs)))
    for lean, plain in zip(*found, strict=True):
        np.testing.assert_allclose(lean, plain, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["silu", "gelu"])
def test_in_bfloat16_they_are_those_of_float32_rounded_once(name: str) -> None:
    keras.config.set_dtype_policy("float32")
    inputs = tf.cast(np.linspace(-8, 8, 401), tf.bfloat16)
    found = []
    for layer in (LeanActivation(name, dtype="bfloat16"), keras.layers.Activation(name)):
        own = tf.cast(inputs, layer.compute_dtype)
        with tf.GradientTape() as tape:
            tape.watch(own)
            outputs = layer(own)
        found.append(
            [tf.cast(each, tf.bfloat16) for each in (outputs, tape.gradient(outputs, own))]
        )
    for lean, exact in zip(*found, strict=True):
        np.testing.assert_allclose(
            tf.cast(lean, tf.float32), tf.cast(exact, tf.float32), rtol=0, atol=5e-7
        )
