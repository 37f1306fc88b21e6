"""Studies in MLflow, and the experiments that hold them."""

import contextlib
import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.tracking.tracker import Tracker
from search.tracking.views import PREFIX, TRIALS
from spaces.errors import InputError
from tests.search.tracking.logged import open_study, open_trial, steps


def test_a_study_describes_itself(tracker: Tracker, client: MlflowClient, study_id: str) -> None:
    run = client.get_run(study_id)
    note = run.data.tags["mlflow.note.content"]
    experiment = client.get_experiment(run.info.experiment_id)

    assert experiment.name == "digits"
    assert experiment.tags["mlflow.experiment.primaryMetric.name"] == "best_val_accuracy"
    for part in ("hpsearch search digits", "`val_accuracy`", "1,200", "seed: 7"):
        assert part in note
    assert run.data.tags["git_commit"] == "abc"
    assert "mlflow.parentRunId" not in run.data.tags


def test_an_experiment_says_what_it_is_and_how_to_read_it(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    experiment = client.get_experiment(client.get_run(study_id).info.experiment_id)
    tags = experiment.tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert tags["mlflow.experiment.primaryMetric.greaterIsBetter"] == "True"
    note = tags["mlflow.note.content"]
    start = f"#/experiments/{experiment.experiment_id}/runs?viewStateShareKey="
    keys = re.findall(re.escape(start) + r"([a-z-]+)", note)
    assert {PREFIX + key for key in keys} == {name for name in tags if name.startswith(PREFIX)}
    assert "| `best_val_accuracy` | the goal, higher is better" in note


def test_a_goal_that_is_better_low_is_shown_so(tracker: Tracker, client: MlflowClient) -> None:
    open_study(tracker, "a loss", goal_metric="val_loss", goal_mode="min")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    tags = experiment.tags
    assert tags["mlflow.experiment.primaryMetric.name"] == "best_val_loss"
    assert tags["mlflow.experiment.primaryMetric.greaterIsBetter"] == "False"
    state = json.loads(json.loads(tags[PREFIX + TRIALS])["state"])
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best_val_loss`", True)


def test_an_experiment_of_an_older_version_is_furnished_and_a_users_words_stay(
    runs_dir: Path, tracker: Tracker, client: MlflowClient
) -> None:
    location = (runs_dir / "artifacts").as_uri()
    old = client.create_experiment("iris", location, tags={"mlflow.note.content": "mine"})
    for name in ("one", "two"):
        open_study(tracker, name, task="iris")
    tags = client.get_experiment(old).tags
    assert tags["mlflow.note.content"] == "mine"
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert PREFIX + TRIALS in tags


def test_a_resumed_study_goes_on_in_the_same_run(tracker: Tracker, client: MlflowClient) -> None:
    first = open_study(tracker, "resumed")
    open_trial(tracker, first)
    client.set_tag(first, "mlflow.note.content", "written by a user")
    tracker.close_study(first, "interrupted", {"stop_reason": "asked to"})
    assert client.get_run(first).info.status == "KILLED"

    parameters = {"trials": 60, "workers": 2, "patience": 3}
    assert open_study(tracker, "resumed", parameters=parameters) == first
    run = client.get_run(first)
    assert run.info.status == "RUNNING"
    assert run.data.params == {"trials": "30", "workers": "2", "patience": "3"}
    assert run.data.tags["resumed_with"] == "trials=60"
    assert run.data.tags["mlflow.note.content"] == "written by a user"


def test_another_study_is_another_run_of_the_same_experiment(
    tracker: Tracker, client: MlflowClient
) -> None:
    one, other = open_study(tracker, "one"), open_study(tracker, "other")

    assert one != other
    assert client.get_run(one).info.experiment_id == client.get_run(other).info.experiment_id


def test_a_deleted_experiment_comes_back_with_its_study(
    tracker: Tracker, client: MlflowClient
) -> None:
    parent = open_study(tracker, "deleted with all")
    client.delete_experiment(client.get_run(parent).info.experiment_id)

    assert open_study(tracker, "deleted with all") == parent


def test_study_metrics_have_steps_and_a_study_ends(
    tracker: Tracker, client: MlflowClient, study_id: str
) -> None:
    tracker.log_metrics(study_id, {1: {"best_so_far": 0.8}, 2: {"best_so_far": 0.9}})
    tracker.close_study(study_id, "completed", {"winner": "t001"})
    run = client.get_run(study_id)

    assert steps(client, study_id, "best_so_far") == [1, 2]
    assert run.info.status == "FINISHED"
    assert {"winner": "t001", "state": "completed"}.items() <= run.data.tags.items()


def test_what_came_of_a_study_can_be_written_again(
    tracker: Tracker, client: MlflowClient, study_id: str, tmp_path: Path
) -> None:
    for mean, winner in ((0.9, "t001"), (0.8, "t002")):
        tracker.describe_study(
            study_id,
            metrics={"finalist_mean_val_accuracy": mean},
            tags={"winner": winner},
            artifacts={"finalists.csv": winner.encode()},
        )
    run = client.get_run(study_id)
    assert run.data.metrics["finalist_mean_val_accuracy"] == 0.8
    assert run.data.tags["winner"] == "t002"
    assert tracker.download(study_id, "finalists.csv", tmp_path).read_bytes() == b"t002"
    assert run.info.status == "RUNNING"


def test_the_tags_of_a_run_and_of_none(tracker: Tracker, study_id: str) -> None:
    assert tracker.tags(study_id)["stage"] == "study"
    assert tracker.tags("0" * 32) == {}


def test_a_folder_that_was_moved_is_an_input_error(
    tracker: Tracker, study_id: str, runs_dir: Path, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(runs_dir / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(runs_dir / "mlflow.db", tmp_path)

    with pytest.raises(InputError, match="move the folder back"):
        open_study(Tracker.open(tmp_path, None), "moved")
