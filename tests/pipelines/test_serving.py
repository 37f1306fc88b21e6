"""The served model: raw pixels and rows, good and bad, and files that are damaged or too old."""

import ast
import io
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from mlflow.pyfunc import PyFuncModel, load_model
from rich.console import Console

from pipelines import serving
from pipelines.raw_inputs import COLUMNS, contract, raw_examples
from pipelines.serving import BadInputError, BrokenModelError, Predictor
from pipelines.tasks import TASKS
from search.export.registry import register
from tests.exported import churn_data, export_of, settings_of
from tests.fakes import new_study

# Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CUSTOMER = {
    "RowNumber": 1,
    "CustomerId": 15634602,
    "Surname": "Hargrave",
    "CreditScore": 619,
    "Geography": "France",
    "Gender": "Female",
    "Age": 42,
    "Tenure": 2,
    "Balance": 0.5,
    "NumOfProducts": 1,
    "HasCrCard": True,
    "IsActiveMember": 1,
    "EstimatedSalary": 101348.88,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of digits and churn, registered, and the churn table under data/."""
    folder = tmp_path_factory.mktemp("served")
    data_dir = churn_data(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for task in ("digits", "churn"):
            exported = export_of(task, folder, data_dir)
            quiet = Console(file=io.StringIO())
            settings = settings_of(folder, data_dir)
            register(TASKS[task], settings, new_study(), exported, quiet, verified=True)
    return folder


@pytest.fixture(scope="module")
def digits(folder: Path) -> PyFuncModel:
    return served(folder, "digits")


@pytest.fixture(scope="module")
def churn(folder: Path) -> PyFuncModel:
    return served(folder, "churn")


def served(folder: Path, task: str) -> PyFuncModel:
    """What MLflow loads from the files of a registered model."""
    for path in (folder / "mlruns" / "artifacts" / "models").glob("*/artifacts"):
        model = load_model(str(path))
        if (model.metadata.metadata or {})["task"] == task:
            return model
    raise AssertionError(task)


def probabilities(answers: pd.DataFrame) -> np.ndarray:
    return np.array([list(row.values()) for row in answers["probabilities"]])


def rows(*changes: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{**CUSTOMER, **changed} for changed in changes])


# answers


@pytest.mark.parametrize("last", [(), (1,)])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_images_are_answered_as_the_network_does(
    digits: PyFuncModel, folder: Path, last: tuple[int, ...], kind: type
) -> None:
    import keras

    images = TASKS["digits"].load(None).validation.inputs[:5]
    answers: Any = digits.predict(images.reshape(5, 8, 8, *last).astype(kind))
    network = keras.models.load_model(folder / "exports" / "digits" / "model.keras")
    expected = np.asarray(network(images.astype(np.float32), training=False))
    np.testing.assert_allclose(probabilities(answers), expected, atol=1e-6)
    assert answers["class"].tolist() == [str(row.argmax()) for row in expected]
    assert list(answers["probabilities"][0]) == list("0123456789")


def test_one_image_is_an_answer(digits: PyFuncModel) -> None:
    images = TASKS["digits"].load(None).validation.inputs
    alone = digits.predict(images[3, ..., 0])
    assert len(alone) == 1
    np.testing.assert_allclose(
        probabilities(alone), probabilities(digits.predict(images[3:4])), atol=1e-6
    )


def test_more_images_than_a_batch_holds_are_answered(digits: PyFuncModel) -> None:
    images = TASKS["digits"].load(None).train.inputs
    assert len(images) > 2 * serving.BATCH
    assert len(digits.predict(images)) == len(images)


def test_rows_are_answered_as_the_network_does(churn: PyFuncModel, folder: Path) -> None:
    import keras

    data = TASKS["churn"].load(folder / "data")
    raw = raw_examples(TASKS["churn"], data, 20)
    answers: Any = churn.predict(raw.sample(frac=1, axis=1, random_state=1))
    network = keras.models.load_model(folder / "exports" / "churn" / "model.keras")
    left = np.asarray(network(data.train.inputs[:20], training=False))[:, 0]
    assert [list(row) for row in answers["probabilities"]] == [["stayed", "left"]] * 20
    np.testing.assert_allclose(
        probabilities(answers), np.stack([1 - left, left], axis=1), atol=1e-5
    )
    assert answers["class"].tolist() == ["left" if p > 0.5 else "stayed" for p in left]


def test_rows_need_not_be_tidy(churn: PyFuncModel) -> None:
    plain = churn.predict(rows({}))
    untidy = churn.predict(rows({"Age": "42", "Geography": " France ", "Tenure": 2.0}))
    np.testing.assert_array_equal(probabilities(plain), probabilities(untidy))


@pytest.mark.parametrize("task", ["churn", "iris", "xor"])
def test_examples_lead_back_to_the_networks_input(task: str, folder: Path) -> None:
    data = TASKS[task].load(folder / "data")
    raw = raw_examples(TASKS[task], data, 3)
    assert list(raw.columns) == list(COLUMNS[task])
    if data.preprocessor is None:
        prepared = raw
    else:
        named = hasattr(data.preprocessor, "feature_names_in_")
        prepared = data.preprocessor.transform(raw if named else raw.to_numpy())
    np.testing.assert_allclose(prepared, data.train.inputs[:3], atol=1e-5)


# what cannot be answered


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (
            np.zeros((2, 9, 9)),
            "lists of 8 x 8 pixels (n x 8 x 8, or n x 8 x 8 x 1), got 2 x 9 x 9",
        ),
        (np.zeros((1, 8, 8, 3)), "got 1 x 8 x 8 x 3"),
        (np.zeros((0, 8, 8)), "got 0"),
        (np.full((1, 8, 8), 256), "Pixels must be numbers from 0 to 255, got 256"),
        (np.full((1, 8, 8), -1), "got -1"),
        (np.full((1, 8, 8), np.nan), "got nan"),
        (np.full((1, 8, 8), 0.5), "raw, from 0 to 255, and the brightest here is 0.5"),
        (np.full((1, 8, 8), "x"), "not all 8 x 8 numbers"),
        (np.array([[[1, 2], [3]], [[4]]], object), "not all 8 x 8 numbers"),
    ],
)
def test_bad_images_are_refused(digits: PyFuncModel, images: np.ndarray, problem: str) -> None:
    with pytest.raises(Exception, match=re.escape(problem)) as raised:
        digits.predict(images)
    # The class has the name, but comes from the copy that the model has of the file.
    assert type(raised.value).__name__ == "BadInputError"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([{"Geography": "Italy"}], "Row 1: Geography must be one of France, Germany, Spain, got 'Italy'."),
        ([{}, {"Gender": None}], "Row 2: Gender must be one of Female, Male, got nothing."),
        ([{}, {}, {"Age": "old"}], "Row 3: Age must be a number, got 'old'."),
        ([{"Age": None}], "Row 1: Age must be a number, got nothing."),
        ([{"Age": ""}], "Row 1: Age must be a number, got nothing."),
        ([{"Age": float("inf")}], "Row 1: Age must be a number, got inf."),
        ([{"Balance": 1e300}], "Row 1: Balance must be a number, got 1e+300."),
        ([{"Age": [42]}], "Row 1: Age must be a number, got [42]."),
        ([], "There is no row that names its columns: send some with Geography, Gender, "),
    ],
)  # fmt: skip
def test_bad_rows_are_refused(
    churn: PyFuncModel, changes: list[dict[str, Any]], problem: str
) -> None:
    with pytest.raises(Exception, match=re.escape(problem)) as raised:
        churn.predict(rows(*changes))
    assert type(raised.value).__name__ == "BadInputError"


@pytest.mark.parametrize(
    ("left_out", "problem"),
    [
        (["Age"], "The column Age is missing: a row needs Geography, Gender, CreditScore"),
        (["Age", "Gender"], "The columns Gender, Age are missing: a row needs"),
    ],
)
def test_a_missing_column_is_named(churn: PyFuncModel, left_out: list[str], problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        churn.predict(rows({}).drop(columns=left_out))


def test_a_column_that_is_there_twice_is_named() -> None:
    twice = pd.DataFrame([[1, 2, 3]], columns=["first", "second", "first"])
    with pytest.raises(BadInputError, match="column first is there more than once"):
        serving.checked_rows(twice, COLUMNS["xor"], {})


def test_a_refusal_is_one_sentence_with_status_400() -> None:
    error = BadInputError("Row 1: Age must be a number, got 'old'.")
    error.message = f"Failed to predict data 'all of it'. \nError: {error.message}"
    answer = json.loads(error.serialize_as_json())
    assert answer["message"] == "Row 1: Age must be a number, got 'old'."
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
    assert error.get_http_status_code() == 400  # type: ignore[no-untyped-call] # MLflow's


# the files


def test_the_served_file_needs_nothing_of_this_project() -> None:
    tree = ast.parse(Path(serving.__file__).read_text())
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    others = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert others == {"joblib", "keras", "mlflow", "numpy", "pandas", "sklearn"}


def test_what_is_a_slip_in_training_is_one_here() -> None:
    from pipelines import tabular

    assert serving.LARGEST_NUMBER == tabular.LARGEST_NUMBER


def rewritten(path: Path, name: str, change: dict[str, Any]) -> None:
    """Changes a JSON file in a `.keras` archive."""
    with zipfile.ZipFile(path) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist()}
    files[name] = json.dumps(json.loads(files[name]) | change).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in files.items():
            archive.writestr(entry, content)


@pytest.mark.parametrize("damage", ["missing", "cut off", "other version"])
def test_a_network_that_cannot_be_read_is_told_in_a_sentence(
    folder: Path, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "model.keras"
    content = (folder / "exports" / "digits" / "model.keras").read_bytes()
    path.write_bytes(content[:2000] if damage == "cut off" else content)
    expected = {
        "missing": "there is no such file",
        "cut off": "it is damaged",
        "other version": "it was written by Keras 9.0.0",
    }
    if damage == "missing":
        path.unlink()
    elif damage == "other version":
        rewritten(path, "metadata.json", {"keras_version": "9.0.0"})
        rewritten(path, "config.json", {"class_name": "Quantum", "module": "keras.quantum"})
    with pytest.raises(
        BrokenModelError, match=rf"model\.keras cannot be .* \({expected[damage]}\)"
    ):
        Predictor(contract(TASKS["digits"]), path, None)


@pytest.mark.parametrize("damage", ["missing", "cut off", "no pickle"])
def test_a_preprocessor_that_cannot_be_read_is_told_in_a_sentence(
    folder: Path, tmp_path: Path, damage: str
) -> None:
    exported = folder / "exports" / "churn"
    path = tmp_path / "preprocessor.joblib"
    content = (exported / "preprocessor.joblib").read_bytes()
    if damage != "missing":
        path.write_bytes(content[:500] if damage == "cut off" else b"<html>")
    with pytest.raises(BrokenModelError, match=r"preprocessor\.joblib cannot be read by scikit"):
        Predictor(contract(TASKS["churn"]), exported / "model.keras", path)


def written_by(other: str, folder: Path, destination: Path) -> Path:
    """The churn preprocessor as another version of scikit-learn would have written it."""
    fitted = joblib.load(folder / "exports" / "churn" / "preprocessor.joblib")
    path = destination / "preprocessor.joblib"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sklearn.base.__version__", other)
        joblib.dump(fitted, path)
    return path


def test_a_preprocessor_of_another_scikit_learn_is_refused(folder: Path, tmp_path: Path) -> None:
    path = written_by("0.22.1", folder, tmp_path)
    network = folder / "exports" / "churn" / "model.keras"
    with pytest.raises(BrokenModelError, match=r"was written by scikit-learn 0\.22\.1, and here"):
        Predictor(contract(TASKS["churn"]), network, path)


def test_a_preprocessor_of_another_patch_is_read(folder: Path, tmp_path: Path) -> None:
    path = written_by(f"{sklearn.__version__.rpartition('.')[0]}.99", folder, tmp_path)
    network = folder / "exports" / "churn" / "model.keras"
    (answer,) = Predictor(contract(TASKS["churn"]), network, path).answers(rows({}))
    assert answer["class"] in TASKS["churn"].class_names
