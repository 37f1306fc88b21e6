"""What workers report of an evaluation."""

import numpy as np
import pytest

from pipelines import pictures
from pipelines.refit import reports

LABELS = np.array([0, 1, 1])
ONE = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], np.float32)


@pytest.mark.parametrize(
    ("count", "title"), [(1, ""), (2, "2 trainings together"), (5, "5 trainings together")]
)
def test_the_confusion_matrix_says_how_many_trainings_it_counts(
    monkeypatch: pytest.MonkeyPatch, count: int, title: str
) -> None:
    drawn = []

    def draw(matrix: np.ndarray, names: object, title: str) -> bytes:
        drawn.append((matrix.tolist(), title))
        return b""

    monkeypatch.setattr(pictures, "confusion_matrix", draw)
    made = reports(LABELS, [ONE] * count, ("no", "yes"))
    assert drawn == [([[count, 0], [count, count]], title)]
    assert f"{3 * count}" in made["classification_report.txt"].decode()
