"""A record of MLflow's of the test module's own, in a folder with a space in its name."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from search.tracking.tracker import Tracker
from tests.search.tracking.logged import open_study


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("with a space") / "mlruns"


@pytest.fixture(scope="module")
def tracker(runs_dir: Path) -> Tracker:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return Tracker.open(runs_dir, None)


@pytest.fixture(scope="module")
def client(tracker: Tracker, runs_dir: Path) -> MlflowClient:
    """Reads back, with MLflow's own client, what the tracker wrote."""
    return MlflowClient(f"sqlite:///{runs_dir / 'mlflow.db'}")


@pytest.fixture
def study_id(tracker: Tracker, request: pytest.FixtureRequest) -> str:
    """A study of the test's own."""
    return open_study(tracker, request.node.name)


@pytest.fixture(autouse=True)
def _no_tracking_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
