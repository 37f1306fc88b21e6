"""Runs the command line as a user does, in a process of its own, and reads what it left behind."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from search.finalists import verdict
from search.settings import Settings
from search.study import find_study

TIMEOUT_SECONDS = 400


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "search", *arguments]


def environment() -> dict[str, str]:
    """The user's, without settings that would point a test to other places."""
    ours = ("MLFLOW_TRACKING_URI", "HPSEARCH_DATA_DIR")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    root = Path(__file__).parents[2]
    return {**kept, "COLUMNS": "80", "PYTHONPATH": str(root)}


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    """What the command printed; it must end with `status` and without a traceback."""
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == status, output
    assert "Traceback" not in output, output
    return output


def leaderboard(folder: Path, task: str) -> list[dict[str, Any]]:
    text = run(folder, "leaderboard", task, "--format", "json", "--top", "1000")
    rows: list[dict[str, Any]] = json.loads(text)
    return rows


def retrainings(folder: Path, task: str) -> list[dict[str, Any]]:
    """Those of the finalists, without what depends on the machine's speed or on MLflow."""
    study = find_study(Settings(runs_dir=folder / "mlruns"), task, None)
    found = [dict(vars(each)) for each in verdict.retrainings(study)]
    measured = ("train_seconds", "run_id", "last")
    scores = [each["last"][study.user_attrs["metric"]] for each in found]
    kept = [{k: v for k, v in each.items() if k not in measured} for each in found]
    return [{**each, "score": score} for each, score in zip(kept, scores, strict=True)]


def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlruns/mlflow.db")


def runs(folder: Path, task: str) -> list[Run]:
    store = client(folder)
    experiment = store.get_experiment_by_name(task)
    assert experiment is not None
    return list(store.search_runs([experiment.experiment_id], max_results=1000))


def trials(folder: Path, task: str, study: str = "") -> dict[int, Run]:
    """The child runs of a study, or of the only one, by trial number; every number once."""
    children = [
        run
        for run in runs(folder, task)
        if run.data.tags["stage"] == "trial" and run.data.tags["study"].startswith(study)
    ]
    found = {int(run.data.tags["trial"]): run for run in children}
    assert len(found) == len(children)
    return found


def artifact_names(folder: Path, run_id: str) -> set[str]:
    return {file.path for file in client(folder).list_artifacts(run_id)}


def study_name(output: str) -> str:
    return output.partition("Study ")[2].partition(":")[0]


def finished_count(output: str) -> int:
    (count,) = re.findall(r"(\d+) of \d+ trials?", output)
    return int(count)


def write_images(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """A small data set in the publishers' format: the train files, and no test files."""
    folder.mkdir(parents=True)
    header = np.array([0x803, *images.shape], ">i4").tobytes()
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(header + images.astype(np.uint8).tobytes())
    with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write(np.array([0x801, len(labels)], ">i4").tobytes())
        file.write(labels.astype(np.uint8).tobytes())
