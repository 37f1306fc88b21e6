"""Keras' activations, without what TensorFlow keeps of each network with a silu."""

import keras
import tensorflow as tf


class LeanActivation(keras.layers.Activation):  # type: ignore[misc] # untyped
    """Keras' layer, whose silu has no gradient of its own.

    TensorFlow registers its silu's for the life of the process, and with it keeps the graph of
    every network. A file is saved with Keras' own layer in its place.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if self.activation is keras.activations.silu:
            return inputs * keras.ops.sigmoid(inputs)
        return super().call(inputs)
