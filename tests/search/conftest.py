"""What the tests of a search's walk share: a coordinator whose other parts are fakes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.coordinator import Coordinator
from search.engine import Engine
from search.settings import Settings
from search.study import Record, read
from spaces.config import Config, Training
from tests.fake_engine import Curve, FakeClock, FakeEngine, rising
from tests.fakes import SPACE, TASK, FakeLog, SilentView, new_study

Make = Callable[..., Coordinator]
Searched = Callable[..., Coordinator]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A coordinator over a study; what is not given is fresh."""
    monkeypatch.setattr("search.checkpoints.os.fsync", lambda _: None)

    def coordinator(
        engine: Engine,
        study: optuna.Study | None = None,
        log: FakeLog | None = None,
        view: SilentView | None = None,
        training: Training = TASK.training,
        clock: FakeClock | None = None,
        an_epoch: Callable[[Config], float] = lambda _: 0.0,
        kept_seconds: Callable[[], float] = lambda: 0.0,
        **settings: Any,
    ) -> Coordinator:
        return Coordinator(
            TASK,
            SPACE,
            study or new_study(),
            engine,
            Settings(runs_dir=tmp_path, **{"trials": 6, **settings}),
            training=training,
            data_digest="abc",
            log=log or FakeLog(),
            view=view or SilentView(),
            an_epoch=an_epoch,
            kept_seconds=kept_seconds,
            clock=clock or FakeClock(),
        )

    return coordinator


def records(study: optuna.Study) -> list[Record]:
    found = [read(trial) for trial in study.get_trials()]
    assert None not in found
    return [record for record in found if record is not None]


@pytest.fixture
def searched(make: Make) -> Searched:
    """A coordinator that has run."""

    def run(curve: Curve = rising, stop_at: int | None = None, trials: int = 4) -> Coordinator:
        clock = FakeClock()
        engine = FakeEngine(
            curve, n_workers=2, clock=clock, seconds_per_job=10, rows_per_segment=1
        )
        coordinator = make(engine, view=SilentView(stop_at), clock=clock, trials=trials)
        coordinator.run()
        return coordinator

    return run
