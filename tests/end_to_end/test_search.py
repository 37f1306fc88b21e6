"""Real searches by the real command line, from the data to the export."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities import Run

from pipelines.images import load_digits, read_idx
from pipelines.sources import find
from search.settings import Settings
from search.study import find_study
from spaces.config import Config
from tests.end_to_end import commands

PREDICT = """
import sys, keras, numpy
model = keras.models.load_model(sys.argv[1])
numpy.save(sys.argv[3], model.predict(numpy.load(sys.argv[2]), verbose=0))
"""
# In float32, as the exported model computes: a rounding could turn a prediction over.
DIGITS = (
    *("search", "digits", "--trials", "6", "--epochs", "9", "--finalists", "0"),
    *("--precision", "float32", "--set", "family=cnn"),
)


@dataclass(frozen=True)
class Searched:
    """A finished search on digits: where it ran and what it printed."""

    folder: Path
    output: str

    @property
    def study(self) -> str:
        return commands.study_name(self.output)

    @property
    def trials(self) -> dict[int, Run]:
        return commands.trials(self.folder, "digits", self.study)

    @property
    def best(self) -> Run:
        runs = [run for run in self.trials.values() if run.data.tags["state"] == "completed"]
        return max(runs, key=lambda run: run.data.metrics["best_val_accuracy"])


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("digits")
    return Searched(folder, commands.run(folder, *DIGITS))


def test_a_search_goes_to_its_number_of_trials(digits: Searched) -> None:
    assert commands.finished_count(digits.output) == 6
    assert set(digits.trials) == set(range(6))


def test_every_run_in_mlflow_is_closed_as_what_the_trial_was(digits: Searched) -> None:
    status = {"completed": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
    children = digits.trials.values()
    assert {run.data.tags["state"] for run in children} >= {"completed", "pruned"}
    for run in children:
        assert run.info.status == status[run.data.tags["state"]]
        assert run.data.tags["stop_reason"]


def test_children_nest_under_one_finished_parent(digits: Searched) -> None:
    (parent,) = [
        r
        for r in commands.runs(digits.folder, "digits")
        if r.data.tags["stage"] == "study" and r.info.run_name == digits.study
    ]
    assert parent.info.status == "FINISHED"
    for run in digits.trials.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.inputs is not None
        assert run.inputs.dataset_inputs


def test_metrics_have_a_value_an_epoch(digits: Searched) -> None:
    run = digits.best
    epochs = int(float(run.data.tags["stop_epoch"]))
    for metric in ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "epoch_seconds"):
        history = commands.client(digits.folder).get_metric_history(run.info.run_id, metric)
        assert [point.step for point in history] == list(range(1, epochs + 1))
    scores = commands.client(digits.folder).get_metric_history(run.info.run_id, "val_accuracy")
    assert run.data.metrics["best_val_accuracy"] == max(point.value for point in scores)


def test_artifacts_are_there_for_every_trial(digits: Searched) -> None:
    of_all = {"config.yaml", "model_summary.txt", "history.csv", "curves.png"}
    of_completed = {"model.keras", "classification_report.txt", "mistakes.json"}
    of_completed |= {"confusion_matrix.png", "calibration.png", "layers.png"}
    for run in digits.trials.values():
        names = commands.artifact_names(digits.folder, run.info.run_id)
        names -= {"mistakes.png"}  # which one without mistakes has not
        completed = run.data.tags["state"] == "completed"
        assert names == (of_all | of_completed if completed else of_all)


def test_the_history_artifact_holds_the_logged_curve(digits: Searched) -> None:
    run = digits.best
    path = commands.client(digits.folder).download_artifacts(run.info.run_id, "history.csv")
    with Path(path).open() as file:
        rows = list(csv.DictReader(file))
    history = commands.client(digits.folder).get_metric_history(run.info.run_id, "val_accuracy")
    assert [float(row["val_accuracy"]) for row in rows] == [point.value for point in history]


def test_the_same_command_again_trains_nothing(digits: Searched) -> None:
    before = commands.leaderboard(digits.folder, "digits")
    output = commands.run(digits.folder, *DIGITS)
    assert "6 trials finished already" in output
    assert commands.leaderboard(digits.folder, "digits") == before


def test_a_changed_space_is_a_new_study(digits: Searched) -> None:
    changed = ("search", "digits", "--trials", "1", "--epochs", "2", "--set", "family=mlp")
    output = commands.run(digits.folder, *changed, "--finalists", "0")
    assert commands.finished_count(output) == 1
    settings = Settings(runs_dir=digits.folder / "mlruns")
    assert len(find_study(settings, "digits", None).get_trials()) == 1


def test_the_exported_model_scores_on_raw_pixels_what_the_leaderboard_says(
    digits: Searched,
) -> None:
    commands.run(digits.folder, "export", "digits", "--study", digits.study)
    exported = digits.folder / "exports" / "digits"
    validation = load_digits(None).validation
    np.save(digits.folder / "pixels.npy", validation.inputs)
    # In a process of its own that knows Keras and not this project.
    subprocess.run(
        [sys.executable, "-c", PREDICT, exported / "model.keras", "pixels.npy", "answers.npy"],
        cwd=digits.folder,
        check=True,
    )
    probabilities = np.load(digits.folder / "answers.npy")
    accuracy = float(np.mean(probabilities.argmax(axis=1) == validation.labels))
    best = digits.best
    assert accuracy == pytest.approx(best.data.metrics["best_val_accuracy"], abs=1e-6)
    assert {path.name for path in exported.iterdir()} == {
        *("MODEL_CARD.md", "config.json", "config.yaml", "configs.csv", "model.keras"),
        *("requirements.txt", "scores.json", "train.py"),
    }


def test_the_exported_config_can_be_trained(digits: Searched) -> None:
    commands.run(digits.folder, "export", "digits", "--study", digits.study)
    path = digits.folder / "exports" / "digits" / "config.yaml"
    assert Config.from_file(path).network.family == "cnn"
    printed = commands.run(
        digits.folder, "train", "digits", "--config", str(path), "--epochs", "2"
    )
    assert "best val_accuracy" in printed
    (run,) = [r for r in commands.runs(digits.folder, "digits") if r.data.tags["stage"] == "train"]
    assert run.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in run.data.tags


def test_one_worker_and_one_seed_give_one_study(tmp_path: Path) -> None:
    boards = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        few = ("--trials", "5", "--epochs", "9", "--workers", "1", "--seeds", "2")
        commands.run(folder, "search", "iris", *few)
        rows = commands.leaderboard(folder, "iris")
        boards.append([{k: v for k, v in row.items() if "seconds" not in k} for row in rows])
        boards[-1] += commands.retrainings(folder, "iris")
    assert boards[0] == boards[1]


def test_an_interrupted_search_goes_on_where_it_stopped(tmp_path: Path) -> None:
    few = ("--trials", "5", "--epochs", "30", "--seeds", "1", "--workers", "1")
    search = ("search", "digits", *few, "--set", "batch_size=16..20")
    output = _signalled(tmp_path, signal.SIGINT, *search)
    assert "unfinished" in output
    unfinished = {
        number: run
        for number, run in commands.trials(tmp_path, "digits").items()
        if run.data.tags["state"] == "interrupted"
    }
    assert unfinished
    assert all(run.info.status == "KILLED" for run in unfinished.values())

    again = commands.run(tmp_path, *search)
    assert f"{len(unfinished)} taken up again" in again
    assert commands.finished_count(again) == 5
    after = commands.trials(tmp_path, "digits")
    assert set(after) == set(range(5))
    for number, run in unfinished.items():
        assert after[number].info.run_id == run.info.run_id
        assert after[number].data.params == run.data.params
    assert all(run.info.status != "RUNNING" for run in commands.runs(tmp_path, "digits"))


def test_a_killed_search_leaves_no_zombies(tmp_path: Path) -> None:
    few = ("--trials", "4", "--epochs", "20", "--finalists", "0", "--workers", "1")
    search = ("search", "digits", *few, "--set", "batch_size=16..20")
    _signalled(tmp_path, signal.SIGKILL, *search)
    assert any(run.info.status == "RUNNING" for run in commands.runs(tmp_path, "digits"))
    assert commands.finished_count(commands.run(tmp_path, *search)) == 4
    assert set(commands.trials(tmp_path, "digits")) == set(range(4))
    assert all(run.info.status != "RUNNING" for run in commands.runs(tmp_path, "digits"))


@pytest.mark.parametrize("task", ["fashion", "churn"])
def test_a_slice_of_the_real_data_is_searched_logged_and_exported(
    task: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    _slice(task, data / task)
    few = ("--trials", "4", "--epochs", "2", "--finalists", "1", "--data-dir", str(data))
    output = commands.run(tmp_path, "search", task, *few)
    assert commands.finished_count(output) == 4
    commands.run(tmp_path, "export", task, "--data-dir", str(data))
    exported = {path.name for path in (tmp_path / "exports" / task).iterdir()}
    assert {"config.yaml", "model.keras", "scores.json"} <= exported
    assert ("preprocessor.joblib" in exported) == (task == "churn")


def _signalled(folder: Path, number: signal.Signals, *arguments: str) -> str:
    """Sends the whole process group a signal, as a terminal does, once a trial has ended."""
    process = subprocess.Popen(
        commands.command(*arguments),
        cwd=folder,
        env=commands.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("t0") and len(lines) > 1:
            break
    os.killpg(process.pid, number)
    rest, _ = process.communicate(timeout=commands.TIMEOUT_SECONDS)
    output = "".join(lines) + rest
    assert process.returncode == (130 if number == signal.SIGINT else -number), output
    assert "Traceback" not in output
    return output


def _slice(task: str, folder: Path) -> None:
    paths = find(task, None)
    if paths is None:
        pytest.skip(f"the data of {task} are not here: set HPSEARCH_DATA_DIR")
    if task == "churn":
        (table,) = paths
        lines = table.read_text().splitlines(keepends=True)[:1001]
        folder.mkdir(parents=True)
        folder.joinpath(table.name).write_text("".join(lines))
        return
    images, labels = (
        read_idx(path, dimensions=n)[:1200] for path, n in zip(paths, (3, 1), strict=True)
    )
    commands.write_images(folder, images, labels)
