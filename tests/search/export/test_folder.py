"""The export: which trial and training it takes, what it writes, and its check."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import optuna
import pytest
from rich.console import Console

from pipelines.tasks import TASKS
from search import study as studies
from search.evaluation.ledger import Opening, Score, write_opened, write_scored
from search.export import check as script_check
from search.export import folder as exporting
from search.export.folder import UnverifiedError, export
from search.finalists.verdict import Retraining
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import Tracker
from spaces.config import Config
from spaces.errors import InputError
from spaces.presets import PRESETS
from tests.fakes import new_study

MLP = PRESETS["iris_mlp_32"].config
FILES = {
    "MODEL_CARD.md",
    "config.yaml",
    "configs.csv",
    "model.keras",
    "requirements.txt",
    "scores.json",
    "train.py",
}
Export = Callable[..., dict[str, bytes]]


def add(study: optuna.Study, score: float | None, **changes: Any) -> None:
    trial = study.ask()
    record = Record(
        MLP.model_dump(mode="json", exclude_none=True),
        seed=trial.number,
        state="completed",
        run_id=f"run-{trial.number}",
        best={} if score is None else {"epoch": 3.0, "val_accuracy": score, "val_loss": 0.25},
        n_parameters=4371,
    )
    studies.write(study, trial, replace(record, **changes))


def retrain(study: optuna.Study, number: int, *scores: float, **changes: Any) -> None:
    """Stores one retraining of a trial for each score."""
    for draw, score in enumerate(scores):
        retraining = Retraining(
            number=number,
            draw=draw,
            seed=100 + draw,
            last={"epoch": 4.0, "val_accuracy": score, "val_loss": 0.3},
            epochs=9.0,
            train_seconds=1.0,
            run_id=f"again-{number}-{draw}",
        )
        fields = {**vars(retraining), **changes} if draw == 0 else vars(retraining)
        study.set_user_attr(f"retraining_{number}_{draw}", fields)


def in_study(task: str) -> optuna.Study:
    """Three completed trials, the best in the middle, one pruned and one failed."""
    found = new_study()
    found.set_user_attr("task", task)
    found.set_user_attr("data_digest", TASKS[task].load(None).digest)
    add(found, 0.91)
    add(found, 0.98, preset="iris_mlp_32")
    add(found, 0.9)
    add(found, 0.99, state="pruned")
    add(found, None, state="failed")
    return found


@pytest.fixture
def study() -> optuna.Study:
    return in_study("digits")


class FakeTracker:
    """MLflow that has a model for every run but those that are called missing."""

    def tags(self, run_id: str) -> dict[str, str]:
        parent = {"command": "hpsearch search digits --budget 1m", "git_commit": "c0ffee"}
        own = {"mlflow.parentRunId": "parent", "precision": "bfloat16"}
        return parent if run_id == "parent" else own

    def download(self, run_id: str, artifact_path: str, destination: Path) -> Path:
        if run_id == "missing":
            raise InputError(f"The run {run_id} has no artifact '{artifact_path}'.")
        path = destination / artifact_path
        path.write_bytes(run_id.encode())
        return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exports to a folder and returns its files."""
    monkeypatch.setattr(Tracker, "open", lambda *_: FakeTracker())

    def call(study: optuna.Study, *, printed: io.StringIO | None = None, **options: Any) -> Any:
        task = TASKS[study.user_attrs["task"]]
        console = Console(file=printed or io.StringIO(), width=200)
        settings = Settings(runs_dir=tmp_path / "mlruns")
        folder = export(task, settings, study, tmp_path / "exports", console, **options)
        assert folder == tmp_path / "exports" / task.name
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    return call


def scores(files: dict[str, bytes]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files["scores.json"])
    return content


def card(files: dict[str, bytes]) -> str:
    return files["MODEL_CARD.md"].decode()


# what is exported


def test_exports_the_best_trial_where_nothing_was_trained_again(
    study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    files = run(study)
    assert set(files) == FILES
    assert files["model.keras"] == b"run-1"
    assert Config.from_file(tmp_path / "exports" / "digits" / "config.yaml") == MLP
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


def test_an_export_replaces_the_one_before_as_a_whole(
    study: optuna.Study, run: Export, tmp_path: Path
) -> None:
    run(study)
    (tmp_path / "exports" / "digits" / "left over").write_text("")
    add(study, 0.999)
    files = run(study)
    assert set(files) == FILES
    assert scores(files)["trial"] == 5
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["digits"]


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
    assert "Test accuracy 0.9550 ± 0.0100 (2 seeds), opened once for this study." in card(files)
    assert "not of this trial" not in card(files)
    assert scores(files)["test"]["scores"]["accuracy"]["mean"] == pytest.approx(0.955)
    assert "They had the config of t001, not of this trial." in card(run(study, trial=0))


# the check


def printing(score: float | str) -> Callable[..., str]:
    return lambda *_: f"print('val_accuracy: {score}')\n"


@pytest.fixture
def confirmed(study: optuna.Study) -> optuna.Study:
    """Its winner is trial 1, whose own score is 0.98; the standard deviation is about 0.01."""
    retrain(study, 1, 0.96, 0.97, 0.98)
    retrain(study, 0, 0.93, 0.92, 0.94)
    return study


def test_the_interval_is_the_prediction_of_one_more_training(study: optuna.Study) -> None:
    retrain(study, 0, 0.86, 0.87, 0.88)  # of a standard deviation of 0.01
    record = dict(studies.best_first(study, ("completed",)))[0]
    quantile = 4.3027  # of Student's t with 2 degrees of freedom
    # Its own score, on the rows that the script scores on too, where the others are of folds.
    low, high = script_check.expected(study, TASKS["digits"], 0, record) or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(0.91)
    assert (high - low) / 2 == pytest.approx(quantile * 0.01 * 2**0.5, rel=1e-3)
    study.set_user_attr("task", "mnist")
    low, high = script_check.expected(study, TASKS["mnist"], 0, record) or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(0.87)
    assert (high - low) / 2 == pytest.approx(quantile * 0.01 * (4 / 3) ** 0.5, rel=1e-3)


def test_the_spread_of_a_trial_that_is_no_finalist_is_the_finalists(study: optuna.Study) -> None:
    retrain(study, 0, 0.86, 0.87, 0.88)
    records = dict(studies.best_first(study, ("completed",)))
    ends = [
        script_check.expected(study, TASKS["digits"], n, records[n]) or (0.0, 0.0) for n in (0, 2)
    ]
    assert ends[1][1] - ends[1][0] == pytest.approx(ends[0][1] - ends[0][0])
    assert sum(ends[1]) / 2 == pytest.approx(0.9)


def test_no_score_beyond_one_is_expected(study: optuna.Study) -> None:
    retrain(study, 1, 0.86, 0.87, 0.97)
    record = studies.best_first(study, ("completed",))[0][1]
    _, high = script_check.expected(study, TASKS["digits"], 1, record) or (0.0, 0.0)
    assert high == 1.0


def test_there_is_no_interval_without_a_config_trained_twice(study: optuna.Study) -> None:
    record = studies.best_first(study, ("completed",))[0][1]
    assert script_check.expected(study, TASKS["digits"], 1, record) is None
    retrain(study, 1, 0.96)
    assert script_check.expected(study, TASKS["digits"], 1, record) is None


def test_a_script_that_scores_as_the_search_is_verified(
    confirmed: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "training_script", printing(0.975))
    printed = io.StringIO()
    files = run(confirmed, verify=True, printed=printed)
    found = scores(files)
    assert found["verified"] is True
    assert found["verification"]["score"] == 0.975
    low, high = found["verification"]["interval"]
    assert low < 0.975 < high
    assert card(files).splitlines()[2].startswith("Verified in a clean process")
    assert "  val_accuracy: 0.975" in printed.getvalue()


@pytest.mark.parametrize(
    ("score", "problem"),
    [
        (0.5, "reached val_accuracy 0.5000, below"),
        (1.5, "reached val_accuracy 1.5000, above"),
        ("nan", "ended with val_accuracy nan"),
    ],
)
def test_a_script_that_scores_otherwise_is_marked_unverified(
    score: float | str,
    problem: str,
    confirmed: optuna.Study,
    run: Export,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(exporting, "training_script", printing(score))
    with pytest.raises(UnverifiedError, match=f"UNVERIFIED: train.py {problem}"):
        run(confirmed, verify=True)
    folder = tmp_path / "exports" / "digits"
    assert json.loads((folder / "scores.json").read_text())["verified"] is False
    top = (folder / "MODEL_CARD.md").read_text().splitlines()[2]
    assert top.startswith("> **UNVERIFIED")


@pytest.mark.parametrize(
    "line", ["raise SystemExit(3)", "import search", "import pipelines.tasks"]
)
def test_a_script_that_fails_or_needs_this_project_is_marked_unverified(
    line: str, study: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "training_script", lambda *_: f"{line}\n")
    with pytest.raises(UnverifiedError, match=r"train\.py ended with status"):
        run(study, verify=True)


def test_without_finalists_a_script_need_only_run(
    study: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "training_script", printing(0.1))
    printed = io.StringIO()
    found = scores(run(study, verify=True, printed=printed))
    assert found["verified"] is None
    assert found["verification"]["score"] == 0.1
    assert "not verified: train.py runs; there are no finalists" in printed.getvalue()


def test_the_clean_process_does_not_inherit_what_leads_to_this_project(
    study: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "HPSEARCH_DATA_DIR", "MLFLOW_TRACKING_URI", "KERAS_BACKEND"):
        monkeypatch.setenv(name, "here")
    lines = [
        "import os",
        "print('\\n'.join(f'{name}={value}' for name, value in os.environ.items()))",
        "print(os.getcwd(), __name__, 'val_accuracy: 0.5', sep='\\n')",
    ]
    monkeypatch.setattr(exporting, "training_script", lambda *_: "\n".join(lines))
    printed = io.StringIO()
    run(study, verify=True, printed=printed)
    assert "=here" not in printed.getvalue()
    assert "__main__" in printed.getvalue()
    assert "hpsearch-" in printed.getvalue()  # the temporary folder that it runs in
