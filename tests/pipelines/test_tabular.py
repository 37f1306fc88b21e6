"""The churn table, good and bad; encoders that know the training rows only."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.splits import carve_sealed
from pipelines.tabular import CHURN_CLASSES, load_churn, load_iris, load_xor
from spaces.errors import InputError

HEADER = [
    "RowNumber",
    "CustomerId",
    "Surname",
    "CreditScore",
    "Geography",
    "Gender",
    "Age",
    "Tenure",
    "Balance",
    "NumOfProducts",
    "HasCrCard",
    "IsActiveMember",
    "EstimatedSalary",
    "Exited",
]
N_ROWS = 200

Rows = list[list[str]]


def churn_rows() -> Rows:
    rng = np.random.default_rng(3)
    rows = []
    for i in range(N_ROWS):
        place, gender = ("France", "Germany", "Spain")[i % 3], ("Female", "Male")[i % 2]
        numbers = rng.integers(1, 1000, 8).tolist()
        row = [i, 15_600_000 + i, f"Surname {i}", numbers[0], place, gender, *numbers[1:]]
        rows.append([str(value) for value in row] + [str(int(i % 5 == 0))])
    return rows


def write(place: Path, rows: Rows, header: list[str] = HEADER) -> Path:
    (place / "churn").mkdir(exist_ok=True)
    with (place / "churn" / "Churn_Modelling.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return place


def positions(rows: Rows) -> tuple[list[int], list[int], list[int]]:
    """Rows of train, of validation, and of the sealed test part."""
    labels = np.array([int(row[-1]) for row in rows])
    train, validation = carve_sealed(
        labels, test_share=0.2, validation_share=0.2, class_names=CHURN_CLASSES, source="a test"
    )
    sealed = set(range(len(rows))) - set(train) - set(validation)
    return train.tolist(), validation.tolist(), sorted(sealed)


def spoil(rows: Rows, chosen: list[int]) -> Rows:
    """The rows with other numbers and categories, but the same targets, where chosen."""
    spoilt = [list(row) for row in rows]
    for i in chosen:
        for column in (3, 6, 7, 8, 9, 10, 11, 12):
            spoilt[i][column] = str(float(rows[i][column]) * 1000 + 7)
        spoilt[i][4] = "Spain"
    return spoilt


def test_a_churn_table_becomes_eleven_scaled_features(tmp_path: Path) -> None:
    data = load_churn(write(tmp_path, churn_rows()))
    assert data.input_shape == (11,)
    assert data.train.inputs.dtype == np.float32
    assert (len(data.train.labels), len(data.validation.labels)) == (128, 32)
    assert np.allclose(data.train.inputs[:, 3:].mean(axis=0), 0, atol=1e-6)
    assert np.allclose(data.train.inputs[:, 3:].std(axis=0), 1, atol=1e-5)
    assert set(np.unique(data.train.inputs[:, :3])) == {0.0, 1.0}


def test_each_encoded_row_keeps_its_own_target_and_values(tmp_path: Path) -> None:
    rows = churn_rows()
    data = load_churn(write(tmp_path, rows))
    train, validation, _ = positions(rows)
    for split, chosen in ((data.train, train), (data.validation, validation)):
        assert split.labels.tolist() == [int(rows[i][-1]) for i in chosen]
        assert split.inputs[:, 0].tolist() == [float(rows[i][4] == "Germany") for i in chosen]
        assert split.inputs[:, 1].tolist() == [float(rows[i][4] == "Spain") for i in chosen]
        assert split.inputs[:, 2].tolist() == [float(rows[i][5] == "Male") for i in chosen]
        ages = [float(rows[i][6]) for i in chosen]
        assert np.corrcoef(split.inputs[:, 4], ages)[0, 1] == pytest.approx(1)


def test_identifiers_and_surnames_make_no_difference(tmp_path: Path) -> None:
    rows = churn_rows()
    before = load_churn(write(tmp_path, rows))
    others = [["", "?", "Smith, John", *row[3:]] for row in rows]
    after = load_churn(write(tmp_path, others))
    assert after.digest == before.digest
    without = load_churn(write(tmp_path, [row[3:] for row in rows], HEADER[3:]))
    assert np.array_equal(without.train.inputs, before.train.inputs)


def test_spoilt_validation_rows_never_change_encoded_training_rows(tmp_path: Path) -> None:
    rows = churn_rows()
    before = load_churn(write(tmp_path, rows))
    after = load_churn(write(tmp_path, spoil(rows, positions(rows)[1])))
    assert np.array_equal(after.train.inputs, before.train.inputs)
    assert not np.allclose(after.validation.inputs, before.validation.inputs)
    assert after.digest != before.digest


def test_spoilt_test_rows_change_nothing_at_all(tmp_path: Path) -> None:
    rows = churn_rows()
    before = load_churn(write(tmp_path, rows))
    after = load_churn(write(tmp_path, spoil(rows, positions(rows)[2])))
    assert np.array_equal(after.train.inputs, before.train.inputs)
    assert np.array_equal(after.validation.inputs, before.validation.inputs)
    assert after.digest == before.digest


def test_spoilt_training_rows_change_the_digest(tmp_path: Path) -> None:
    rows = churn_rows()
    before = load_churn(write(tmp_path, rows))
    after = load_churn(write(tmp_path, spoil(rows, positions(rows)[0][:1])))
    assert after.digest != before.digest


def test_the_preprocessor_takes_raw_rows(tmp_path: Path) -> None:
    import pandas as pd

    rows = churn_rows()
    place = write(tmp_path, rows)
    data = load_churn(place)
    table = pd.read_csv(place / "churn" / "Churn_Modelling.csv")
    encoded = data.preprocessor.transform(table.iloc[positions(rows)[0]])
    assert np.allclose(encoded, data.train.inputs)


def test_a_constant_column_stays_finite(tmp_path: Path) -> None:
    rows = churn_rows()
    for row in rows:
        row[10], row[4] = "1", "France"
    data = load_churn(write(tmp_path, rows))
    assert np.isfinite(data.train.inputs).all()
    assert data.input_shape == (9,)


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    place = write(tmp_path, churn_rows(), HEADER[3:4] + HEADER[1:3] + HEADER[3:4] + HEADER[4:])
    path = place / "churn" / "Churn_Modelling.csv"
    write(place, churn_rows())
    expected = load_churn(place).digest
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_churn(place).digest == expected


def cell(line: int, column: str, value: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        rows[line - 2][HEADER.index(column)] = value

    return change


def all_rows(column: str, value: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        for row in rows:
            row[HEADER.index(column)] = value

    return change


def validation_row(column: str, value: str) -> Callable[[Rows], None]:
    def change(rows: Rows) -> None:
        rows[positions(rows)[1][0]][HEADER.index(column)] = value

    return change


BAD_CELLS = {
    "text": (cell(17, "Age", "forty"), "line 17: Age must be a number, got 'forty'"),
    "empty": (cell(2, "Balance", ""), "line 2: Balance must be a number, got ''"),
    "blank": (cell(2, "Balance", " "), "line 2: Balance must be a number, got ' '"),
    "not a number": (cell(9, "Tenure", "NaN"), "line 9: Tenure must be a number, got 'NaN'"),
    "infinite": (cell(9, "Tenure", "inf"), "line 9: Tenure must be a number, got 'inf'"),
    "absurd": (cell(9, "Tenure", "1e300"), "line 9: Tenure must be a number, got '1e300'"),
    "no word": (cell(201, "Gender", ""), "line 201: Gender must be a word, got ''"),
    "target": (cell(5, "Exited", "2"), "line 5: Exited must be 0 or 1, got '2'"),
    "target text": (cell(5, "Exited", "yes"), "line 5: Exited must be 0 or 1, got 'yes'"),
    "target empty": (cell(5, "Exited", ""), "line 5: Exited must be 0 or 1, got ''"),
    "single class": (all_rows("Exited", "0"), r"column Exited, has 0 rows of class 1 \(left\)"),
    "other class": (all_rows("Exited", "1"), r"column Exited, has 0 rows of class 0 \(stayed\)"),
    "rare": (validation_row("Geography", "Malta"), "column Geography: 'Malta' is so rare"),
    "empty row": (lambda rows: rows.insert(3, []), "line 5: it has 0 values where 14"),
    "commas": (lambda rows: rows.insert(3, [""] * 14), "line 5: Geography must be a word"),
    "short row": (lambda rows: rows[3].pop(), "line 5: it has 13 values where 14"),
    "long row": (lambda rows: rows[3].append("1"), "line 5: it has 15 values where 14"),
    "no rows": (lambda rows: rows.clear(), "has 0 rows of class 0"),
    "few rows": (lambda rows: rows.__delitem__(slice(30, None)), r"6 rows of class 1 \(left\)"),
}


@pytest.mark.parametrize(("change", "words"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_bad_table_is_named_with_line_column_and_value(
    tmp_path: Path, change: Callable[[Rows], None], words: str
) -> None:
    rows = churn_rows()
    change(rows)
    with pytest.raises(InputError, match=words) as caught:
        load_churn(write(tmp_path, rows))
    assert "Churn_Modelling.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    header = [name.replace("Age", "Alter") for name in HEADER]
    with pytest.raises(InputError, match=r"has column Age 0 times .* Gender, Alter, Tenure"):
        load_churn(write(tmp_path, churn_rows(), header))


def test_a_column_twice_is_an_error(tmp_path: Path) -> None:
    header = [name.replace("Tenure", "Age") for name in HEADER]
    with pytest.raises(InputError, match="has column Age 2 times"):
        load_churn(write(tmp_path, churn_rows(), header))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has column Geography 0 times .* its columns are none"),
        (b"\xff\xfe\x00R", "is not UTF-8 text at byte 0"),
        (b"RowNumber;Age\n1;2\n", "its columns are RowNumber;Age"),
        (b"Age,\0\n", "Churn_Modelling.csv"),
        (b'Age,"' + b"x" * 200_000, "line 1: this is not CSV"),
    ],
)
def test_a_file_that_is_no_table_is_an_error(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "Churn_Modelling.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        load_churn(tmp_path)


def test_iris_is_scaled_on_its_90_training_rows() -> None:
    data = load_iris(None)
    assert (len(data.train.labels), len(data.validation.labels)) == (90, 30)
    assert np.allclose(data.train.inputs.mean(axis=0), 0, atol=1e-6)
    assert not np.allclose(data.validation.inputs.mean(axis=0), 0, atol=1e-3)
    assert np.bincount(data.validation.labels).tolist() == [10, 10, 10]


def test_xor_is_its_four_rows_for_train_and_validation() -> None:
    data = load_xor(None)
    for split in (data.train, data.validation):
        table = {tuple(row): label for row, label in zip(split.inputs, split.labels, strict=True)}
        assert table == {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 0}
