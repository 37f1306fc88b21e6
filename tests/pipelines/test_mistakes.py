"""Where a network errs: on real rows and images, with probabilities made up by hand."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import mistakes, scoring
from pipelines.raw_rows import COLUMNS, raw_columns
from pipelines.splits import SearchData
from pipelines.tabular import CATEGORIES
from pipelines.tasks import TASKS
from tests.pipelines.test_tabular import HEADER, churn_rows, positions, write


@pytest.fixture(scope="module")
def images() -> SearchData:
    return TASKS["digits"].load(None)


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> SearchData:
    folder = tmp_path_factory.mktemp("data")
    write(folder, churn_rows())
    return TASKS["churn"].load(folder)


def told(labels: np.ndarray, n_classes: int, sure: float = 0.9) -> np.ndarray:
    """Probabilities of a network that is right everywhere, and everywhere as sure."""
    others = np.full((len(labels), n_classes), (1 - sure) / (n_classes - 1), np.float32)
    others[np.arange(len(labels)), labels] = sure
    return others


def test_the_surest_mistakes_come_first_with_their_pictures(images: SearchData) -> None:
    labels = images.validation.labels
    probabilities = told(labels, 10)
    for row, sure in ((3, 0.6), (50, 0.99), (7, 0.8)):
        probabilities[row] = told(np.array([(labels[row] + 1) % 10]), 10, sure)
    found = mistakes.find_mistakes("digits", images, probabilities)
    assert (found["n_validation"], found["n_wrong"]) == (len(labels), 3)
    assert [each["row"] for each in found["worst"]] == [50, 7, 3]
    first = found["worst"][0]
    assert (first["true"], first["predicted"]) == (str(labels[50]), str((labels[50] + 1) % 10))
    assert first["confidence"] == pytest.approx(0.99)
    picture = Image.open(io.BytesIO(base64.b64decode(first["picture"])))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (56, 56))
    shown = np.asarray(picture)[::7, ::7]
    np.testing.assert_array_equal(shown, images.validation.inputs[50][..., 0])
    assert found["slices"] == {}
    matrix = scoring.confusion_matrix(labels, probabilities, 10)
    assert found["confusion"] == matrix.tolist()
    assert json.loads(json.dumps(found)) == found


def test_no_more_mistakes_are_shown_than_fit(images: SearchData) -> None:
    labels = images.validation.labels
    found = mistakes.find_mistakes("digits", images, told((labels + 1) % 10, 10))
    assert found["n_wrong"] == len(labels)
    assert len(found["worst"]) == mistakes.MOST
    made = mistakes.drawn(found, images)
    assert set(made) == {"confusion_matrix.png", "calibration.png", "mistakes.png"}
    with Image.open(io.BytesIO(made["mistakes.png"])) as page:
        assert page.size == (6 * 132, 26 + 4 * 122 + 4)


def test_a_network_without_mistakes_has_no_picture_of_them(images: SearchData) -> None:
    found = mistakes.find_mistakes("digits", images, told(images.validation.labels, 10))
    assert (found["n_wrong"], found["worst"]) == (0, [])
    assert set(mistakes.drawn(found, images)) == {"confusion_matrix.png", "calibration.png"}


def test_mistakes_of_a_table_are_its_raw_rows(customers: SearchData) -> None:
    labels = customers.validation.labels
    left = np.where(labels == 1, 0.7, 0.2).astype(np.float32)[:, None]
    left[5] = 1 - left[5]
    found = mistakes.find_mistakes("churn", customers, left)
    (only,) = found["worst"]
    assert only["row"] == 5
    assert only["confidence"] == pytest.approx(float(max(left[5, 0], 1 - left[5, 0])))
    assert "picture" not in only
    assert list(only["values"]) == list(COLUMNS["churn"])
    assert only["values"]["Geography"] in ("France", "Germany", "Spain")
    assert isinstance(only["values"]["Age"], int)
    assert json.loads(json.dumps(found)) == found
    assert set(mistakes.drawn(found, customers)) == {"confusion_matrix.png", "calibration.png"}


def test_slices_count_every_row_once_and_find_where_the_errors_are(customers: SearchData) -> None:
    data = customers.validation
    columns = raw_columns("churn", data.inputs, customers.preprocessor)
    wrong = columns["Geography"] == "Germany"
    left = np.where((data.labels == 1) ^ wrong, 0.9, 0.1).astype(np.float32)[:, None]
    slices = mistakes.find_mistakes("churn", customers, left)["slices"]
    assert set(slices) == set(COLUMNS["churn"])
    for groups in slices.values():
        assert sum(group["n"] for group in groups) == len(data.labels)
        errors = sum(group["n"] * group["error"] for group in groups)
        assert errors == pytest.approx(wrong.sum(), abs=0.1)
    assert {group["value"]: group["error"] for group in slices["Geography"]} == {
        "France": 0.0,
        "Germany": 1.0,
        "Spain": 0.0,
    }


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.array(["b", "a", "b"], object), ["a", "b"]),
        (np.array([0.0, 1.0, 1.0]), ["0", "1"]),
        (np.array([1.0, 2.0, 3.0, 4.0]), ["1", "2", "3", "4"]),
        (np.arange(18.0, 71.0), ["under 30", "30 to 39", "40 to 49", "50 to 59", "60 and more"]),
        (np.arange(10.0), ["under 2", "2 to 3", "4 to 5", "6 to 7", "8 and more"]),
        (
            np.linspace(0, 199_000.5, 500),
            ["under 50,000", "50,000 to 100,000", "100,000 to 150,000", "150,000 and more"],
        ),
        (
            np.linspace(4.3, 7.9, 37).round(1),
            ["under 5", "5 to 6", "6 to 7", "7 and more"],
        ),
    ],
    ids=["words", "yes or no", "few numbers", "ages", "years", "money", "centimetres"],
)
def test_a_column_is_cut_at_round_numbers(values: np.ndarray, names: list[str]) -> None:
    found = mistakes.groups(values, np.zeros(len(values), bool))
    assert [group["value"] for group in found] == names
    assert sum(group["n"] for group in found) == len(values)


def test_a_group_takes_what_lies_on_its_lower_edge() -> None:
    ages = np.concatenate([np.arange(18.0, 71.0), [30.0, 30.0]])
    wrong = ages == 30
    by_name = {group["value"]: group for group in mistakes.groups(ages, wrong)}
    assert by_name["under 30"] == {"value": "under 30", "n": 12, "error": 0.0}
    assert by_name["30 to 39"] == {"value": "30 to 39", "n": 12, "error": 0.25}


def test_values_that_are_nearly_all_the_same_are_cut_too() -> None:
    values = np.concatenate([np.zeros(1000), np.arange(1.0, 9.0)])
    found = mistakes.groups(values, values > 0)
    assert sum(group["n"] for group in found) == 1008
    assert found[0]["error"] < found[-1]["error"] == 1.0


def test_calibration_compares_confidence_with_the_share_that_is_right() -> None:
    confidence = np.array([0.52, 0.53, 0.71, 0.99, 1.0], np.float32)
    right = np.array([True, False, True, True, True])
    bins = mistakes.calibration(right, confidence, n_classes=2)
    assert [each["n"] for each in bins] == [2, 1, 2]
    assert [each["accuracy"] for each in bins] == [0.5, 1.0, 1.0]
    assert [each["confidence"] for each in bins] == pytest.approx([0.525, 0.71, 0.995], abs=1e-3)


@pytest.mark.parametrize("confidence", [0.1, 0.1000001, 1.0])
def test_calibration_takes_in_blind_guesses_and_certainty(confidence: float) -> None:
    (one,) = mistakes.calibration(np.array([True]), np.array([confidence], np.float32), 10)
    assert one["n"] == 1


@pytest.mark.parametrize("task", ["iris", "xor"])
def test_tables_of_numbers_alone_have_mistakes_and_slices(task: str) -> None:
    data = TASKS[task].load(None)
    wrong = (data.validation.labels + 1) % len(data.class_names)
    n_classes = len(data.class_names)
    probabilities = told(wrong, n_classes) if n_classes > 2 else told(wrong, 2)[:, 1:]
    found = mistakes.find_mistakes(task, data, probabilities)
    assert found["n_wrong"] == len(wrong)
    assert list(found["worst"][0]["values"]) == list(COLUMNS[task])
    assert all(g["error"] == 1.0 for groups in found["slices"].values() for g in groups)


def test_raw_columns_are_what_was_read(tmp_path: Path) -> None:
    rows = churn_rows()
    data = TASKS["churn"].load(write(tmp_path, rows))
    columns = raw_columns("churn", data.validation.inputs, data.preprocessor)
    assert list(columns) == list(COLUMNS["churn"])
    _, validation, _ = positions(rows)
    for name in ("Geography", "Gender", "Age", "Balance"):
        cells = [rows[place][HEADER.index(name)] for place in validation]
        read = cells if name in CATEGORIES else [float(cell) for cell in cells]
        assert columns[name].tolist() == read
