"""What the tests of evaluations share: a clean place, and workers of the test's own process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import segment as segment_module
from search.settings import Settings
from tests.inline import InlineEngine
from tests.search.evaluation.evaluated import installed

ROOT = Path(__file__).parents[3]


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The project's folder, no MLflow of the user's, and a worker that holds nothing yet."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    segment_module._held.clear()
    yield
    segment_module._held.clear()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> InlineEngine:
    """The workers of all evaluations of a test: its own process."""
    return installed(monkeypatch, InlineEngine())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs_dir=tmp_path / "mlruns", workers=2, seed=3)
