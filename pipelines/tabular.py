"""Tables: churn, iris and xor to float32 features. Encoders are fitted on train alone."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.sources import fetch, read_content
from pipelines.splits import (
    TEST_SHARE,
    Division,
    Labels,
    SearchData,
    Split,
    carve_sealed,
    content_digest,
    divide,
)
from spaces.errors import InputError

CATEGORIES = ("Geography", "Gender")
NUMBERS = (
    "CreditScore",
    "Age",
    "Tenure",
    "Balance",
    "NumOfProducts",
    "HasCrCard",
    "IsActiveMember",
    "EstimatedSalary",
)
TARGET = "Exited"
CHURN_CLASSES = ("stayed", "left")
IRIS_CLASSES = ("setosa", "versicolor", "virginica")
XOR_CLASSES = ("equal", "different")

LARGEST_NUMBER = 1e12
"""Beyond it a cell is a slip, and its square would drown the column's spread."""

Columns = dict[str, list[Any]]


def load_churn(data_dir: Path | None, division: Division = "search") -> SearchData:
    """Bank customers, 64/16/20 stratified; the last fifth is sealed and dropped here.

    Raises:
        InputError: the table cannot be used; it says which column and line, and the value.
    """
    path, columns, labels = read_customers(data_dir)
    searched = carve_sealed(
        labels,
        test_share=TEST_SHARE,
        validation_share=0.2,
        class_names=CHURN_CLASSES,
        source=f"{path}, column {TARGET},",
    )
    import pandas as pd  # late: see `carve`

    frame = pd.DataFrame(columns)
    of_search = [
        part for rows in searched for part in (_csv_bytes(frame.iloc[rows]), labels[rows])
    ]
    train, validation = divide(labels, searched, division)
    rows, unseen_rows = frame.iloc[train], frame.iloc[validation]
    _check_categories(rows, unseen_rows, source=path)
    encoder = _churn_encoder().fit(rows)
    return SearchData(
        train=Split(features(encoder, rows), labels[train]),
        validation=Split(features(encoder, unseen_rows), labels[validation]),
        class_names=CHURN_CLASSES,
        digest=content_digest(*of_search),
        preprocessor=encoder,
    )


def load_iris(_data_dir: Path | None, division: Division = "search") -> SearchData:
    """The 150 flowers of scikit-learn, 60/20/20 stratified; the last fifth is sealed."""
    from sklearn.preprocessing import StandardScaler  # late: see `carve`

    measures, labels = read_flowers()
    searched = carve_sealed(
        labels,
        test_share=TEST_SHARE,
        validation_share=0.25,
        class_names=IRIS_CLASSES,
        source="scikit-learn's iris",
    )
    train, validation = divide(labels, searched, division)
    rows, unseen_rows = measures[train], measures[validation]
    scaler = StandardScaler().fit(rows)
    return SearchData(
        train=Split(features(scaler, rows), labels[train]),
        validation=Split(features(scaler, unseen_rows), labels[validation]),
        class_names=IRIS_CLASSES,
        digest=content_digest(*(part for r in searched for part in (measures[r], labels[r]))),
        preprocessor=scaler,
    )


def load_xor(_data_dir: Path | None, _division: Division = "search") -> SearchData:
    """The four rows of exclusive or. Train and validation are the same four: there are no more.

    So its score says that a network can represent the function, and nothing of new data.
    """
    rows = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    labels = np.array([0, 1, 1, 0], np.int64)
    split = Split(rows, labels)
    return SearchData(
        train=split,
        validation=split,
        class_names=XOR_CLASSES,
        digest=content_digest(rows, labels),
    )


def read_customers(data_dir: Path | None) -> tuple[Path, Columns, Labels]:
    """The whole churn table, the sealed rows included: its file, columns and labels.

    Raises:
        InputError: see `load_churn`.
    """
    (path,) = fetch("churn", data_dir)
    columns = read_churn(path)
    return path, columns, np.array(columns.pop(TARGET), np.int64)


def read_flowers() -> tuple[np.ndarray, Labels]:
    """All measures of scikit-learn's iris in centimetres, the sealed rows included, and labels."""
    from sklearn import datasets  # late: see `carve`

    raw = datasets.load_iris()
    return raw.data, raw.target.astype(np.int64)


def features(preprocessor: Any, rows: Any) -> np.ndarray:  # noqa: ANN401 - scikit-learn, pandas
    """Raw rows as a network takes them."""
    return np.ascontiguousarray(preprocessor.transform(rows), dtype=np.float32)


def read_churn(path: Path) -> Columns:
    """The columns that matter, checked; all others, identifiers and names, are left out.

    Read without pandas, so that a bad table is reported before seconds of imports.

    Raises:
        InputError: a column is missing, or a line has an empty or impossible value.
    """
    lines = csv_lines(path)
    _, header = next(lines, (1, []))
    names = ", ".join(header)[:200] or "none"
    needed = (*CATEGORIES, *NUMBERS, TARGET)
    for name in needed:
        if header.count(name) != 1:
            raise InputError(
                f"{path} has column {name} {header.count(name)} times where once is needed; its "
                f"columns are {names}: mend the first line."
            )
    positions = {name: header.index(name) for name in needed}
    columns: Columns = {name: [] for name in needed}
    for line, cells in lines:
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: it has {len(cells)} values where {len(header)} are "
                f"needed: fill or remove it."
            )
        for name, position in positions.items():
            try:
                columns[name].append(_parse(name, cells[position].strip()))
            except ValueError as error:
                raise InputError(
                    f"{path}, line {line}: {name} must be {error}, got '{cells[position]}': "
                    f"correct or remove the line."
                ) from error
    return columns


def csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Lines of a CSV file, with their number in an editor."""
    try:
        # Spreadsheets put a byte order mark in front, which is not part of the first name.
        text = read_content(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text at byte {error.start}: save it as CSV in UTF-8."
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: this is not CSV ({error}): save it anew as CSV."
        ) from error


def _parse(name: str, text: str) -> str | float:
    """The value of a cell.

    Raises:
        ValueError: it is none of what the message names.
    """
    if name in CATEGORIES:
        if not text:
            raise ValueError("a word")
        return text
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if name == TARGET and value not in (0, 1):
        raise ValueError("0 or 1")
    if not abs(value) <= LARGEST_NUMBER:
        raise ValueError("a number")
    return value


def _check_categories(rows: Any, unseen_rows: Any, *, source: Path) -> None:  # noqa: ANN401 - pandas
    for name in CATEGORIES:
        foreign = sorted(set(unseen_rows[name]) - set(rows[name]))
        if foreign:
            raise InputError(
                f"{source}, column {name}: '{foreign[0]}' is so rare that no training row has "
                f"it: add rows of it, remove them, or correct its spelling."
            )


def _churn_encoder() -> Any:  # noqa: ANN401 - scikit-learn has no types
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    one_hot = OneHotEncoder(drop="first", handle_unknown="error", sparse_output=False)
    return ColumnTransformer(
        [("categories", one_hot, list(CATEGORIES)), ("numbers", StandardScaler(), list(NUMBERS))]
    )


def _csv_bytes(rows: Any) -> bytes:  # noqa: ANN401 - pandas
    return bytes(rows.to_csv(index=False, lineterminator="\n"), "utf-8")
