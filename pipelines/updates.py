"""Keras' optimizers with each weight's update as one TensorFlow operation instead of a dozen.

The arithmetic and the variables are Keras' own. Fewer operations make a network's first step
come sooner (a graph is traced and optimized for every trial) and the steps of small networks
faster. RMSprop and Nadam stay Keras': TensorFlow has no operation for their arithmetic.
"""

import keras
import tensorflow as tf


class FusedSGD(keras.optimizers.SGD):  # type: ignore[misc] # untyped
    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        if not self.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(
                var=variable.handle, alpha=learning_rate, delta=gradient
            )
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=learning_rate,
            grad=gradient,
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )


def _adam_step(
    self: keras.optimizers.Adam,
    gradient: tf.Tensor,
    variable: tf.Variable,
    learning_rate: tf.Tensor,
) -> None:
    index = self._get_variable_index(variable)
    step = tf.cast(self.iterations + 1, tf.float32)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=self._momentums[index].value.handle,
        v=self._velocities[index].value.handle,
        beta1_power=tf.pow(self.beta_1, step),
        beta2_power=tf.pow(self.beta_2, step),
        lr=learning_rate,
        beta1=self.beta_1,
        beta2=self.beta_2,
        epsilon=self.epsilon,
        grad=gradient,
    )


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc] # untyped
    update_step = _adam_step


class FusedAdamW(keras.optimizers.AdamW):  # type: ignore[misc] # untyped
    update_step = _adam_step
