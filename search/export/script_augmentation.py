"""The part of a training script that changes its images at random."""

from spaces.config import Augmentation

_ERASE = '''
def erase(images):
    """Blanks a rectangle in some images (Zhong et al., 2017, arxiv.org/abs/1708.04896)."""
    count, side = tf.shape(images)[0], images.shape[1]
    area = tf.random.uniform([count, 1], 0.02, 0.25)  # share of the image
    ratio = tf.exp(tf.random.uniform([count, 1], -math.log(3), math.log(3)))
    height = tf.minimum(tf.sqrt(area * ratio), 1) * side
    width = tf.minimum(tf.sqrt(area / ratio), 1) * side
    top = tf.random.uniform([count, 1]) * (side - height)
    left = tf.random.uniform([count, 1]) * (side - width)
    pixel = tf.range(side, dtype="float32") + 0.5
    rows = (pixel >= top) & (pixel < top + height)
    columns = (pixel >= left) & (pixel < left + width)
    chosen = tf.random.uniform([count, 1, 1]) < ERASING
    blank = rows[:, :, None] & columns[:, None, :] & chosen
    return tf.where(blank[..., None], 0.0, images)
'''


def augmentation_code(augmentation: Augmentation) -> list[str]:
    """The function `augment(images)` and what it needs; nothing where nothing is to be done."""
    changes, helpers = [], []
    if _distorts(augmentation):
        changes.append("distort(images)")
        helpers.append(_distort(augmentation))
    if augmentation.flip:
        changes.append("tf.image.random_flip_left_right(images)")
    if augmentation.erasing:
        changes.append("erase(images)")
        helpers.append(_ERASE)
    if not changes:
        return []
    lines = [
        "def augment(images):",
        '    """Changes every image of a batch at random, and anew each time."""',
        '    images = tf.cast(images, "float32")',
        *(f"    images = {change}" for change in changes[:-1]),
        f"    return {changes[-1]}",
    ]
    return [*helpers, "\n".join(lines)]


def _distorts(augmentation: Augmentation) -> bool:
    return bool(
        augmentation.shift or augmentation.rotation or augmentation.zoom or augmentation.shear
    )


def _distort(augmentation: Augmentation) -> str:
    """All geometric changes as one, so that pixels are interpolated only once."""
    matrix = _matrix(augmentation)
    lines = [
        "def distort(images):",
        f'    """{_verbs(augmentation)} each image at random, all at once: it blurs least."""',
        "    count, side = tf.shape(images)[0], images.shape[1]",
        *(["    ones = tf.ones([count])"] if "ones" in " ".join(matrix) else []),
        "    zeros = tf.zeros([count])",
        "    centre = (side - 1) / 2",
    ]
    if augmentation.rotation:
        lines += [
            "    angle = math.radians(ROTATION) * tf.random.uniform([count], -1, 1)",
            "    cos, sin = tf.cos(angle), tf.sin(angle)",
        ]
    if augmentation.shear:
        lines.append("    slant = tf.tan(math.radians(SHEAR) * tf.random.uniform([count], -1, 1))")
    if augmentation.zoom:
        lines += [
            "    zoom_x = 1 + tf.random.uniform([count], -ZOOM, ZOOM)",
            "    zoom_y = 1 + tf.random.uniform([count], -ZOOM, ZOOM)",
        ]
    if augmentation.shift:
        lines += [
            "    to_x = centre + tf.random.uniform([count], -SHIFT, SHIFT) * side",
            "    to_y = centre + tf.random.uniform([count], -SHIFT, SHIFT) * side",
        ]
    else:
        lines.append("    to_x = to_y = centre")
    lines += [
        "    # The new pixel (x, y), seen from (to_x, to_y), is what was at (ax + by, cx + dy),",
        "    # seen from the centre.",
        *(f"    {row}" for row in matrix),
        "    from_x, from_y = centre - a * to_x - b * to_y, centre - c * to_x - d * to_y",
        "    moves = tf.stack([a, b, from_x, c, d, from_y, zeros, zeros], axis=1)",
        "    return keras.ops.image.affine_transform(images, moves)",
    ]
    return "\n".join(lines)


def _matrix(augmentation: Augmentation) -> list[str]:
    """Zoom times rotation times shear, without the factors that are not asked for."""
    if augmentation.rotation and augmentation.shear:
        (a, b), (c, d) = ("cos", "slant * cos - sin"), ("sin", "slant * sin + cos")
    elif augmentation.rotation:
        (a, b), (c, d) = ("cos", "-sin"), ("sin", "cos")
    elif augmentation.shear:
        (a, b), (c, d) = ("ones", "slant"), ("zeros", "ones")
    else:
        (a, b), (c, d) = ("ones", "zeros"), ("zeros", "ones")
    if augmentation.zoom:
        a, b = _times("zoom_x", a), _times("zoom_x", b)
        c, d = _times("zoom_y", c), _times("zoom_y", d)
    return [f"a, b = {a}, {b}", f"c, d = {c}, {d}"]


def _times(zoom: str, entry: str) -> str:
    if entry == "zeros":
        return entry
    if entry == "ones":
        return zoom
    return f"{zoom} * ({entry})" if " " in entry else f"{zoom} * {entry}"


def _verbs(augmentation: Augmentation) -> str:
    limits = {
        "moves": augmentation.shift,
        "turns": augmentation.rotation,
        "scales": augmentation.zoom,
        "shears": augmentation.shear,
    }
    *first, last = [verb for verb, limit in limits.items() if limit]
    return f"{', '.join(first)} and {last}".capitalize() if first else last.capitalize()
