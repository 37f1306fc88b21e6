"""The best config of each stored case of `benchmarks.quality`, trained again after the clock.

The score that a case found is the highest of many noisy ones on one split. Here all systems'
configs get the same: this project's training through all epochs, whose last weights count, as its
finalists get it. Where the task compares finalists on folds it is five folds, which divide anew
the rows that the search has seen; else the search's own split with a fresh seed.
"""

import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import store
from benchmarks.quality_results import Result, kept
from pipelines.segment import Segment, SegmentFailure, train_segment
from pipelines.splits import FOLDS
from pipelines.tasks import Task, find_task
from search.machine import Machine, available_cores
from spaces.config import Config

FIRST_SEED = 1_000_000
"""Of the draws' own seeds, the same for all cases."""


def confirm(task_name: str, folder: Path) -> None:
    """Trains for every stored case that has a config and has not been confirmed yet."""
    results = kept(task_name, folder)
    wanted = [result for result in results if result.config and not result.confirmed]
    if not wanted:
        return
    task = find_task(task_name)
    digest = task.load(None).digest
    # Spawned: workers must not inherit what this process has started.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(available_cores(), mp_context=context) as pool:
        for result in wanted:
            segments = segments_of(result, task, digest)
            scores = list(pool.map(train, segments, [task.goal.metric] * len(segments)))
            store.update(result.case.name, {"confirmed": scores}, folder)
            print(f"{task_name} seed {result.case.seed} {result.case.title}: {_text(scores)}")


def segments_of(result: Result, task: Task, digest: str) -> list[Segment]:
    config = Config.model_validate(result.config).without_patience()
    return [
        Segment(
            key=f"{result.case.name}/{draw}",
            task=task.name,
            config=config,
            seed=FIRST_SEED + draw,
            how=Machine.here().runtime(task),
            data_dir=None,
            data_digest=digest,
            begin=0.0,
            until=float(config.training.epochs),
            seconds=math.inf,
            division=draw if task.folds else "search",
        )
        for draw in range(FOLDS if task.folds else 1)
    ]


def train(segment: Segment, metric: str) -> float | None:
    """The score of the last weights; None where the training failed."""
    result = train_segment(segment)
    if isinstance(result, SegmentFailure) or result.stop != "finished":
        return None
    return result.best[metric]


def _text(scores: Sequence[float | None]) -> str:
    shown = ", ".join("failed" if score is None else f"{score:.4f}" for score in scores)
    return f"trained again: {shown}"
