"""The coordinator at scale, with simulated workers that answer at once.

    .venv/bin/python -m benchmarks.coordinator [--quick]

results:  segment results a second that it takes in from 100 workers, with study, records and
          checkpoints of 1 MB on disk as in a search, without MLflow and with it. A trial comes
          back ten times, as one of three minutes does; new trials are drawn in between.
ask+tell: seconds for a new trial and for the end of one, in studies of 1,000 and 10,000 trials.
resume:   seconds to open a study of so many trials and take it up, in a process of its own, and
          that process's memory before and after.
"""

import argparse
import dataclasses
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
from optuna.trial import create_trial
from rich.console import Console
from rich.table import Table

from benchmarks import store
from pipelines.segment import Segment, SegmentResult
from pipelines.tasks import find_task
from search import sampler
from search import study as studies
from search.book import TrialBook
from search.coordinator import Coordinator
from search.engine import Job
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import DatasetInfo, Tracker
from search.tracking.trial_log import MlflowTrialLog

TASK = find_task("fashion")
CHECKPOINT = os.urandom(1_000_000)
SEGMENTS = 10
GOAL = 200
"""Results a second, with MLflow as well: no search runs without it."""


class NoLog:
    """A log that costs nothing."""

    def begin(self, number: int, record: Record) -> str:
        return "run"

    def progress(self, record: Record, rows: object) -> None: ...

    def end(self, record: Record, artifacts: object) -> bool:
        return True

    def best_so_far(self, score: float, n_finished: int) -> None: ...


class NoView:
    def update(self, coordinator: Coordinator) -> None: ...

    def ended(self, number: int, record: Record) -> None: ...


@dataclasses.dataclass(eq=False)
class ReadyJob:
    value: object

    def result(self) -> Any:  # noqa: ANN401 - as the engine's
        return self.value


class ReadyEngine:
    """Workers that have always just finished, a segment or a trial's artifacts."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self.n_results = 0
        self._n_segments: Counter[str] = Counter()
        self._done: list[Job] = []

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Job | None) -> Job:  # noqa: ANN401 - a segment first
        job = ReadyJob(self._trained(arguments[0]) if work.__name__ == "train_segment" else {})
        self._done.append(job)
        return job

    def wait(self, seconds: float) -> list[Job]:
        done, self._done = self._done, []
        self.n_results += sum(isinstance(job.result(), SegmentResult) for job in done)
        return done

    def kill(self, job: Job) -> None:
        raise AssertionError(f"{job!r} has ended: no job here is ever too slow to be killed")

    def _trained(self, segment: Segment) -> SegmentResult:
        """A part of the way to the next rung; the trial's last one reaches its end."""
        self._n_segments[segment.key] += 1
        n_done = self._n_segments[segment.key]
        score = random.random()  # noqa: S311 - nothing secret
        row = dict.fromkeys(("train_loss", "train_accuracy", "val_loss"), 1 - score)
        row |= {"epoch": float(n_done), "val_accuracy": score, "learning_rate": 0.01}
        ends = n_done >= SEGMENTS
        return SegmentResult(
            rows=[row | {"epoch_seconds": 1.0}],
            best=row,
            reached=ends,
            stop="finished" if ends else None,
            checkpoint=CHECKPOINT,
            summary="a network",
            n_parameters=1000,
            build_seconds=0.0,
            train_seconds=1.0,
            total_seconds=1.0,
        )


def results_a_second(n_trials: int, *, mlflow: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(trials=n_trials, workers=100, runs_dir=Path(folder))
        study = studies.open_study(settings, TASK, TASK.space, TASK.training, "digest")
        engine = ReadyEngine(100)
        coordinator = Coordinator(
            TASK,
            TASK.space,
            study,
            engine,
            settings,
            training=TASK.training,
            data_digest="digest",
            log=_log(settings, study) if mlflow else NoLog(),
            view=NoView(),
        )
        began = time.perf_counter()
        coordinator.run()
        return engine.n_results / (time.perf_counter() - began)


def _log(settings: Settings, study: optuna.Study) -> MlflowTrialLog:
    tracker = Tracker.open(settings.runs_dir, None)
    dataset = DatasetInfo("fashion", "digest", 50_000, 10_000, (28, 28, 1), 10)
    parent = tracker.open_study(
        "fashion",
        study.study_name,
        parameters={},
        tags={},
        dataset=dataset,
        goal_metric="val_accuracy",
        command="benchmark",
    )
    return MlflowTrialLog(tracker, parent, dataset, {}, print)


def large_study(n_trials: int, repeats: int) -> dict[str, Any]:
    """Ask and tell in a study of `n_trials`, and what it takes to open it again."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(runs_dir=Path(folder))
        study = studies.open_study(settings, TASK, TASK.space, TASK.training, "digest")
        _fill(study, n_trials)
        asks = [_ask_and_tell(study) for _ in range(repeats + 1)][1:]
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
            resumed = fresh.submit(_resume, settings).result()
        return {
            "trials": n_trials,
            "ask_tell_seconds": [round(seconds, 4) for seconds in asks],
            **resumed,
        }


def _resume(settings: Settings) -> dict[str, float]:
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    study = studies.open_study(settings, TASK, TASK.space, TASK.training, "digest")
    TrialBook(TASK, TASK.space, study, settings, TASK.training, NoLog()).take_up()
    return {
        "resume_seconds": round(time.perf_counter() - began, 2),
        "memory_mib_before": before // 2**20,
        "memory_mib": psutil.Process().memory_info().rss // 2**20,
    }


def _fill(study: optuna.Study, n_trials: int) -> None:
    """Finished trials, drawn at random, with records as a search leaves them."""
    at_random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    scores = np.random.default_rng(0).random(n_trials)
    for number in range(n_trials):
        trial = at_random.ask()
        config = TASK.space.sample(trial, TASK.training)
        row = {"epoch": 1.0, "val_accuracy": float(scores[number])}
        record = Record(
            config.model_dump(mode="json", exclude_none=True),
            seed=1,
            state="completed",
            rows=[row | {"epoch": float(epoch)} for epoch in range(1, SEGMENTS + 1)],
            best=row,
            summary="a layer\n" * 30,
        )
        frozen = at_random._storage.get_trial(trial._trial_id)
        study.add_trial(
            create_trial(
                params=frozen.params,
                distributions=frozen.distributions,
                values=[scores[number]],
                user_attrs={"record": dataclasses.asdict(record)},
            )
        )


def _ask_and_tell(study: optuna.Study) -> float:
    began = time.perf_counter()
    trial = sampler.ask(study, TASK.space)
    row = {"epoch": 1.0, "val_accuracy": 0.5}
    studies.tell(study, trial, Record({}, seed=1, state="completed", best=row))
    return time.perf_counter() - began


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    rates = {
        f"results_a_second_{name}": round(results_a_second(110 if quick else 300, mlflow=mlflow))
        for name, mlflow in (("without_mlflow", False), ("with_mlflow", True))
    }
    sizes = (100, 300) if quick else (1_000, 10_000)
    studies_ = [large_study(size, 5 if quick else 20) for size in sizes]
    store.save("coordinator_quick" if quick else "coordinator", {**rates, "studies": studies_})
    table = Table("trials", "ask + tell, ms", "resume, s", "memory, MiB", box=None)
    for row in studies_:
        asked = statistics.median(row["ask_tell_seconds"]) * 1000
        table.add_row(
            f"{row['trials']:,}",
            f"{asked:.0f}",
            f"{row['resume_seconds']}",
            f"{row['memory_mib']}",
        )
    Console().print(table)
    speeds = Table("results a second", "measured", "goal", box=None)
    for name, rate in rates.items():
        speeds.add_row(
            name.removeprefix("results_a_second_").replace("_", " "), f"{rate}", f"{GOAL}"
        )
    Console().print(speeds)


if __name__ == "__main__":
    _main()
