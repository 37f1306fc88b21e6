"""`predict`: pictures and tables through exported and registered models."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pipelines.tasks import TASKS
from search.export.predict import Prediction, predict, prediction_table
from search.export.registry import register
from search.export.script_data import DATA
from spaces.errors import InputError
from tests.exported import churn_data, export_of, settings_of, write_scores
from tests.fakes import new_study

# Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

DIGIT = TASKS["digits"].load(None).train.inputs[0, ..., 0]


@pytest.fixture(autouse=True)
def _no_tracking_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of digits and churn; digits is registered as an unverified challenger."""
    folder = tmp_path_factory.mktemp("predict")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        data_dir = churn_data(folder / "data")
        for task in ("digits", "churn"):
            exported = export_of(task, folder, data_dir)
            settings, quiet = settings_of(folder, data_dir), Console(file=io.StringIO())
            register(TASKS[task], settings, new_study(), exported, quiet, verified=task == "churn")
    Image.fromarray(DIGIT).save(folder / "digit.png")
    return folder


def predicted(folder: Path, task: str, file: Path, model: str | None = None) -> Prediction:
    settings = settings_of(folder, folder / "data")
    return predict(TASKS[task], settings, file, folder / "exports", model=model)


def shown(prediction: Prediction, *, picture: bool) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(prediction_table(prediction, picture=picture))
    return console.export_text().splitlines()


def table(folder: Path) -> Path:
    return folder / "data" / "churn" / "Churn_Modelling.csv"


@pytest.fixture
def customers(folder: Path, tmp_path: Path) -> Path:
    """Three customers in a file, with all columns of the table."""
    lines = table(folder).read_text().splitlines()
    path = tmp_path / "customers.csv"
    path.write_text("\n".join(lines[:4]) + "\n")
    return path


def test_a_picture_is_classified(folder: Path) -> None:
    found = predicted(folder, "digits", folder / "digit.png")
    (answer,) = found.answers
    assert found.notes == []
    assert list(answer["probabilities"]) == list("0123456789")
    assert answer["class"] == max(answer["probabilities"], key=answer["probabilities"].get)
    lines = shown(found, picture=True)
    assert lines[1].split() == [answer["class"], f"{max(answer['probabilities'].values()):.4f}"]
    assert len(lines) == 11


def test_what_was_done_to_a_picture_is_told(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(255 - DIGIT).resize((80, 80)).save(tmp_path / "photo.jpg")
    found = predicted(folder, "digits", tmp_path / "photo.jpg")
    (note,) = found.notes
    assert note.startswith(f"{tmp_path / 'photo.jpg'}: resized from 80 x 80 to 8 x 8 pixels, inv")


def test_every_row_of_a_table_is_classified(folder: Path, customers: Path) -> None:
    found = predicted(folder, "churn", customers)
    rows = found.rows()
    assert [row["row"] for row in rows] == [1, 2, 3]
    for row in rows:
        assert set(row) == {"row", "class", "stayed", "left"}
        assert float(str(row["stayed"])) + float(str(row["left"])) == pytest.approx(1)
    assert len({row["left"] for row in rows}) == 3
    lines = shown(found, picture=False)
    assert lines[0].split() == ["row", "class", "stayed", "left"]
    assert len(lines) == 4


def test_the_cards_own_lines_answer_as_predict_does(
    folder: Path, customers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model.keras", "preprocessor.joblib"):
        shutil.copy(folder / "exports" / "churn" / name, customers.parent)
    monkeypatch.chdir(customers.rename(customers.with_name("Churn_Modelling.csv")).parent)
    printed: list[Any] = []
    exec(DATA["churn"].use, {"print": printed.append})
    answers = predicted(folder, "churn", Path("Churn_Modelling.csv")).answers
    assert printed[0][:, 0] == pytest.approx([a["probabilities"]["left"] for a in answers])


@pytest.mark.parametrize(
    ("task", "model"),
    [("churn", "models:/hpsearch-churn@champion"), ("digits", "models:/hpsearch-digits/1")],
)
def test_a_registered_model_answers_as_the_exported_one(
    folder: Path, customers: Path, task: str, model: str
) -> None:
    file = customers if task == "churn" else folder / "digit.png"
    registered, exported = predicted(folder, task, file, model), predicted(folder, task, file)
    for ours, theirs in zip(registered.answers, exported.answers, strict=True):
        assert ours["class"] == theirs["class"]
        np.testing.assert_allclose(
            list(ours["probabilities"].values()), list(theirs["probabilities"].values()), atol=1e-6
        )


def test_an_unverified_model_is_warned_of(folder: Path, tmp_path: Path) -> None:
    picture = folder / "digit.png"
    (note,) = predicted(folder, "digits", picture, "models:/hpsearch-digits@challenger").notes
    assert note.startswith("Careful: the model is not verified")
    exported = folder / "exports" / "digits"
    for verified, warning in ((None, "not verified"), (False, "UNVERIFIED")):
        write_scores(exported, verified=verified)
        (note,) = predicted(folder, "digits", picture).notes
        assert warning in note
    write_scores(exported, verified=True, winner=False)
    (note,) = predicted(folder, "digits", picture).notes
    assert note == "Careful: it is t007, not its study's winner."
    write_scores(exported, winner=True)
    assert predicted(folder, "digits", picture).notes == []


# bad input


def test_a_model_of_another_task_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="is a model of churn and not of digits"):
        predicted(folder, "digits", folder / "digit.png", "models:/hpsearch-churn@champion")


@pytest.mark.parametrize(
    ("task", "file", "problem"),
    [
        ("churn", "digit.png", "churn needs a CSV file with a row for each answer, got"),
        ("digits", "rows.csv", "digits needs a PNG or JPEG picture, got"),
        ("digits", "absent.png", "There is no file"),
        ("churn", "absent.csv", "Cannot read"),
        ("iris", "rows.csv", "run `hpsearch export iris` first, or name a registered model"),
    ],
)
def test_a_file_or_model_that_does_not_fit_is_refused(
    folder: Path, task: str, file: str, problem: str
) -> None:
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=problem):
        predicted(folder, task, folder / file)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Geography", "Country", r"customers\.csv: The column Geography is missing: a row needs"),
        ("Germany", "Italy", "Row 2: Geography must be one of France, Germany, Spain, got 'Ital"),
        ("Female,", "Female,old", r"Row 1: Age must be a number, got 'old\d"),
        ("Male,", "Male,7,", r"customers\.csv, line 3: it has 15 values where 14 are needed"),
        ("Spain", "", "Row 3: Geography must be one of France, Germany, Spain, got nothing"),
    ],
)
@pytest.mark.parametrize("model", [None, "models:/hpsearch-churn@champion"])
def test_a_bad_table_is_told_with_its_row(
    folder: Path, customers: Path, old: str, new: str, problem: str, model: str | None
) -> None:
    customers.write_text(customers.read_text().replace(old, new))
    with pytest.raises(InputError, match=problem):
        predicted(folder, "churn", customers, model)


@pytest.mark.parametrize("content", ["", "CreditScore\n"])
def test_an_empty_table_is_refused(folder: Path, customers: Path, content: str) -> None:
    customers.write_text(content)
    with pytest.raises(InputError, match="There is no row"):
        predicted(folder, "churn", customers)


@pytest.mark.parametrize("file", ["model.keras", "preprocessor.joblib"])
def test_a_damaged_export_is_told_in_a_sentence(
    tmp_path: Path, customers: Path, folder: Path, file: str
) -> None:
    exported = tmp_path / "exports" / "churn"
    exported.mkdir(parents=True)
    for path in (folder / "exports" / "churn").iterdir():
        content = path.read_bytes()
        (exported / path.name).write_bytes(content[:300] if path.name == file else content)
    with pytest.raises(InputError, match=f"{file} cannot be read by"):
        predict(TASKS["churn"], settings_of(folder), customers, tmp_path / "exports", model=None)
    (exported / file).unlink()
    with pytest.raises(InputError, match=f"There is no .*{file}: run `hpsearch export churn`"):
        predict(TASKS["churn"], settings_of(folder), customers, tmp_path / "exports", model=None)
