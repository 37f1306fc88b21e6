"""Pictures: drawn for every shape that a trial's history can have, and readable PNG files."""

import io
import math
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from pipelines import pictures
from pipelines.tasks import TASKS

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHURN = TASKS["churn"].metrics


def row(
    epoch: float, metrics: tuple[str, ...] = ("accuracy",), value: float = 0.5
) -> dict[str, float]:
    return {
        "epoch": epoch,
        "train_loss": value,
        "train_accuracy": value,
        "val_loss": value,
        **{f"val_{name}": value for name in metrics},
        "learning_rate": 1e-3,
        "epoch_seconds": 2.0,
    }


def decoded(png: bytes) -> np.ndarray[Any, Any]:
    """(height, width, 4), and an error if it is no PNG."""
    assert png.startswith(PNG_SIGNATURE)
    return np.asarray(matplotlib.image.imread(io.BytesIO(png), format="png"))


def coloured(image: np.ndarray[Any, Any], colour: str) -> int:
    """Number of pixels of the colour."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return int((np.abs(image[..., :3] - channels).max(axis=-1) < 0.02).sum())


@pytest.mark.parametrize(
    ("metrics", "shape"), [(("accuracy",), (270, 1134)), (CHURN, (540, 1134))], ids=["1", "4"]
)
def test_the_curves_have_a_panel_for_loss_metrics_and_seconds(
    metrics: tuple[str, ...], shape: tuple[int, int]
) -> None:
    rows = [row(float(epoch), metrics, 1 / epoch) for epoch in range(1, 8)]
    image = decoded(pictures.curves(rows, metrics))
    assert image.shape[:2] == shape
    height, width = shape[0] // (len(metrics) // 3 + 1), shape[1] // 3
    panels = [
        image[top : top + height, left : left + width]
        for top in range(0, shape[0], height)
        for left in range(0, shape[1], width)
    ]
    drawn = [coloured(panel, pictures.VALIDATION) > 50 for panel in panels]
    curves = 1 + len(metrics)
    assert drawn == [number < curves for number in range(len(panels))]
    assert coloured(panels[curves], pictures.TRAIN) > 500  # bars of seconds


@pytest.mark.parametrize(
    "rows",
    [
        [row(1.0)],
        [row(1 / 3)],
        [row(1 / 3), row(1.0), row(2.0)],
        [row(1.0), row(2.0, value=math.nan)],
        [row(1.0, value=math.nan)],
        [row(1.0), row(2.0, value=1e30)],
        [row(float(epoch)) for epoch in range(1, 301)],
    ],
    ids=["one", "fraction", "from a fraction", "diverged", "only NaN", "huge", "300"],
)
def test_the_curves_of_any_history_can_be_drawn(rows: list[dict[str, float]]) -> None:
    assert decoded(pictures.curves(rows, ("accuracy",))).shape[:2] == (270, 1134)


@pytest.mark.parametrize("task", ["fashion", "churn", "iris"])
def test_the_confusion_matrix_is_drawn_for_any_number_of_classes(task: str) -> None:
    names = TASKS[task].class_names
    matrix = np.diag(np.arange(1, len(names) + 1)) + 2
    image = decoded(pictures.confusion_matrix(matrix, names))
    assert image.shape[0] == image.shape[1] > 300
    assert image[..., :3].std() > 0.1


@pytest.mark.parametrize("task", ["fashion", "churn"])
def test_a_title_has_room_above_the_confusion_matrix(task: str) -> None:
    names = TASKS[task].class_names
    matrix = np.eye(len(names), dtype=np.int64)
    plain = decoded(pictures.confusion_matrix(matrix, names))
    titled = decoded(pictures.confusion_matrix(matrix, names, "5 trainings together"))
    assert titled.shape == plain.shape
    rows = np.flatnonzero((titled[..., :3].max(axis=-1) < 0.5).any(axis=1))
    assert rows[0] > 3  # nothing is cut off
    assert (np.diff(rows)[:20] > 1).any()  # nor runs into the matrix


def test_a_class_without_rows_does_not_disturb_the_confusion_matrix() -> None:
    decoded(pictures.confusion_matrix(np.array([[5, 1], [0, 0]]), ("no", "yes")))


def test_darker_cells_hold_a_greater_share_of_their_row() -> None:
    matrix = np.array([[900, 100], [1, 1]])
    image = decoded(pictures.confusion_matrix(matrix, ("a", "b")))
    darkness = 1 - image[..., :3].mean(axis=-1)
    cells = [darkness[20:40, 70:90].mean(), darkness[20:40, 270:290].mean()]
    assert cells[0] > cells[1] + 0.3


def test_the_longest_class_names_have_room_in_the_confusion_matrix() -> None:
    names = TASKS["fashion"].class_names
    image = decoded(pictures.confusion_matrix(np.eye(10, dtype=np.int64), names))
    dark = image[..., :3].max(axis=-1) < 0.5
    for edge in (dark[:3], dark[-3:], dark[:, :3], dark[:, -3:]):
        assert not edge.any()  # nothing is cut off


@pytest.mark.parametrize(
    ("confidence", "accuracy", "counts"),
    [
        ([0.55, 0.75, 0.99], [0.5, 0.8, 0.97], [10, 20, 1000]),
        ([0.99], [1.0], [3]),
        ([0.1, 0.3], [0.0, 1.0], [1, 1]),
    ],
    ids=["usual", "one bin", "guessing"],
)
def test_calibration_is_drawn_for_any_bins(
    confidence: list[float], accuracy: list[float], counts: list[int]
) -> None:
    image = decoded(pictures.calibration(confidence, accuracy, counts))
    assert image.shape[:2] == (324, 324)
    assert image[..., :3].std() > 0.02


def test_mistakes_stand_beside_what_they_were_taken_for() -> None:
    images = [np.full((28, 28, 1), gray, np.uint8) for gray in (40, 200)]
    labels = [("Shirt", "Coat 99%"), ("Bag", "Sandal 51%")]
    image = decoded(pictures.mistakes(images, labels, "2 of 10 are wrong"))
    assert image.shape[:2] == (26 + 122 + 4, 6 * 132)
    assert (image[40, 20, :3] * 255).round().tolist() == [40] * 3
    assert (image[40, 152, :3] * 255).round().tolist() == [200] * 3
    assert coloured(image, pictures.WRONG) > 10


@pytest.mark.parametrize(("side", "enlarged"), [(8, 56), (28, 56), (20, 40), (100, 100)])
def test_images_grow_by_whole_multiples(side: int, enlarged: int) -> None:
    image = np.arange(side * side, dtype=np.uint32).astype(np.uint8).reshape(side, side, 1)
    assert pictures.enlarged(image, 56).size == (enlarged, enlarged)
