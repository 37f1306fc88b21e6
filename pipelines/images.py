"""Image tasks: raw IDX files, or scikit-learn's digits, to uint8 arrays.

A search opens only the training files of MNIST and Fashion-MNIST. Their test files are not looked
for at all, be they there or not: `pipelines.sealed` does that.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.sources import fetch, read_content
from pipelines.splits import (
    TEST_SHARE,
    Division,
    Indices,
    Labels,
    SearchData,
    Split,
    carve,
    carve_sealed,
    content_digest,
    divide,
)
from spaces.errors import InputError

DIGIT_CLASSES = tuple("0123456789")
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIDE = 28
"""Pixels, of MNIST and Fashion-MNIST."""
VALIDATION_SHARE = 1 / 6
"""Of the published training images: 10,000, as many as the test set has."""

Images = NDArray[np.uint8]

_UNSIGNED_BYTES = 0x08


def load_fashion(data_dir: Path | None, division: Division = "search") -> SearchData:
    return _load_idx("fashion", FASHION_CLASSES, data_dir, division)


def load_mnist(data_dir: Path | None, division: Division = "search") -> SearchData:
    return _load_idx("mnist", DIGIT_CLASSES, data_dir, division)


def load_digits(_data_dir: Path | None, division: Division = "search") -> SearchData:
    """The 1,797 digits of scikit-learn, 8x8: a fifth sealed, a fifth of the rest validation."""
    every = read_digits()
    searched = carve_sealed(
        every.labels,
        test_share=TEST_SHARE,
        validation_share=0.2,
        class_names=DIGIT_CLASSES,
        source="scikit-learn's digits",
    )
    return _search_data(every, searched, division, DIGIT_CLASSES)


def read_digits() -> Split:
    """All digits of scikit-learn, those included that are sealed."""
    from sklearn import datasets  # late: see `carve`

    raw = datasets.load_digits()
    images = np.rint(raw.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    return Split(images, raw.target.astype(np.int64))


def read_labelled(images_path: Path, labels_path: Path, *, n_classes: int) -> Split:
    """The images and labels of two IDX files.

    Raises:
        InputError: one cannot be used, or they do not belong together.
    """
    labels = _read_labels(labels_path, n_classes=n_classes)
    images = _read_images(images_path)
    if len(images) != len(labels):
        raise InputError(
            f"{images_path} holds {len(images)} images but {labels_path} {len(labels)} labels: "
            f"take both files from the same place."
        )
    return Split(images, labels)


def read_idx(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """The unsigned bytes of an IDX file, gzipped or not, in its own shape.

    The format is described at the foot of LeCun's MNIST page.

    Raises:
        InputError: damaged, no IDX file of so many dimensions, or not of its declared size.
    """
    content = read_content(path)
    magic = bytes([0, 0, _UNSIGNED_BYTES, dimensions])
    header_size = 4 + 4 * dimensions
    if content[:4] != magic or len(content) < header_size:
        raise InputError(
            f"{path} is no IDX file of {dimensions} dimension(s): it holds {len(content)} bytes "
            f"and starts with 0x{content[:4].hex()}, not 0x{magic.hex()}; replace it."
        )
    shape = np.frombuffer(content[4:header_size], ">u4").tolist()
    size = len(content) - header_size
    if size != math.prod(shape):
        declared = " x ".join(str(length) for length in shape)
        raise InputError(
            f"{path} declares {declared} values but holds {size}: replace it by a whole copy."
        )
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)


def _load_idx(
    task: str, class_names: tuple[str, ...], data_dir: Path | None, division: Division
) -> SearchData:
    images_path, labels_path = fetch(task, data_dir)
    every = read_labelled(images_path, labels_path, n_classes=len(class_names))
    searched = carve(
        every.labels, VALIDATION_SHARE, class_names=class_names, source=str(labels_path)
    )
    return _search_data(every, searched, division, class_names)


def _read_images(path: Path) -> Images:
    images = read_idx(path, dimensions=3)
    if images.shape[1:] != (SIDE, SIDE):
        height, width = images.shape[1:]
        raise InputError(
            f"{path} holds images of {height}x{width} pixels where {SIDE}x{SIDE} are needed: "
            f"replace it."
        )
    return images[..., np.newaxis]


def _read_labels(path: Path, *, n_classes: int) -> Labels:
    labels = read_idx(path, dimensions=1).astype(np.int64)
    wrong = np.flatnonzero(labels >= n_classes)
    if wrong.size:
        raise InputError(
            f"{path} has label {labels[wrong[0]]} at row {wrong[0] + 1} where 0 to "
            f"{n_classes - 1} are meant: correct or replace it."
        )
    return labels


def _search_data(
    every: Split,
    searched: tuple[Indices, Indices],
    division: Division,
    class_names: tuple[str, ...],
) -> SearchData:
    of_search = [Split(every.inputs[rows], every.labels[rows]) for rows in searched]
    digest = content_digest(*(part for s in of_search for part in (s.inputs, s.labels)))
    if division == "search":  # the usual case, in which nothing large is copied again
        train, validation = of_search
    else:
        parts = divide(every.labels, searched, division)
        train, validation = (Split(every.inputs[rows], every.labels[rows]) for rows in parts)
    return SearchData(train, validation, class_names, digest)
