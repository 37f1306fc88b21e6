"""Trials in MLflow, from their opening to their end, with what is sent and read back."""

import math
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from mlflow import MlflowClient

from search.study import State
from search.tracking.tracker import STATUS, Tracker, TrackingError
from spaces.errors import InputError
from tests.search.tracking.logged import (
    DATASET,
    PARAMETERS,
    close,
    open_study,
    open_trial,
    rows,
    steps,
)

ARTIFACTS = {"config.yaml": b"a: 1\n", "plots/curves.png": bytes(range(256)), "empty.txt": b""}


def test_a_trial_is_a_running_child_of_its_study(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    run = client.get_run(open_trial(tracker, study_id, number=17))

    assert run.info.run_name == "t017 cnn"
    assert run.info.status == "RUNNING"
    assert run.info.experiment_id == client.get_run(study_id).info.experiment_id
    assert run.data.params == {
        "learning_rate": "0.001",
        "filters_1": "32",
        "nesterov": "True",
        "family": "cnn",
    }
    expected = {
        "mlflow.parentRunId": study_id,
        "trial": "17",
        "state": "running",
        "study": client.get_run(study_id).info.run_name,
        "seed": "7",
    }
    assert expected.items() <= run.data.tags.items()


def test_a_dataset_shows_as_two_inputs(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    for run_id in (study_id, open_trial(tracker, study_id)):
        logged = client.get_run(run_id).inputs
        assert logged is not None
        inputs = logged.dataset_inputs
        contexts = {item.dataset.name: item.tags[0].value for item in inputs}
        assert contexts == {"digits-train": "train", "digits-validation": "validation"}
        assert {item.dataset.digest for item in inputs} == {DATASET.digest[:36]}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("completed", "FINISHED"),
        ("pruned", "KILLED"),
        ("interrupted", "KILLED"),
        ("failed", "FAILED"),
    ],
)
def test_a_closed_trial_shows_how_it_ended(
    tracker: Tracker, client: MlflowClient, study_id: str, state: State, status: str
) -> None:
    run_id = open_trial(tracker, study_id)
    close(
        tracker,
        run_id,
        state,
        metrics={"best_val_accuracy": 0.91},
        tags={"stop_reason": "x" * 9000},
    )
    run = client.get_run(run_id)

    assert run.info.status == status
    assert run.info.end_time >= run.info.start_time
    assert run.data.tags["state"] == state
    assert run.data.tags["stop_reason"] == "x" * 8000
    assert run.data.metrics == {"best_val_accuracy": 0.91}


def test_every_state_has_a_status() -> None:
    assert set(STATUS) == set(get_args(State))


def test_epochs_are_the_steps_of_the_curves(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    run_id = open_trial(tracker, study_id)
    tracker.log_epochs(run_id, rows(1, 2))
    tracker.log_epochs(run_id, rows(3, 3))
    tracker.log_epochs(run_id, [])

    assert steps(client, run_id) == [1, 2, 3]
    history = client.get_metric_history(run_id, "val_accuracy")
    assert [point.value for point in history] == [0.1, 0.2, 0.3]
    assert set(client.get_run(run_id).data.metrics) == {"train_loss", "val_accuracy"}


def test_an_epoch_that_is_trained_again_is_not_logged_again(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    run_id = open_trial(tracker, study_id)
    tracker.log_epochs(run_id, rows(1, 3))
    tracker.log_epochs(run_id, rows(2, 4))
    close(tracker, run_id, "interrupted")
    open_trial(tracker, study_id, run_id=run_id)
    tracker.log_epochs(run_id, rows(3, 5))

    assert steps(client, run_id) == [1, 2, 3, 4, 5]


def test_a_run_is_closed_with_the_rows_that_it_does_not_have(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    run_id = open_trial(tracker, study_id)
    tracker.log_epochs(run_id, rows(1, 2))
    close(tracker, run_id, "pruned", rows=rows(1, 4), metrics={"best_val_accuracy": 0.4})

    assert steps(client, run_id) == [1, 2, 3, 4]
    assert client.get_run(run_id).data.metrics["best_val_accuracy"] == 0.4


def test_more_metrics_than_a_batch_holds_arrive_whole(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    run_id = open_trial(tracker, study_id)
    tracker.log_epochs(run_id, rows(1, 600))

    assert steps(client, run_id) == list(range(1, 601))
    assert steps(client, run_id, "val_accuracy") == list(range(1, 601))


def test_a_loss_that_is_not_finite_is_logged(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    run_id = open_trial(tracker, study_id)
    tracker.log_epochs(run_id, [{"epoch": 1.0, "train_loss": math.nan, "val_loss": math.inf}])
    metrics = client.get_run(run_id).data.metrics

    assert math.isnan(metrics["train_loss"])
    assert metrics["val_loss"] > 1e300


def test_artifacts_come_back_whole(tracker: Tracker, study_id: str, tmp_path: Path) -> None:
    run_id = open_trial(tracker, study_id)
    close(tracker, run_id, "completed", artifacts=ARTIFACTS)

    for name, content in ARTIFACTS.items():
        assert tracker.download(run_id, name, tmp_path / "here").read_bytes() == content


def test_artifacts_lie_beside_the_database(
    tracker: Tracker, study_id: str, runs_dir: Path
) -> None:
    run_id = open_trial(tracker, study_id)
    close(tracker, run_id, "completed", artifacts=ARTIFACTS)

    stored = runs_dir / "artifacts" / run_id / "artifacts" / "plots" / "curves.png"
    assert stored.read_bytes() == ARTIFACTS["plots/curves.png"]


@pytest.mark.parametrize("name", ["absent.txt", "plots/absent.png", "nowhere/curves.png"])
def test_an_absent_artifact_is_an_input_error(
    tracker: Tracker, study_id: str, tmp_path: Path, name: str
) -> None:
    run_id = open_trial(tracker, study_id)
    close(tracker, run_id, "completed", artifacts=ARTIFACTS)

    with pytest.raises(InputError, match=name):
        tracker.download(run_id, name, tmp_path)
    with pytest.raises(InputError, match=r"config.yaml"):
        tracker.download("0" * 32, "config.yaml", tmp_path)


def test_a_trial_is_closed_though_its_artifacts_cannot_be_stored(
    tracker: Tracker, client: MlflowClient, study_id: str, runs_dir: Path
) -> None:
    run_id = open_trial(tracker, study_id)
    in_the_way = runs_dir / "artifacts" / run_id
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("a file where a folder should be")

    with pytest.raises(TrackingError):
        close(tracker, run_id, "pruned", metrics={"best_val_loss": 0.5}, artifacts=ARTIFACTS)
    run = client.get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["state"] == "pruned"
    assert run.data.metrics == {"best_val_loss": 0.5}


def test_a_reopened_trial_goes_on_in_the_same_run(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    run_id = open_trial(tracker, study_id)
    close(tracker, run_id, "interrupted")

    assert open_trial(tracker, study_id, run_id=run_id) == run_id
    run = client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert run.data.tags["state"] == "running"
    assert "resumed_with" not in run.data.tags


@pytest.mark.parametrize("lost", ["deleted", "never there"])
def test_a_trial_whose_run_is_gone_gets_a_new_one(
    tracker: Tracker, client: MlflowClient, study_id: str, lost: str
) -> None:
    old = open_trial(tracker, study_id) if lost == "deleted" else "0" * 32
    if lost == "deleted":
        client.delete_run(old)
    new = open_trial(tracker, study_id, run_id=old)

    assert new != old
    assert client.get_run(new).data.tags["mlflow.parentRunId"] == study_id


def test_unfinished_trials_are_those_that_no_one_closed(tracker: Tracker, study_id: str) -> None:
    runs = {number: open_trial(tracker, study_id, number) for number in range(4)}
    close(tracker, runs[1], "completed")
    close(tracker, runs[2], "pruned")
    open_trial(tracker, open_study(tracker, "a neighbour"), 9)

    assert tracker.unfinished_trials(study_id) == {0: runs[0], 3: runs[3]}


def test_finalists_are_children_of_another_stage(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    trial = open_trial(tracker, study_id, 3)
    open_, closed = (open_trial(tracker, study_id, 3, stage="finalist") for _ in range(2))
    close(tracker, closed, "completed")
    assert client.get_run(open_).data.tags["stage"] == "finalist"
    assert client.get_run(open_).data.tags["trial"] == "3"
    assert tracker.unfinished_trials(study_id) == {3: trial}

    tracker.close_finalists(study_id)
    runs = [client.get_run(run_id) for run_id in (open_, closed, trial)]
    assert [run.info.status for run in runs] == ["KILLED", "FINISHED", "RUNNING"]
    states = ["interrupted", "completed", "running"]
    assert [run.data.tags["state"] for run in runs] == states


def test_a_single_training_has_no_parent(tracker: Tracker, client: MlflowClient) -> None:
    run_id = tracker.open_single(
        "digits", name="preset", parameters=PARAMETERS, tags={}, dataset=DATASET
    )
    tracker.log_epochs(run_id, rows(1, 1))
    close(tracker, run_id, "completed")
    run = client.get_run(run_id)

    assert run.data.tags["stage"] == "train"
    assert "mlflow.parentRunId" not in run.data.tags
    assert run.info.status == "FINISHED"


def test_errors_of_mlflow_are_tracking_errors(tracker: Tracker) -> None:
    with pytest.raises(TrackingError, match="0000"):
        tracker.log_epochs("0" * 32, rows(1, 1))
    with pytest.raises(TrackingError, match="0000"):
        close(tracker, "0" * 32, "completed")


def test_importing_the_tracker_imports_no_mlflow() -> None:
    code = "import sys, search.tracking.tracker; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
