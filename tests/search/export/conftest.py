"""What the tests of exports share: a study, and its export with models that MLflow never had."""

import io
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.console import Console

from pipelines.tasks import TASKS
from search.export import check as script_check
from search.export.folder import export
from search.settings import Settings
from search.tracking.tracker import Tracker
from spaces.errors import InputError
from tests.search.export.winners import Export, in_study


class FakeTracker:
    """MLflow that has a model for every run but those that are called missing."""

    def check_experiment(self, task: str) -> None:
        pass

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
def study() -> optuna.Study:
    return in_study("digits")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exports to a folder and returns its files."""
    monkeypatch.setattr(Tracker, "open", lambda *_: FakeTracker())
    monkeypatch.setattr(script_check, "model_problem", lambda *_: "")

    def call(
        study: optuna.Study,
        *,
        printed: io.StringIO | None = None,
        exports_dir: Path = tmp_path / "exports",
        **options: Any,
    ) -> Any:
        task = TASKS[study.user_attrs["task"]]
        console = Console(file=printed or io.StringIO(), width=200)
        settings = Settings(runs_dir=tmp_path / "mlruns")
        folder = export(task, settings, study, exports_dir, console, **options)
        assert folder == exports_dir / task.name
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    return call
