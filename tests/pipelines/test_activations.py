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
        np.testing.assert_allclose(lean, plain, rtol=1e-5, atol=1e-7)
