"""Where a network errs on the validation split: surest mistakes, calibration, error by group."""

import base64
import math
from itertools import pairwise
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from pipelines import pictures, raw_rows, scoring
from pipelines.raw_rows import RawColumns
from pipelines.scoring import Probabilities
from pipelines.splits import SearchData

MOST = 24
"""Mistakes that are shown."""
BINS = 10
FEW_VALUES = 6
"""A column of numbers with no more of them is a group a value; others are cut into ranges."""
RANGES = 5
"""About so many, at round numbers."""
PICTURE_SIDE = 56


class Shown(TypedDict, total=False):
    """What a person sees of a row.

    Attributes:
        values: By column, of tables.
        picture: Base64 of a gray PNG, of images.
    """

    values: dict[str, str | float | int]
    picture: str


class Mistake(Shown):
    """One wrong answer.

    Attributes:
        row: Position in the validation split.
        confidence: Probability of the predicted class.
    """

    row: int
    true: str
    predicted: str
    confidence: float


class Bin(TypedDict):
    """Answers of about the same confidence: their mean confidence, and the share that is right."""

    confidence: float
    accuracy: float
    n: int


class Group(TypedDict):
    """Rows with the same value, or in the same range, and the share of them that is wrong."""

    value: str
    n: int
    error: float


class Mistakes(TypedDict):
    """What mistakes.json holds.

    Attributes:
        worst: The surest first.
        confusion: True classes in rows, counts.
        slices: Of tables, by column.
    """

    n_validation: int
    n_wrong: int
    worst: list[Mistake]
    confusion: list[list[int]]
    class_names: list[str]
    calibration: list[Bin]
    slices: dict[str, list[Group]]


def find_mistakes(task: str, data: SearchData, probabilities: Probabilities) -> Mistakes:
    labels, names = data.validation.labels, data.class_names
    predicted = scoring.predicted(probabilities)
    confidence = confidence_of(probabilities)
    wrong = predicted != labels
    worst = surest(wrong, confidence)
    is_image = len(data.input_shape) == 3
    columns = (
        {} if is_image else raw_rows.raw_columns(task, data.validation.inputs, data.preprocessor)
    )
    return {
        "n_validation": len(labels),
        "n_wrong": int(wrong.sum()),
        "worst": [
            {
                "row": int(row),
                "true": names[labels[row]],
                "predicted": names[predicted[row]],
                "confidence": round(float(confidence[row]), 4),
                **_shown(data, columns, row),
            }
            for row in worst
        ],
        "confusion": scoring.confusion_matrix(labels, probabilities, len(names)).tolist(),
        "class_names": list(names),
        "calibration": calibration(~wrong, confidence, len(names)),
        "slices": {name: groups(values, wrong) for name, values in columns.items()},
    }


def drawn(found: Mistakes, data: SearchData) -> dict[str, bytes]:
    """Pictures of what was found, by file name; of images the mistakes too, if there are any."""
    bins, worst = found["calibration"], found["worst"]
    made = {
        "confusion_matrix.png": pictures.confusion_matrix(
            np.array(found["confusion"]), found["class_names"]
        ),
        "calibration.png": pictures.calibration(
            [each["confidence"] for each in bins],
            [each["accuracy"] for each in bins],
            [each["n"] for each in bins],
        ),
    }
    if worst and "picture" in worst[0]:
        share = f"{found['n_wrong']:,} of {found['n_validation']:,}"
        made["mistakes.png"] = pictures.mistakes(
            [data.validation.inputs[each["row"]] for each in worst],
            [(each["true"], f"{each['predicted']} {each['confidence']:.0%}") for each in worst],
            f"{share} are wrong. The surest: what it is, and below what it was taken for",
        )
    return made


def confidence_of(probabilities: Probabilities) -> NDArray[np.float32]:
    """(n,): the probability of each row's predicted class."""
    if probabilities.shape[1] == 1:
        return np.maximum(probabilities[:, 0], 1 - probabilities[:, 0])
    return np.asarray(probabilities.max(axis=1))


def surest(wrong: NDArray[np.bool_], confidence: NDArray[np.float32]) -> NDArray[np.int64]:
    """Positions of the mistakes that the network was surest of, the surest first."""
    rows = np.flatnonzero(wrong)
    return rows[np.argsort(-confidence[rows], kind="stable")][:MOST]


def calibration(
    right: NDArray[np.bool_], confidence: NDArray[np.float32], n_classes: int
) -> list[Bin]:
    """Bins of equal width from blind guessing to certainty; empty ones are left out."""
    lowest = 1 / n_classes
    place = np.ceil((confidence - lowest) / (1 - lowest) * BINS).astype(int) - 1
    place = place.clip(0, BINS - 1)
    return [
        {
            "confidence": round(float(confidence[inside].mean()), 4),
            "accuracy": round(float(right[inside].mean()), 4),
            "n": int(inside.sum()),
        }
        for inside in (place == each for each in range(BINS))
        if inside.any()
    ]


def groups(values: NDArray[Any], wrong: NDArray[np.bool_]) -> list[Group]:
    """The error by value of a column, or by range of its values."""
    names, place = _by_value(values) if _has_few(values) else _by_range(values)
    counts = np.bincount(place, minlength=len(names))
    errors = np.bincount(place, weights=wrong, minlength=len(names))
    return [
        {"value": name, "n": int(n), "error": round(float(bad / n), 4)}
        for name, n, bad in zip(names, counts, errors, strict=True)
        if n
    ]


def _has_few(values: NDArray[Any]) -> bool:
    return values.dtype == object or len(np.unique(values)) <= FEW_VALUES


def _by_value(values: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    found, place = np.unique(
        values.astype(str if values.dtype == object else float), return_inverse=True
    )
    return [str(raw_rows.plain(value)) for value in found.tolist()], place


def _by_range(values: NDArray[np.float64]) -> tuple[list[str], NDArray[np.int64]]:
    low, high = np.quantile(values, [0.05, 0.95])
    step = _round_step((high - low) / RANGES or 1.0)
    first = math.floor(low / step) + 1
    edges = np.arange(first, max(first + 1, math.ceil(high / step))) * step
    # A hair lower, for a multiple of .1 may lie above the value that is written the same.
    place = np.searchsorted(edges - step * 1e-9, values, side="right")
    gap = 1 if step >= 1 and not (values % 1).any() else 0  # 30 to 39, but 1.5 to 2
    between = [
        f"{_text(start)} to {_text(end - gap)}" if end - gap > start else _text(start)
        for start, end in pairwise(edges)
    ]
    return [f"under {_text(edges[0])}", *between, f"{_text(edges[-1])} and more"], place


def _text(number: float) -> str:
    return f"{number:,.10g}"


def _round_step(step: float) -> float:
    """The next 1, 2 or 5 at this power of ten, or 1 at the one above."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(each * power for each in (1, 2, 5, 10) if each * power >= step * 0.999)


def _shown(data: SearchData, columns: RawColumns, row: int) -> Shown:
    if columns:
        return {"values": {name: raw_rows.plain(cells[row]) for name, cells in columns.items()}}
    png = pictures.png(pictures.enlarged(data.validation.inputs[row], PICTURE_SIDE))
    return {"picture": base64.b64encode(png).decode()}
