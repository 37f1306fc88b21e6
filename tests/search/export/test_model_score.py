"""The exported model: asked in a process of its own, and compared with what its training scored."""

from pathlib import Path

import joblib
import pytest

from pipelines.tasks import TASKS
from search.export.model_score import model_problem, score_model
from tests.exported import churn_data, export_of

# Keras 3.15 on NumPy 2 when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def own_score(task_name: str, folder: Path, data_dir: Path | None) -> float:
    """What a training scores: of inputs that are prepared already."""
    import keras

    from pipelines import scoring

    task = TASKS[task_name]
    rows = task.load(data_dir).validation
    said = keras.models.load_model(folder / "model.keras").predict(rows.inputs, verbose=0)
    metric = task.goal.metric.removeprefix("val_")
    return scoring.score(rows.labels, said, [metric])[metric]


@pytest.mark.parametrize("task", ["churn", "digits", "iris", "xor"])
def test_a_model_scores_on_raw_rows_what_its_training_did(task: str, tmp_path: Path) -> None:
    data_dir = churn_data(tmp_path / "data") if task == "churn" else None
    folder = export_of(task, tmp_path, data_dir)
    score, tolerance, broken = score_model(task, folder, data_dir, "search")
    assert not broken
    assert score == pytest.approx(own_score(task, folder, data_dir), abs=1e-6)
    assert 0.002 <= tolerance <= 1.5 / len(TASKS[task].load(data_dir).validation.labels)


def test_another_preprocessor_shows(tmp_path: Path) -> None:
    folder = export_of("iris", tmp_path)
    before, tolerance, _ = score_model("iris", folder, None, "search")
    scaler = joblib.load(folder / "preprocessor.joblib")
    scaler.mean_[2] += 3
    joblib.dump(scaler, folder / "preprocessor.joblib")
    assert abs(score_model("iris", folder, None, "search")[0] - before) > tolerance


def test_a_process_of_its_own_compares(tmp_path: Path) -> None:
    folder = export_of("iris", tmp_path)
    score = own_score("iris", folder, None)
    assert not model_problem("iris", folder, None, "search", score)
    said = model_problem("iris", folder, None, "search", score + 0.2)
    assert said == (
        f"model.keras scores val_accuracy {score:.4f} where its training scored {score + 0.2:.4f}"
    )


def test_a_model_that_cannot_be_loaded_is_told_in_a_sentence(tmp_path: Path) -> None:
    folder = export_of("iris", tmp_path)
    (folder / "model.keras").write_bytes(b"cut off")
    _, _, broken = score_model("iris", folder, None, "search")
    assert "model.keras cannot be read by Keras" in broken
    assert not broken.endswith(".")
