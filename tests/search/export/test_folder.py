"""The export: which trial and training it takes, what it writes, and what it leaves behind."""

import contextlib
import csv
import io
import json
import shutil
import sqlite3
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import optuna
import pytest
from rich.console import Console

from pipelines.tasks import TASKS
from search import study as studies
from search.evaluation.ledger import Opening, Score, write_opened, write_scored
from search.export.claims import refresh_card
from search.export.folder import export
from search.tracking.tracker import DatasetInfo, Tracker
from spaces.config import Config
from spaces.errors import InputError
from tests.exported import settings_of
from tests.fakes import new_study
from tests.search.export.winners import MLP, Export, add, card, in_study, retrain, scores

FILES = {
    "MODEL_CARD.md",
    "config.json",
    "config.yaml",
    "configs.csv",
    "model.keras",
    "requirements.txt",
    "scores.json",
    "train.py",
}


# what is exported


def test_exports_the_best_trial_where_nothing_was_trained_again(
    study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    files = run(study)
    assert set(files) == FILES
    assert files["model.keras"] == b"run-1"
    for name in ("config.yaml", "config.json"):
        assert Config.from_file(tmp_path / "exports" / "digits" / name) == MLP
    json.loads(files["config.json"])
    expected = {
        "task": "digits",
        "study": "fake-study",
        "trial": 1,
        "run_id": "run-1",
        "seed": 1,
        "division": "search",
        "data_digest": study.user_attrs["data_digest"],
        "finalist": None,
        "verified": None,
    }
    found = scores(files)
    assert {name: found[name] for name in expected} == expected
    assert found["validation"]["best_val_accuracy"] == 0.98


def test_exports_the_winners_first_retraining(study: optuna.Study, run: Export) -> None:
    retrain(study, 1, 0.93, 0.94)
    retrain(study, 0, 0.96, 0.97)
    files = run(study)
    assert files["model.keras"] == b"again-0-0"
    found = scores(files)
    assert (found["trial"], found["seed"], found["division"]) == (0, 100, 0)
    assert found["finalist"]["mean"] == pytest.approx(0.965)
    assert [r["last"]["val_accuracy"] for r in found["finalist"]["retrainings"]] == [0.96, 0.97]


def test_a_retraining_that_failed_has_no_model(study: optuna.Study, run: Export) -> None:
    retrain(study, 1, 0.93, 0.94, 0.95, cause="diverged", last={})
    assert run(study)["model.keras"] == b"again-1-1"


def test_a_model_of_the_search_under_the_mean_of_retrainings_is_told(
    study: optuna.Study, run: Export
) -> None:
    """MLflow failed while the finalists were trained: their models are gone, their scores not."""
    retrain(study, 1, 0.93, run_id="")
    printed = io.StringIO()
    files = run(study, printed=printed)
    assert files["model.keras"] == b"run-1"
    assert "Careful: MLflow has none of the retrainings of t001, so model.keras is the" in (
        printed.getvalue()
    )
    said = "`model.keras` is the search's own training of the config, as MLflow has none of its"
    assert said in card(files)
    retrain(study, 1, 0.93)
    printed = io.StringIO()
    assert "MLflow has none" not in card(run(study, printed=printed)) + printed.getvalue()


def test_exports_another_trial_by_its_number(study: optuna.Study, run: Export) -> None:
    retrain(study, 1, 0.93, 0.94)
    retrain(study, 0, 0.96, 0.97)
    assert run(study, trial=2)["model.keras"] == b"run-2"
    assert run(study, trial=1)["model.keras"] == b"again-1-0"


def test_raw_rows_are_prepared_as_for_the_training_of_the_model(
    run: Export, tmp_path: Path
) -> None:
    study = in_study("iris")
    path = tmp_path / "exports" / "iris" / "preprocessor.joblib"
    assert set(run(study)) == FILES | {path.name}
    of_search = TASKS["iris"].load(None).preprocessor
    np.testing.assert_array_equal(joblib.load(path).mean_, of_search.mean_)
    retrain(study, 1, 0.93, 0.94)
    run(study)
    of_fold = TASKS["iris"].load(None, 0).preprocessor
    np.testing.assert_array_equal(joblib.load(path).mean_, of_fold.mean_)
    assert (of_fold.mean_ != of_search.mean_).any()


def test_the_ten_best_configs_are_a_table(study: optuna.Study, run: Export) -> None:
    for score in range(12):
        add(study, score / 100)
    rows = list(csv.DictReader(io.StringIO(run(study)["configs.csv"].decode())))
    assert [row["trial"] for row in rows[:3]] == ["1", "0", "2"]
    assert len(rows) == 10


def test_requirements_are_the_versions_that_are_here(study: optuna.Study, run: Export) -> None:
    lines = run(study)["requirements.txt"].decode().splitlines()
    names = ["keras", "numpy", "scikit-learn", "tensorflow"]
    assert lines == [f"{name}=={version(name)}" for name in names]


def test_the_model_of_a_trial_that_was_logged_later_is_found(
    study: optuna.Study, run: Export
) -> None:
    add(study, 0.999, run_id="")
    with pytest.raises(
        InputError, match="t005 is not in MLflow yet: run `hpsearch search digits`"
    ):
        run(study)
    studies.write_run(study, 5, "late")
    assert scores(run(study))["run_id"] == "late"


# bad input, and what is left behind


def test_nothing_is_exported_before_a_trial_has_completed(run: Export, tmp_path: Path) -> None:
    empty = new_study()
    add(empty, 0.5, state="pruned")
    empty.set_user_attr("task", "digits")
    with pytest.raises(InputError, match="has completed"):
        run(empty)
    assert not (tmp_path / "exports").exists()


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (3, "t003 of fake-study has no model to export, its state is 'pruned'"),
        (4, "t004 of fake-study has no model to export, its state is 'failed'"),
        (5, "t005 of fake-study has no model to export, its state is 'never begun'"),
        (6, "fake-study has no trial 6"),
        (-1, "fake-study has no trial -1"),
    ],
)
def test_a_trial_without_a_model_is_refused(
    number: int, problem: str, study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    study.ask()
    with pytest.raises(InputError, match=f"{problem}.*: choose one that `hpsearch leaderboard"):
        run(study, trial=number)
    assert not (tmp_path / "exports").exists()


def test_rows_are_not_prepared_as_by_other_data(run: Export, tmp_path: Path) -> None:
    study = in_study("iris")
    study.set_user_attr("data_digest", "abc")
    with pytest.raises(InputError, match="the study was made with abc"):
        run(study)
    assert not (tmp_path / "exports").exists()


def test_an_export_replaces_the_one_before_and_keeps_what_is_not_its_own(
    study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    run(study)
    (tmp_path / "exports" / "digits" / "notes.txt").write_text("mine")
    add(study, 0.999)
    files = run(study)
    assert set(files) == FILES | {"notes.txt"}
    assert files["notes.txt"] == b"mine"
    assert files["model.keras"] == b"run-5"
    assert scores(files)["trial"] == 5
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["digits"]


@pytest.mark.parametrize("name", ["Churn_Modelling.csv", "scores.json"])
def test_a_folder_that_is_no_export_is_left_alone(
    name: str, study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    folder = tmp_path / "exports" / "digits"
    folder.mkdir(parents=True)
    (folder / name).write_text("{}")
    with pytest.raises(InputError, match=f"holds files that are no export, such as {name}: name"):
        run(study)
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "{}"


def test_an_empty_folder_is_filled(study: optuna.Study, run: Export, tmp_path: Path) -> None:
    (tmp_path / "exports" / "digits").mkdir(parents=True)
    assert set(run(study)) == FILES


@pytest.mark.parametrize("place", ["file", "file/within", "/proc/hpsearch"])
def test_a_place_that_cannot_be_written_to_is_told_in_a_sentence(
    place: str, study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"cannot be written to .*digits \(.*\): name another"):
        run(study, exports_dir=tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_export_that_fails_leaves_the_one_before(
    study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    before = run(study)
    add(study, 0.999, run_id="missing")
    with pytest.raises(InputError, match=r"has no artifact 'model\.keras'"):
        run(study)
    folder = tmp_path / "exports" / "digits"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["digits"]


def test_no_model_is_taken_from_the_files_of_another_folder(
    study: optuna.Study, tmp_path: Path
) -> None:
    """Its runs were copied: for MLflow they still lie where they were."""
    task, console = TASKS["digits"], Console(file=io.StringIO())
    settings, copied = settings_of(tmp_path), settings_of(tmp_path / "copied")
    Tracker.open(settings.runs_dir, None).open_single(
        "digits",
        name="t",
        parameters={},
        tags={},
        dataset=DatasetInfo("digits", "abc", 1, 1, (1,), 2),
    )
    with contextlib.closing(sqlite3.connect(settings.runs_dir / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copied.runs_dir.mkdir(parents=True)
    shutil.copy(settings.runs_dir / "mlflow.db", copied.runs_dir)
    with pytest.raises(InputError, match="move the folder back, or name a new one"):
        export(task, copied, study, tmp_path / "exports", console)
    assert not (tmp_path / "exports").exists()


# the card


def test_the_card_says_where_the_model_comes_from(study: optuna.Study, run: Export) -> None:
    retrain(study, 1, 0.93, 0.94, 0.95)
    retrain(study, 0, 0.90, 0.91, 0.92)
    text = card(run(study))
    assert "command: `hpsearch search digits --budget 1m`" in text
    for word in ("t001", "fake-study", "c0ffee", "bfloat16", study.user_attrs["data_digest"]):
        assert word in text
    assert "mean of 3 retrainings on other folds | 0.9400, standard deviation 0.0100, 95 %" in text
    assert "The sealed test set has not been opened for this study." in text
    assert "Not verified yet" in text


def open_test_set(runs_dir: Path, trial: int) -> None:
    opening = Opening(
        task="digits",
        study="fake-study",
        metric="accuracy",
        data_digest="abc",
        trial=trial,
        scores={"accuracy": Score((0.95, 0.96), (0.945, 0.965))},
    )
    write_scored(runs_dir, write_opened(runs_dir, opening))


def test_the_card_says_what_the_test_set_gave_and_for_which_config(
    study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    open_test_set(tmp_path / "mlruns", trial=1)
    files = run(study)
    said = "est accuracy 0.9550 (95 %: 0.9450 to 0.9650 over 2 seeds), opened once for this study."
    assert f"T{said} It was measured on networks" in card(files)
    assert scores(files)["test"]["scores"]["accuracy"]["mean"] == pytest.approx(0.955)
    assert scores(files)["test"]["opening"] == 1
    other = run(study, trial=0)
    assert f"T000 has not been tested; t001 has: t{said}" in card(other)
    assert "It was measured on networks" not in card(other)
    assert scores(other)["test"] is None


def test_a_card_that_is_there_learns_of_the_test_set(
    study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    retrain(study, 1, 0.93, 0.94)
    before = run(study)
    assert scores(before)["openings"] == {"this_study": 0, "other_studies": 0, "total": 0}
    open_test_set(tmp_path / "mlruns", trial=1)
    open_test_set(tmp_path / "mlruns", trial=1)
    task, settings = TASKS["digits"], settings_of(tmp_path)
    refreshed = refresh_card(task, settings, study, tmp_path / "exports")
    assert refreshed == tmp_path / "exports" / "digits" / "MODEL_CARD.md"
    after = {path.name: path.read_bytes() for path in refreshed.parent.iterdir()}
    assert "Test accuracy 0.9550" in card(after)
    assert "opened 2 times for this study" in card(after)
    assert scores(after)["openings"]["total"] == 2
    # All else is as a new export has it.
    assert run(study) == after
    changed = {name for name in FILES if before[name] != after[name]}
    assert changed == {"MODEL_CARD.md", "scores.json"}


@pytest.mark.parametrize("content", [None, {}, {"study": "another-study"}])
def test_what_is_no_export_of_the_study_is_not_brought_up_to_date(
    content: dict[str, str] | None, study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    folder = tmp_path / "exports" / "digits"
    if content is not None:
        path = folder / "scores.json"
        known = scores(run(study))
        path.write_text(json.dumps({**known, **content} if content else {}))
    before = [path.read_bytes() for path in sorted(folder.glob("*"))]
    task, settings = TASKS["digits"], settings_of(tmp_path)
    assert refresh_card(task, settings, study, tmp_path / "exports") is None
    assert [path.read_bytes() for path in sorted(folder.glob("*"))] == before
