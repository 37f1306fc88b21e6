"""The gradients of an activation that is max-pooled next, worked out after the pooling.

Only the largest of each window has a gradient, and TensorFlow tells these activations' slopes
from what comes out of them, which the pooling shows as well. So a quarter of the numbers will
do, with the same result to the last bit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

Slope = Callable[[tf.Operation, tf.Tensor, tf.Tensor], tf.Tensor]

POOLING = "MaxPool"
SLOPES: dict[str, Slope] = {
    "Relu": lambda _, gradient, output: tf.raw_ops.ReluGrad(gradients=gradient, features=output),
    "LeakyRelu": lambda activation, gradient, output: tf.raw_ops.LeakyReluGrad(
        gradients=gradient, features=output, alpha=activation.get_attr("alpha")
    ),
    "Elu": lambda _, gradient, output: tf.raw_ops.EluGrad(gradients=gradient, outputs=output),
    "Tanh": lambda _, gradient, output: tf.raw_ops.TanhGrad(y=output, dy=gradient),
}
"""By operation: its gradient, from that of its output and the output."""


@contextmanager
def after_pooling() -> Iterator[None]:
    """What is built within gets these gradients from `tf.gradients`; a tape does not know them."""
    names = {name: _registered(name) for name in (POOLING, *SLOPES)}
    with tf.compat.v1.get_default_graph().gradient_override_map(names):
        yield


def _registered(operation: str) -> str:
    return f"Hpsearch{operation}"


@tf.RegisterGradient(_registered(POOLING))  # type: ignore[untyped-decorator] # untyped
def _of_pooling(pooling: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    (pooled,) = pooling.outputs
    (inputs,) = pooling.inputs
    if inputs.op.type in SLOPES and _is_only_pooled(inputs):
        gradient = SLOPES[inputs.op.type](inputs.op, gradient, pooled)
    return tf.raw_ops.MaxPoolGrad(
        orig_input=inputs,
        orig_output=pooled,
        grad=gradient,
        ksize=pooling.get_attr("ksize"),
        strides=pooling.get_attr("strides"),
        padding=pooling.get_attr("padding"),
        data_format=pooling.get_attr("data_format"),
    )


def _of_activation(activation: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    (output,) = activation.outputs
    if _is_only_pooled(output):
        return gradient
    return SLOPES[activation.type](activation, gradient, output)


for _name in SLOPES:
    tf.RegisterGradient(_registered(_name))(_of_activation)


def _is_only_pooled(output: tf.Tensor) -> bool:
    """The pooling's gradient, which takes it in as well, may be there already or not."""
    readers = [reader.type for reader in output.consumers()]
    return readers.count(POOLING) == 1 and set(readers) <= {POOLING, f"{POOLING}Grad"}
