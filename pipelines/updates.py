"""Keras' optimizers with each weight's update as one TensorFlow operation instead of a dozen.

The arithmetic and the variables are Keras' own. Fewer operations make a network's first step
come sooner (a graph is traced and optimized for every trial) and the steps of small networks
faster. Not for `amsgrad` and `centered`, which no space offers. For Nadam TensorFlow has no
operation: its Adam with Nesterov's momentum keeps constant what Keras' Nadam lets rise by step.
"""

from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf

Pair = tuple[tf.Tensor, tf.Variable]


class _OneReplica:
    """Leaves out the sum of the gradients over replicas, of which there is one.

    TensorFlow would register that sum's own gradient for the life of the process, and with it
    keep the graph of every trial: 4 MB each.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Iterable[Pair]) -> Iterable[Pair]:
        return grads_and_vars


class FusedSGD(_OneReplica, keras.optimizers.SGD):  # type: ignore[misc] # untyped
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


class FusedAdam(_OneReplica, keras.optimizers.Adam):  # type: ignore[misc] # untyped
    update_step = _adam_step


class FusedAdamW(_OneReplica, keras.optimizers.AdamW):  # type: ignore[misc] # untyped
    update_step = _adam_step


class FusedRMSprop(_OneReplica, keras.optimizers.RMSprop):  # type: ignore[misc] # untyped
    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)
        # The operation writes each step down also where no momentum carries it over: into
        # variables that are no part of the optimizer's state, since nothing depends on them.
        self._last_steps = [momentum.value for momentum in self._momentums] or [
            tf.Variable(tf.zeros_like(variable.value)) for variable in variables
        ]

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=self._velocities[index].value.handle,
            mom=self._last_steps[index].handle,
            lr=learning_rate,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
            grad=gradient,
        )


class LocalNadam(_OneReplica, keras.optimizers.Nadam):  # type: ignore[misc] # untyped
    pass
