"""Split and SearchData: what a search may see. The test split is sealed away."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spaces.errors import InputError

SPLIT_SEED = 1
"""Never an option: scores of different studies are comparable on the same split only."""

TEST_SHARE = 0.2
"""Of the rows, where no test set was published."""

FOLDS = 5
"""Parts of the searched rows, each of which is once the validation split of a fold."""

Indices = NDArray[np.int64]
Labels = NDArray[np.int64]
Division = Literal["search", "refit"] | int
"""How the rows that a search may see become train and validation.

search: the fixed split that every trial is scored on.
a number: that fold, counted from 0; after each `FOLDS` of them the rows are shuffled anew.
refit: all rows are train; the rows of `validation` are among them, and its score says nothing.
"""


@dataclass(frozen=True, eq=False)
class Split:
    """Rows and their labels.

    Attributes:
        inputs: uint8, (n, side, side, 1), raw 0-255 images; or float32, (n, features).
        labels: int64, (n,), positions in the class names.
    """

    inputs: np.ndarray
    labels: Labels


@dataclass(frozen=True, eq=False)
class SearchData:
    """All that a search gets. There is no test split in it, on purpose.

    Attributes:
        digest: 36 hex digits that change with the data that was read, and with the search's
            split of it; all divisions of the same data have the same.
        preprocessor: The fitted scikit-learn transformer from raw rows to inputs; None for
            images, which networks take raw.
    """

    train: Split
    validation: Split
    class_names: tuple[str, ...]
    digest: str
    preprocessor: Any = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.train.inputs.shape[1:])


def carve(
    labels: Labels, share: float, *, class_names: tuple[str, ...], source: str
) -> tuple[Indices, Indices]:
    """Positions of the rows to keep and of the `share` to carve off: stratified, always the same.

    `source` names the data in errors.

    Raises:
        InputError: a class has too few rows to be in both parts.
    """
    _check_counts(labels, math.ceil(1 / share), class_names=class_names, source=source)
    # Imported late, and after the check: it takes seconds, which bad input should not cost.
    from sklearn.model_selection import train_test_split

    kept, carved = train_test_split(
        np.arange(len(labels)), test_size=share, stratify=labels, random_state=SPLIT_SEED
    )
    return kept, carved


def carve_sealed(
    labels: Labels,
    *,
    test_share: float,
    validation_share: float,
    class_names: tuple[str, ...],
    source: str,
) -> tuple[Indices, Indices]:
    """Positions of the train and the validation rows; those of the test rows end here.

    `validation_share` is of what is left without the test rows.

    Raises:
        InputError: a class has too few rows to be in all parts.
    """
    needed = math.ceil(1 / (validation_share * (1 - test_share))) + 1
    _check_counts(labels, needed, class_names=class_names, source=source)
    searched, _ = carve(labels, test_share, class_names=class_names, source=source)
    train, validation = carve(
        labels[searched], validation_share, class_names=class_names, source=source
    )
    return searched[train], searched[validation]


def divide(
    labels: Labels, searched: tuple[Indices, Indices], division: Division
) -> tuple[Indices, Indices]:
    """Positions of the train and the validation rows of a division.

    Args:
        searched: Those of the search's own division.
    """
    if division == "search":
        return searched
    rows = np.sort(np.concatenate(searched))
    if division == "refit":
        return rows, searched[1]
    from sklearn.model_selection import StratifiedKFold  # late, as above

    repeat, fold = divmod(division, FOLDS)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SPLIT_SEED + repeat)
    train, validation = list(folds.split(rows, labels[rows]))[fold]
    return rows[train], rows[validation]


def content_digest(*contents: np.ndarray | bytes) -> str:
    """36 hex digits, as many as MLflow takes, over contents in their order."""
    digest = hashlib.sha256()
    for content in contents:
        # With its length, so that moving rows from one part to the next changes the digest.
        is_bytes = isinstance(content, bytes)
        values = np.frombuffer(content, np.uint8) if is_bytes else np.ascontiguousarray(content)
        digest.update(f"{values.nbytes}:".encode())
        digest.update(values.data)
    return digest.hexdigest()[:36]


def _check_counts(
    labels: Labels, needed: int, *, class_names: tuple[str, ...], source: str
) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    for position, (name, count) in enumerate(zip(class_names, counts, strict=True)):
        if count < needed:
            raise InputError(
                f"{source} has {count} rows of class {position} ({name}) where the split needs "
                f"at least {needed}: add such rows."
            )
