"""Random changes of a batch of training images, drawn anew for every image."""

import math

import tensorflow as tf

from spaces.config import Augmentation

ERASED_AREA = (0.02, 0.25)
"""Share of the image that random erasing blanks (Zhong et al., 2017, arxiv.org/abs/1708.04896)."""


def augment(images: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """The batch with every change that `augmentation` asks for.

    All that moves pixels is done together, so that they are interpolated only once; what is not
    asked for costs nothing.

    Args:
        images: float32, (batch, side, side, channels), raw 0-255.
        seed: int32, (2,); the same seed gives the same changes.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    moves = augmentation.shift, augmentation.rotation, augmentation.zoom, augmentation.shear
    if any(moves) or augmentation.flip:
        images = _move(images, augmentation, seeds[0], seeds[1])
    if augmentation.erasing:
        images = _erase(images, augmentation.erasing, seeds[2])
    return images


def _move(
    images: tf.Tensor, augmentation: Augmentation, seed: tf.Tensor, flip_seed: tf.Tensor
) -> tf.Tensor:
    """Shift, rotation, zoom and shear, then flip.

    The new pixel (x, y) is what was at (a x + b y + from_x, c x + d y + from_y), between pixels
    the mean of the nearest four by distance, and black outside of the image.
    """
    count, side = tf.shape(images)[0], images.shape[1]
    draws = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    mirror = _mirror(count, flip_seed) if augmentation.flip else 1.0
    angle = draws[0] * math.radians(augmentation.rotation)
    slant = tf.tan(draws[1] * math.radians(augmentation.shear))
    scale_x = 1 + draws[2] * augmentation.zoom
    scale_y = 1 + draws[3] * augmentation.zoom
    cos, sin = tf.cos(angle), tf.sin(angle)
    a, b = mirror * scale_x * cos, scale_x * (slant * cos - sin)
    c, d = mirror * scale_y * sin, scale_y * (slant * sin + cos)
    centre = (side - 1) / 2
    # A flip at the end turns the way to the side round, too.
    to_x = centre + mirror * draws[4] * augmentation.shift * side
    to_y = centre + draws[5] * augmentation.shift * side
    from_x, from_y = centre - a * to_x - b * to_y, centre - c * to_x - d * to_y
    if augmentation.rotation or augmentation.shear:
        return _project(images, [a, b, from_x, c, d, from_y])
    rows, columns = _weights(d, from_y, side), _weights(a, from_x, side)
    channels_first = tf.transpose(images, (0, 3, 1, 2))
    moved = tf.matmul(tf.matmul(rows, channels_first), columns, transpose_b=True)
    return tf.transpose(moved, (0, 2, 3, 1))


def _mirror(count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """For each image -1, which flips it, or 1."""
    return tf.where(tf.random.stateless_uniform((count,), seed) < 0.5, -1.0, 1.0)


def _project(images: tf.Tensor, matrix: list[tf.Tensor]) -> tf.Tensor:
    zero = tf.zeros_like(matrix[0])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([*matrix, zero, zero], axis=1),
        output_shape=tf.shape(images)[1:3],
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
        fill_value=0.0,
    )


def _weights(scale: tf.Tensor, start: tf.Tensor, side: int) -> tf.Tensor:
    """How much of each old row, or column, is in each new one: (batch, 1, side, side).

    Where x and y do not mix, interpolation is a product of two such matrices with the image,
    four times as fast as TensorFlow's operation, which goes from pixel to pixel.
    """
    pixel = tf.range(side, dtype="float32")
    source = scale[:, None] * pixel + start[:, None]
    return tf.nn.relu(1 - tf.abs(source[:, :, None] - pixel))[:, None]


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
    kept = tf.cast(~blank, "float32")  # a product is cheaper than a choice by `tf.where`
    return images * kept[..., None]
