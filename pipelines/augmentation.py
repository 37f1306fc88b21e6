"""Random changes of a batch of training images, drawn anew for every image."""

import math

import tensorflow as tf

from spaces.config import Augmentation

ERASED_AREA = (0.02, 0.25)
"""Share of the image that random erasing blanks (Zhong et al., 2017, arxiv.org/abs/1708.04896)."""


def augment(images: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """The batch with every change that `augmentation` asks for.

    One projective transform does shift, rotation, zoom and shear together; what is not asked
    for costs nothing.

    Args:
        images: float32, (batch, side, side, channels), raw 0-255.
        seed: int32, (2,); the same seed gives the same changes.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    if any((augmentation.shift, augmentation.rotation, augmentation.zoom, augmentation.shear)):
        images = _transform(images, augmentation, seeds[0])
    if augmentation.flip:
        images = _flip(images, seeds[1])
    if augmentation.erasing:
        images = _erase(images, augmentation.erasing, seeds[2])
    return images


def _transform(images: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    count, side = tf.shape(images)[0], images.shape[1]
    draws = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    angle = draws[0] * math.radians(augmentation.rotation)
    slant = tf.tan(draws[1] * math.radians(augmentation.shear))
    scale_x = 1 + draws[2] * augmentation.zoom
    scale_y = 1 + draws[3] * augmentation.zoom
    cos, sin = tf.cos(angle), tf.sin(angle)
    a, b = scale_x * cos, scale_x * (slant * cos - sin)
    c, d = scale_y * sin, scale_y * (slant * sin + cos)
    centre = (side - 1) / 2
    to_x = centre + draws[4] * augmentation.shift * side
    to_y = centre + draws[5] * augmentation.shift * side
    zero = tf.zeros_like(a)
    # TensorFlow asks where each pixel of the new image comes from: (to_x, to_y) from the centre.
    matrix = tf.stack(
        [
            a, b, centre - a * to_x - b * to_y,
            c, d, centre - c * to_x - d * to_y,
            zero, zero,
        ],
        axis=1,
    )  # fmt: skip
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=matrix,
        output_shape=tf.shape(images)[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def _flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    chosen = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed) < 0.5
    return tf.where(chosen, images[:, :, ::-1, :], images)


def _erase(images: tf.Tensor, probability: float, seed: tf.Tensor) -> tf.Tensor:
    count, side = tf.shape(images)[0], images.shape[1]
    draws = tf.random.stateless_uniform((5, count, 1), seed)
    area = ERASED_AREA[0] + draws[0] * (ERASED_AREA[1] - ERASED_AREA[0])
    ratio = tf.exp((2 * draws[1] - 1) * math.log(3.0))
    height = tf.minimum(tf.sqrt(area * ratio), 1.0) * side
    width = tf.minimum(tf.sqrt(area / ratio), 1.0) * side
    top, left = draws[2] * (side - height), draws[3] * (side - width)
    pixel = tf.range(side, dtype="float32")[None, :] + 0.5  # its middle: else row 0 is spared
    rows = (pixel >= top) & (pixel < top + height)
    columns = (pixel >= left) & (pixel < left + width)
    blank = rows[:, :, None] & columns[:, None, :] & (draws[4] < probability)[:, :, None]
    return tf.where(blank[..., None], 0.0, images)
