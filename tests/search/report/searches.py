"""Studies as searches leave them, by the real coordinator with scripted workers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import optuna

from pipelines.segment import SegmentFailure
from search.coordinator import Coordinator
from search.finalists.verdict import Retraining, store
from search.settings import Settings
from spaces.space import Space
from tests.fake_engine import Curve, FakeEngine, Fault, rising
from tests.fakes import TASK, FakeLog, SilentView, new_study
from tests.search.report.known import SPACE as KNOWN_SPACE

KNOWN = replace(TASK, space=KNOWN_SPACE)
"""The task of the studies whose effects are known."""
FAILED: Mapping[tuple[int, int], Fault] = {
    (number, 0): SegmentFailure("invalid shape", "too small") for number in range(100)
}


def searched(
    folder: Path,
    n_trials: int = 20,
    *,
    curve: Curve = rising,
    space: Space = TASK.space,
    faults: Mapping[tuple[int, int], Fault] | None = None,
    stop_at: int | None = None,
) -> optuna.Study:
    """A study after a search; with `stop_at` it was interrupted."""
    study = new_study()
    study.set_user_attr("data_digest", "abc")
    Coordinator(
        TASK,
        space,
        study,
        FakeEngine(curve, n_workers=2, faults=faults),
        Settings(trials=n_trials, workers=2, runs_dir=folder, presets=False),
        training=TASK.training,
        data_digest="abc",
        log=FakeLog(),
        view=SilentView(stop_at),
    ).run()
    return study


def retrain(study: optuna.Study, number: int, scores: list[float]) -> None:
    """Stores finalists' trainings of a trial."""
    for draw, score in enumerate(scores):
        best = {"epoch": 4.0, "val_accuracy": score}
        store(study, Retraining(number, draw, 100 + draw, best, 5.0, 10.0, run_id=f"again-{draw}"))
