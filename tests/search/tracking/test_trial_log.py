"""How trials become MLflow runs: names, tags, files, and what happens when MLflow fails."""

import csv
import io
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from search.study import Record
from search.tracking import trial_log
from search.tracking.tracker import NOTE, DatasetInfo, Tracker, TrackingError
from search.tracking.trial_log import (
    MlflowTrialLog,
    end_metrics,
    end_tags,
    git_commit,
    in_words,
    trial_name,
    written,
)
from spaces.config import Augmentation, Config
from spaces.presets import PRESETS

DATASET = DatasetInfo("fake", "abc", 8, 2, (8, 8, 1), 2)
CONFIG = PRESETS["mnist_conv_net"].config
ROWS = [
    {"epoch": 1.0, "val_accuracy": 0.5, "val_loss": 1.0, "learning_rate": 0.1, "epoch_seconds": 2},
    {"epoch": 2.0, "val_accuracy": 0.7, "val_loss": 0.9, "learning_rate": 0.1, "epoch_seconds": 2},
]
RECORD = Record(
    CONFIG.model_dump(mode="json", exclude_none=True),
    seed=11,
    state="completed",
    preset="mnist_conv_net",
    epoch=2.0,
    rows=ROWS,
    best=ROWS[1],
    summary="a network\n",
    n_parameters=34826,
    note="all epochs trained",
    worker_seconds=5.0,
    train_seconds=4.0,
)


class FakeTracker:
    """Remembers what it is told; `failing` names the methods that fail."""

    def __init__(self, left_open: Mapping[int, str] | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failing: set[str] = set()
        self._left_open = dict(left_open or {})

    def unfinished_trials(self, parent_id: str) -> dict[int, str]:
        self._note("unfinished_trials", parent_id=parent_id)
        return self._left_open

    def close_finalists(self, parent_id: str) -> None:
        self._note("close_finalists", parent_id=parent_id)

    def open_trial(self, parent_id: str, **given: Any) -> str:
        self._note("open_trial", parent_id=parent_id, **given)
        return str(given.get("run_id") or "new")

    def log_epochs(self, run_id: str, rows: Sequence[Mapping[str, float]]) -> None:
        self._note("log_epochs", run_id=run_id, rows=list(rows))

    def close_trial(self, run_id: str, **given: Any) -> None:
        self._note("close_trial", run_id=run_id, **given)

    def log_metrics(self, run_id: str, by_step: Mapping[int, Mapping[str, float]]) -> None:
        self._note("log_metrics", run_id=run_id, by_step=by_step)

    def describe_study(self, parent_id: str, **given: Any) -> None:
        self._note("describe_study", parent_id=parent_id, **given)

    def last(self, name: str) -> dict[str, Any]:
        return [given for called, given in self.calls if called == name][-1]

    def _note(self, called: str, **given: Any) -> None:
        self.calls.append((called, given))
        if called in self.failing:
            raise TrackingError("MLflow: no answer.")


def log_to(
    tracker: FakeTracker, warnings: list[str] | None = None, dataset: DatasetInfo = DATASET
) -> MlflowTrialLog:
    warn = [] if warnings is None else warnings
    tags = {"precision": "float32", "git_commit": "abc"}
    return MlflowTrialLog(cast("Tracker", tracker), "parent", dataset, tags, warn.append)


def test_runs_of_a_table_have_no_augmentation() -> None:
    tracker = FakeTracker()
    log = log_to(tracker, dataset=replace(DATASET, shape=(4,)))
    log.begin(17, RECORD)
    of_trial = tracker.last("open_trial")["parameters"]
    log.finalist("t017 seed 1", 17, 0, RECORD, {})
    for parameters in (of_trial, tracker.last("open_trial")["parameters"]):
        assert parameters["learning_rate"] == 0.001
        assert not set(Augmentation.model_fields) & set(parameters)


def test_a_trial_is_named_by_number_and_config() -> None:
    tracker = FakeTracker()
    run_id = log_to(tracker).begin(17, replace(RECORD, rows=[]))
    assert run_id == "new"
    assert tracker.last("open_trial") == {
        "parent_id": "parent",
        "name": f"t017 {CONFIG.title()}",
        "number": 17,
        "parameters": CONFIG.parameters(),
        "tags": {
            "precision": "float32",
            "git_commit": "abc",
            "seed": "11",
            "preset": "mnist_conv_net",
        },
        "dataset": DATASET,
        "run_id": None,
    }


def test_a_trial_that_no_preset_gave_has_no_such_tag() -> None:
    tracker = FakeTracker()
    log_to(tracker).begin(0, replace(RECORD, preset=""))
    assert "preset" not in tracker.last("open_trial")["tags"]


@pytest.mark.parametrize(("number", "name"), [(0, "t000"), (17, "t017"), (12345, "t12345")])
def test_trial_names_sort_as_their_numbers(number: int, name: str) -> None:
    assert trial_name(number) == name


def test_the_trials_own_run_goes_on() -> None:
    tracker = FakeTracker({17: "left open"})
    assert log_to(tracker).begin(17, replace(RECORD, run_id="own")) == "own"


def test_a_run_that_a_crash_left_open_is_used_again() -> None:
    tracker = FakeTracker({17: "left open"})
    log = log_to(tracker)
    assert log.begin(17, RECORD) == "left open"
    assert log.begin(18, RECORD) == "new"


def test_rows_that_a_crash_kept_from_the_log_are_made_good_at_the_next_start() -> None:
    tracker = FakeTracker()
    log_to(tracker).begin(17, replace(RECORD, run_id="own"))
    assert tracker.last("log_epochs") == {"run_id": "own", "rows": ROWS}


def test_progress_goes_to_the_run() -> None:
    tracker = FakeTracker()
    log = log_to(tracker)
    log.progress(replace(RECORD, run_id="own"), ROWS[1:])
    assert tracker.last("log_epochs") == {"run_id": "own", "rows": ROWS[1:]}
    log.progress(RECORD, ROWS)
    assert [name for name, _ in tracker.calls].count("log_epochs") == 1


def test_the_end_has_all_rows_the_best_the_reason_and_the_files() -> None:
    tracker = FakeTracker()
    assert log_to(tracker).end(replace(RECORD, run_id="own"), {"curves.png": b"picture"})
    closed = tracker.last("close_trial")
    assert closed["state"] == "completed"
    assert closed["rows"] == ROWS
    assert closed["metrics"] == {
        "best_epoch": 2.0,
        "best_val_accuracy": 0.7,
        "best_val_loss": 0.9,
        "n_parameters": 34826.0,
        "worker_seconds": 5.0,
        "train_seconds": 4.0,
    }
    assert closed["tags"] == {
        "stop_reason": "all epochs",
        "stop_note": "all epochs trained",
        "stop_epoch": "2",
        NOTE: "`cnn 3x32-64-64 d64 adam` (the preset `mnist_conv_net`), 34,826 weights."
        " Completed after 2 epochs: all epochs trained."
        " Best at epoch 2: val_accuracy 0.7000, val_loss 0.9000.",
    }
    names = {"config.yaml", "model_summary.txt", "history.csv", "curves.png"}
    assert set(closed["artifacts"]) == names
    assert closed["artifacts"]["curves.png"] == b"picture"


def test_a_failed_trial_shows_its_cause() -> None:
    failed = replace(RECORD, state="failed", cause="diverged", note="the loss was no number")
    assert end_tags(failed)["cause"] == "diverged"
    assert "cause" not in end_tags(RECORD)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"note": "all epochs trained"}, "all epochs"),
        ({"note": "early stopping: no better for 12 epochs"}, "early stopping"),
        (
            {"note": "early stopping: no better for 12 epochs; it would have been"},
            "early stopping",
        ),
        ({"state": "pruned", "note": "not in the better half at epoch 9"}, "pruned"),
        (
            {"state": "failed", "cause": "out of memory", "note": "the network did"},
            "out of memory",
        ),
        ({"state": "interrupted", "note": ""}, "interrupted"),
    ],
)
def test_stop_reasons_are_few_so_that_people_can_filter(
    changes: dict[str, Any], reason: str
) -> None:
    assert end_tags(replace(RECORD, **changes))["stop_reason"] == reason


def test_trials_that_the_audit_let_finish_can_be_found() -> None:
    assert end_tags(replace(RECORD, audited_from=1 / 3))["audited_from"] == "0.33"
    assert "audited_from" not in end_tags(RECORD)


def test_a_trial_that_never_trained_is_put_in_words_too() -> None:
    blank = replace(
        RECORD, state="failed", cause="invalid shape", note="block 1 is too large", preset="",
        epoch=0.0, rows=[], best={}, n_parameters=0,
    )  # fmt: skip
    assert in_words(blank) == (
        "`cnn 3x32-64-64 d64 adam`. Failed after 0 epochs: block 1 is too large."
    )


def test_the_config_file_reads_back_as_the_config() -> None:
    text = written(RECORD)["config.yaml"].decode()
    assert Config.from_yaml(text, source="config.yaml") == CONFIG


def test_the_history_file_has_a_line_an_epoch() -> None:
    text = written(RECORD)["history.csv"].decode()
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [{name: float(value) for name, value in line.items()} for line in lines] == ROWS


def test_a_trial_that_never_trained_has_its_config_and_no_empty_files() -> None:
    blank = replace(RECORD, rows=[], best={}, summary="")
    assert set(written(blank)) == {"config.yaml"}
    assert "best_val_accuracy" not in end_metrics(blank)


def test_the_best_so_far_is_drawn_on_the_parent() -> None:
    tracker = FakeTracker()
    log_to(tracker).best_so_far({4: 0.7, 5: 0.8})
    points = {4: {"best_so_far": 0.7}, 5: {"best_so_far": 0.8}}
    assert tracker.last("log_metrics") == {"run_id": "parent", "by_step": points}


@pytest.mark.parametrize("method", ["open_trial", "log_epochs", "close_trial", "log_metrics"])
def test_after_the_first_failure_mlflow_is_left_alone_with_one_warning(method: str) -> None:
    tracker, warnings = FakeTracker(), list[str]()
    log = log_to(tracker, warnings)
    tracker.failing = {method}
    record = replace(RECORD, run_id="own")
    log.begin(0, record)
    log.progress(record, ROWS)
    log.best_so_far({1: 0.5})
    assert not log.end(record, {})
    n_calls = len(tracker.calls)
    tracker.failing = set()
    assert log.begin(1, record) == "own"
    assert log.begin(2, RECORD) == ""
    log.progress(record, ROWS)
    assert not log.end(record, {})
    assert len(tracker.calls) == n_calls
    (warning,) = warnings
    assert warning.startswith("MLflow: no answer. The search goes on without MLflow")


def test_a_finalist_is_written_as_a_whole_under_its_trials_number() -> None:
    tracker = FakeTracker()
    log = log_to(tracker)
    assert log.finalist("t017 seed 1", 17, 0, RECORD, {"model.keras": b"model"}) == "new"
    opened = tracker.last("open_trial")
    assert (opened["name"], opened["number"], opened["stage"]) == ("t017 seed 1", 17, "finalist")
    assert opened["tags"] == {
        "precision": "float32",
        "git_commit": "abc",
        "seed": "11",
        "draw": "0",
    }
    assert opened["parameters"] == CONFIG.parameters()
    closed = tracker.last("close_trial")
    assert (closed["run_id"], closed["state"]) == ("new", "completed")
    assert closed["rows"] == ROWS
    assert closed["metrics"]["best_val_accuracy"] == 0.7
    names = {"config.yaml", "model_summary.txt", "history.csv", "model.keras"}
    assert set(closed["artifacts"]) == names


@pytest.mark.parametrize("method", ["open_trial", "close_trial"])
def test_a_finalist_that_cannot_be_written_whole_has_no_run(method: str) -> None:
    tracker, warnings = FakeTracker(), list[str]()
    log = log_to(tracker, warnings)
    tracker.failing = {method}
    assert log.finalist("t017 seed 1", 17, 0, RECORD, {}) == ""
    (warning,) = warnings
    assert "of finalists that it misses the scores are kept, in the study" in warning


def test_the_verdict_goes_to_the_parent() -> None:
    tracker = FakeTracker()
    log_to(tracker).describe({"a": 1.0}, {"winner": "t001"}, {"finalists.csv": b"rank"})
    assert tracker.last("describe_study") == {
        "parent_id": "parent",
        "metrics": {"a": 1.0},
        "tags": {"winner": "t001"},
        "artifacts": {"finalists.csv": b"rank"},
    }


def test_runs_of_finalists_that_a_crash_left_open_are_closed_at_the_start() -> None:
    tracker = FakeTracker()
    log_to(tracker)
    assert tracker.last("close_finalists") == {"parent_id": "parent"}


def test_mlflow_that_fails_at_the_start_is_a_warning_too() -> None:
    tracker, warnings = FakeTracker(), list[str]()
    tracker.failing = {"unfinished_trials"}
    log = log_to(tracker, warnings)
    assert len(warnings) == 1
    assert log.begin(0, RECORD) == ""


def test_a_trial_without_a_run_is_not_stored() -> None:
    tracker = FakeTracker()
    assert not log_to(tracker).end(RECORD, {})
    assert "close_trial" not in [name for name, _ in tracker.calls]


def committed(folder: Path) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(
        ["git", *author, "commit", "-q", "--allow-empty", "-m", "one"], cwd=folder, check=True
    )


def test_the_commit_is_the_project_s_wherever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = git_commit()
    committed(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert git_commit() == ours


def test_the_commit_of_a_repository_and_of_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_log, "SOURCE", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() == ""
    committed(tmp_path)
    assert len(git_commit()) == 40
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(trial_log, "SOURCE", tmp_path / "site-packages")
    assert git_commit() == ""
    monkeypatch.setattr(trial_log, "SOURCE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() == ""
