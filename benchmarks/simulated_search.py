"""Fashion trials that nobody trains, for `benchmarks.coordinator`: they learn, some better."""

import dataclasses
import math
import os
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from pipelines.segment import Row, Segment, SegmentResult
from pipelines.tasks import find_task
from search import study as studies
from search.coordinator import Coordinator
from search.engine import Job
from search.study import Record, State
from spaces.space import Space

TASK = find_task("fashion")
EPOCHS_A_SEGMENT = 2
"""A trial of all 20 epochs comes back ten times, as one of three minutes or more does."""
CHECKPOINTS = {"churn": 160_000, "fashion": 7_900_000}
"""Bytes: as in a search of churn, and of fashion's `start_plain`."""
CURVES = {"curves.png": os.urandom(24_000)}
ARTIFACTS = {**CURVES, "model.keras": os.urandom(1_600_000)}


def row_at(quality: float, epoch: float) -> Row:
    """What a trial of some quality between 0 and 1 scores after some training."""
    score = quality * (1 - math.exp(-epoch / 3))
    losses = dict.fromkeys(("train_loss", "train_accuracy", "val_loss"), 1 - score)
    rest = {"learning_rate": 0.01, "epoch_seconds": 1.0}
    return {"epoch": epoch, **losses, "val_accuracy": score, **rest}


def trained(segment: Segment, checkpoint: bytes) -> SegmentResult:
    """The way to the next rung, or a part of it where that is long."""
    quality = random.Random(segment.seed).random()  # noqa: S311 - nothing secret
    begin, end = segment.begin, min(segment.until, segment.begin + EPOCHS_A_SEGMENT)
    rows = [row_at(quality, epoch + 1.0) for epoch in range(round(begin), round(end))]
    return SegmentResult(
        rows=rows,
        best=rows[-1],
        reached=end >= segment.until,
        stop="finished" if end >= segment.config.training.epochs else None,
        checkpoint=checkpoint,
        summary="a layer\n" * 30 if segment.begin == 0 else "",
        n_parameters=1000,
        build_seconds=0.0,
        train_seconds=1.0,
        total_seconds=1.0,
    )


@dataclasses.dataclass(eq=False)
class ReadyJob:
    value: object

    def result(self) -> Any:  # noqa: ANN401 - as the engine's
        return self.value


class ReadyEngine:
    """Workers that have always just finished, a segment or a trial's artifacts.

    Args:
        n_bytes: Of a checkpoint.
    """

    def __init__(self, n_workers: int, n_bytes: int) -> None:
        self.n_workers = n_workers
        self._checkpoint = os.urandom(n_bytes)
        self.n_results = 0
        self._done: list[Job] = []

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Job | None) -> Job:  # noqa: ANN401 - a segment first
        segment, *rest = arguments
        if work.__name__ == "train_segment":
            self.n_results += 1
            job = ReadyJob(trained(segment, self._checkpoint))
        else:
            _, state = rest
            job = ReadyJob(ARTIFACTS if state == "completed" else CURVES)
        self._done.append(job)
        return job

    def wait(self, seconds: float) -> list[Job]:
        done, self._done = self._done, []
        return done

    def kill(self, job: Job) -> None:
        raise AssertionError(f"{job!r} has ended: no job here is ever too slow to be killed")


class NoLog:
    """A log that costs nothing."""

    def begin(self, number: int, record: Record) -> str:
        return "run"

    def progress(self, record: Record, rows: Sequence[Row]) -> None: ...

    def end(self, record: Record, artifacts: Mapping[str, bytes]) -> bool:
        return True

    def best_so_far(self, scores: Mapping[int, float]) -> None: ...


class NoView:
    def update(self, coordinator: Coordinator) -> None: ...

    def ended(self, number: int, record: Record) -> None: ...


def fill(study: optuna.Study, space: Space, n_trials: int) -> None:
    """Ended trials with configs drawn at random, judged at each rung as halving would."""
    at_random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    qualities, levels = random.Random(0), studies.rungs(TASK.first_rung, TASK.training.epochs)  # noqa: S311 - nothing secret
    for _ in range(n_trials):
        trial = at_random.ask()
        config = space.sample(trial, TASK.training)
        quality = qualities.random()
        # Half of the trials end at the first rung, half of the others at the second, and so on.
        came_by = levels[: 1 + int(-math.log2(1 - quality))]
        state: State = "completed" if came_by == levels else "pruned"
        rows = [row_at(quality, epoch + 1.0) for epoch in range(round(came_by[-1]))]
        record = Record(
            config.model_dump(mode="json", exclude_none=True),
            seed=1,
            state=state,
            rows=rows,
            best=rows[-1],
            summary="a layer\n" * 30,
        )
        frozen = at_random._storage.get_trial(trial._trial_id)
        judged = [epoch for epoch in came_by if epoch < TASK.training.epochs]
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if state == "completed" else TrialState.PRUNED,
                params=frozen.params,
                distributions=frozen.distributions,
                values=[rows[-1]["val_accuracy"]] if state == "completed" else None,
                intermediate_values={
                    studies.step_of(epoch, TASK.first_rung): row_at(quality, epoch)["val_accuracy"]
                    for epoch in judged
                },
                user_attrs={"record": dataclasses.asdict(record)},
            )
        )
