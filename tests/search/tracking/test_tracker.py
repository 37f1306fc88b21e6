"""MLflow's view of studies and trials, on a SQLite store of its own."""

import contextlib
import json
import math
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from mlflow import MlflowClient

from search.study import State
from search.tracking.tracker import STATUS, DatasetInfo, Stage, Tracker, TrackingError
from search.tracking.views import PREFIX, TRIALS
from spaces.errors import InputError

DATASET = DatasetInfo("digits", "0123456789abcdef" * 3, 1200, 300, (8, 8), 10)
PARAMETERS: dict[str, str | int | float | bool] = {
    "learning_rate": 0.001,
    "filters_1": 32,
    "nesterov": True,
    "family": "cnn",
}
ARTIFACTS = {"config.yaml": b"a: 1\n", "plots/curves.png": bytes(range(256)), "empty.txt": b""}


@pytest.fixture
def study_id(tracker: Tracker, request: pytest.FixtureRequest) -> str:
    """A study of the test's own."""
    return open_study(tracker, request.node.name)


def open_study(tracker: Tracker, name: str, **changes: Any) -> str:
    given: dict[str, Any] = {
        "parameters": {"trials": 30, "workers": 2},
        "tags": {"git_commit": "abc"},
        "dataset": DATASET,
        "goal_metric": "val_accuracy",
        "command": "hpsearch search digits",
        "seed": 7,
    }
    given |= changes
    return tracker.open_study(given.pop("task", "digits"), name, **given)


def open_trial(
    tracker: Tracker,
    parent: str,
    number: int = 0,
    run_id: str | None = None,
    stage: Stage = "trial",
) -> str:
    return tracker.open_trial(
        parent,
        name=f"t{number:03d} cnn",
        number=number,
        parameters=PARAMETERS,
        tags={"seed": "7"},
        dataset=DATASET,
        run_id=run_id,
        stage=stage,
    )


def close(tracker: Tracker, run_id: str, state: State, **changes: Any) -> None:
    given: dict[str, Any] = {"metrics": {}, "tags": {}, "artifacts": {}}
    tracker.close_trial(run_id, state=state, **(given | changes))


def rows(first: int, last: int) -> list[dict[str, float]]:
    return [
        {"epoch": float(epoch), "train_loss": 1 / epoch, "val_accuracy": epoch / 10}
        for epoch in range(first, last + 1)
    ]


def steps(client: MlflowClient, run_id: str, metric: str = "train_loss") -> list[int]:
    return sorted(point.step for point in client.get_metric_history(run_id, metric))


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
    tracker.log_study(study_id, {"best_so_far": 0.8}, step=1)
    tracker.log_study(study_id, {"best_so_far": 0.9}, step=2)
    tracker.close_study(study_id, "completed", {"winner": "t001"})
    run = client.get_run(study_id)

    assert steps(client, study_id, "best_so_far") == [1, 2]
    assert run.info.status == "FINISHED"
    assert {"winner": "t001", "state": "completed"}.items() <= run.data.tags.items()


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


def test_the_database_keeps_its_write_ahead_log(tracker: Tracker, runs_dir: Path) -> None:
    Tracker.open(runs_dir, None)
    with contextlib.closing(sqlite3.connect(runs_dir / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_reader_does_not_hold_up_the_search(
    tracker: Tracker, client: MlflowClient, study_id: str, runs_dir: Path
) -> None:
    run_id = open_trial(tracker, study_id)
    with contextlib.closing(sqlite3.connect(runs_dir / "mlflow.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchone()
        tracker.log_epochs(run_id, rows(1, 1))

    assert steps(client, run_id) == [1]


def test_the_first_use_prints_nothing_and_tells_no_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from search.tracking.tracker import Tracker;"
        "Tracker.open(Path(sys.argv[1]), None);"
        "from mlflow.telemetry import get_telemetry_client; assert get_telemetry_client() is None"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_tracker_imports_no_mlflow() -> None:
    code = "import sys, search.tracking.tracker; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_that_was_moved_is_an_input_error(
    tracker: Tracker, study_id: str, runs_dir: Path, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(runs_dir / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(runs_dir / "mlflow.db", tmp_path)

    with pytest.raises(InputError, match="move the folder back"):
        open_study(Tracker.open(tmp_path, None), "moved")
