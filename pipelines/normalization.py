"""Batch normalization by TensorFlow's fused operation, on a CPU faster than Keras' own."""

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc] # untyped
    """Keras' layer, with the same weights, that normalizes images in one operation.

    A file is saved with Keras' own layer in its place. The running variance takes in the
    unbiased variance of the batch where Keras takes the biased one, a difference of one part in
    the number of pixels of a batch.
    """

    def call(
        self,
        inputs: tf.Tensor,
        training: bool | None = None,  # noqa: FBT001 - Keras' signature
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        if len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        if not training:
            outputs, _, _ = tf.compat.v1.nn.fused_batch_norm(
                inputs,
                self.gamma.value,
                self.beta.value,
                self.moving_mean.value,
                self.moving_variance.value,
                epsilon=self.epsilon,
                is_training=False,
            )
            return outputs
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + mean * (1 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1 - keep))
        return outputs
