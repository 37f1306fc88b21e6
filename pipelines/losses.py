"""What the optimizer minimizes, beside the penalties on the weights."""

import tensorflow as tf


def cross_entropies(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    """One value a row, in nats.

    Args:
        labels: int64, (batch,).
        logits: (batch, classes), or (batch, 1) for two classes.
        smoothing: The share of each target that is spread over all classes.
    """
    if logits.shape[-1] == 1:
        target = tf.cast(labels, tf.float32) * (1 - smoothing) + smoothing / 2
        return tf.nn.sigmoid_cross_entropy_with_logits(target, logits[:, 0])
    if not smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    classes = logits.shape[-1]
    target = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    return tf.nn.softmax_cross_entropy_with_logits(target, logits)


def right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Whether the likeliest class is the label; bool, (batch,)."""
    if logits.shape[-1] == 1:
        return (logits[:, 0] > 0) == (labels == 1)
    return tf.argmax(logits, axis=1) == labels
