"""The only door to the test rows. What trains, and what chooses, must not import this module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.images import read_digits, read_labelled
from pipelines.sources import SOURCES, Source, fetch
from pipelines.splits import TEST_SHARE, Indices, Labels, Split, carve
from pipelines.tabular import features, read_customers, read_flowers
from pipelines.tasks import Task
from spaces.errors import InputError

TEST_FILES = {
    "fashion": Source(
        files={
            "t10k-images-idx3-ubyte.gz": (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        },
        addresses=SOURCES["fashion"].addresses,
    ),
    "mnist": Source(
        files={
            "t10k-images-idx3-ubyte.gz": (
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        },
        addresses=SOURCES["mnist"].addresses,
    ),
}
"""Published test sets; the test rows of other tasks were carved from their only file."""


def require_sealed(task: Task, data_dir: Path | None) -> None:
    """Sees to it that `open_sealed` will find what it needs; reads nothing.

    Raises:
        InputError: the task has no test rows, or their files are missing.
    """
    _reader(task)
    if task.name in TEST_FILES:
        fetch(task.name, data_dir, TEST_FILES[task.name])


def open_sealed(task: Task, data_dir: Path | None, preprocessor: Any) -> Split:  # noqa: ANN401 - untyped
    """The test rows, which no search has seen.

    Args:
        preprocessor: That of the rows which were trained on; None for images.

    Raises:
        InputError: the task has none, or they cannot be used.
    """
    return _reader(task)(task, data_dir, preprocessor)


Reader = Callable[[Task, Path | None, Any], Split]


def _reader(task: Task) -> Reader:
    if task.name not in _READERS:
        raise InputError(
            f"{task.title}: there is no test set to open, all rows are trained on; choose another"
            f" task than {task.name}."
        )
    return _READERS[task.name]


def _published(task: Task, data_dir: Path | None, _: object) -> Split:
    images, labels = fetch(task.name, data_dir, TEST_FILES[task.name])
    return read_labelled(images, labels, n_classes=task.n_classes)


def _digits(task: Task, _: Path | None, __: object) -> Split:
    every = read_digits()
    rows = _carved_off(task, every.labels)
    return Split(every.inputs[rows], every.labels[rows])


def _flowers(task: Task, _: Path | None, scaler: Any) -> Split:  # noqa: ANN401 - scikit-learn
    measures, labels = read_flowers()
    rows = _carved_off(task, labels)
    return Split(features(scaler, measures[rows]), labels[rows])


def _customers(task: Task, data_dir: Path | None, encoder: Any) -> Split:  # noqa: ANN401 - untyped
    import pandas as pd  # late: see `carve`

    path, columns, labels = read_customers(data_dir)
    rows = _carved_off(task, labels)
    try:
        inputs = features(encoder, pd.DataFrame(columns).iloc[rows])
    except ValueError as error:  # the encoder has met a category for the first time
        raise InputError(
            f"{path}: a test row has a value that no other row has ({error}): add rows of it, "
            f"remove them, or correct its spelling."
        ) from error
    return Split(inputs, labels[rows])


def _carved_off(task: Task, labels: Labels) -> Indices:
    """Positions of the rows that the task's loader drops."""
    _, rows = carve(labels, TEST_SHARE, class_names=task.class_names, source=task.title)
    return rows


_READERS: dict[str, Reader] = {
    "fashion": _published,
    "mnist": _published,
    "digits": _digits,
    "iris": _flowers,
    "churn": _customers,
}
