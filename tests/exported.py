"""Small exports as `search.export.folder` leaves them, with the run in MLflow that they come from."""

import json
from pathlib import Path
from typing import Any

import joblib

from pipelines.runtime import Runtime, configure
from pipelines.tasks import TASKS
from search.settings import Settings
from search.tracking.tracker import DatasetInfo, Tracker
from spaces.presets import PRESETS
from tests.fakes import new_study
from tests.pipelines.test_tabular import churn_rows, write

CONFIG = PRESETS["iris_mlp_32"].config


def churn_data(folder: Path) -> Path:
    """A folder of data with a churn table of 200 customers."""
    folder.mkdir(exist_ok=True)
    return write(folder, churn_rows())


def export_of(task_name: str, folder: Path, data_dir: Path | None = None) -> Path:
    """`folder/exports/<task>/`: an untrained network, its preprocessor, and its scores.

    Its run is in `folder/mlruns`.
    """
    configure(Runtime(threads=1))
    from pipelines.networks import build_network  # late: TensorFlow is set up now

    task = TASKS[task_name]
    data = task.load(data_dir)
    exported = folder / "exports" / task_name
    exported.mkdir(parents=True)
    network = build_network(CONFIG, data.input_shape, task.n_classes, seed=3)
    network.save(exported / "model.keras")
    if data.preprocessor is not None:
        joblib.dump(data.preprocessor, exported / "preprocessor.joblib")
    n_rows = len(data.train.labels), len(data.validation.labels)
    dataset = DatasetInfo(task_name, data.digest, *n_rows, data.input_shape, task.n_classes)
    tracker = Tracker.open(folder / "mlruns", None)
    run_id = tracker.open_single(task_name, name="t", parameters={}, tags={}, dataset=dataset)
    best = {f"best_{task.goal.metric}": 0.75, "best_val_loss": 0.5}
    tracker.close_trial(run_id, state="completed", rows=[], metrics=best, tags={}, artifacts={})
    write_scores(
        exported,
        task=task_name,
        study=new_study().study_name,
        trial=7,
        winner=True,
        run_id=run_id,
        data_digest=data.digest,
        validation=best,
        finalist={"mean": 0.7},
        verified=True,
        verification=None,
    )
    return exported


def write_scores(exported: Path, **changes: Any) -> None:
    path = exported / "scores.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | changes))


def settings_of(folder: Path, data_dir: Path | None = None) -> Settings:
    return Settings(runs_dir=folder / "mlruns", data_dir=data_dir)
