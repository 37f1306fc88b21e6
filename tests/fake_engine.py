"""Workers that train by a script, and the clock that they move."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.segment import (
    Row,
    Segment,
    SegmentFailure,
    SegmentResult,
    SessionLostError,
    finish_trial,
    train_segment,
)
from search.engine import Job, WorkerLostError
from search.study import State
from spaces.config import Training

Curve = Callable[[int], Sequence[float]]
"""Trial number -> validation accuracy at each epoch; not a number: the training diverges."""

Fault = Literal["lost", "memory", "hang", "session"] | Exception | SegmentFailure
"""What goes wrong with a job: it loses its worker, which may have outgrown its memory; it never
ends; the worker has forgotten the session; it raises; it returns the failure."""


def rising(number: int) -> list[float]:
    """A curve that comes nearer to a height of the trial's own with every epoch."""
    height = random.Random(number).random()
    return [height * (1 - 0.5**epoch) for epoch in range(1, 100)]


def flat(scores: Mapping[int, float]) -> Curve:
    """The same score at every epoch, by the trial's number."""
    return lambda number: [scores[number]] * 100


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSession:
    """What `TrainingSession` is for the coordinator: it advances, is saved and restored."""

    epoch: float = 0.0
    best: Row = field(default_factory=dict)
    stop: str | None = None

    @classmethod
    def restored(cls, checkpoint: bytes) -> "FakeSession":
        return cls(**json.loads(checkpoint))

    def advance(
        self, scores: Sequence[float], training: Training, until: float, n_rows: float
    ) -> list[Row]:
        rows: list[Row] = []
        while self.stop is None and self.epoch < until - 1e-9 and len(rows) < n_rows:
            self.epoch = min(until, math.floor(self.epoch + 1e-9) + 1.0)
            score = scores[math.ceil(self.epoch - 1e-9) - 1]
            rows.append(
                {
                    "epoch": self.epoch,
                    "train_loss": 1 - score,
                    "val_loss": 1 - score,
                    "val_accuracy": score,
                    "learning_rate": 0.01,
                    "epoch_seconds": 1.0,
                }
            )
            self._judge(rows[-1], training)
        return rows

    def _judge(self, row: Row, training: Training) -> None:
        score = row["val_accuracy"]
        if math.isnan(score):
            self.stop = "diverged"
            return
        if not self.best or score > self.best["val_accuracy"] or not training.patience:
            self.best = row
        if self.epoch >= training.epochs:
            self.stop = "finished"
        elif training.patience and self.epoch - self.best["epoch"] >= training.patience:
            self.stop = "plateau"


@dataclass(eq=False)
class FakeJob:
    work: Callable[..., Any]
    segment: Segment
    state: State
    worker: int
    fault: Fault | None
    outcome: object = None

    @property
    def number(self) -> int:
        return int(self.segment.key.rpartition("/")[2])

    def result(self) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def in_order(jobs: list[FakeJob]) -> list[FakeJob]:
    return jobs[:1]


def shuffled(seed: int) -> Callable[[list[FakeJob]], list[FakeJob]]:
    """Any of the jobs ends first, or several at the same moment."""
    chance = random.Random(seed)
    return lambda jobs: chance.sample(jobs, chance.randint(1, len(jobs)))


class FakeEngine:
    """Workers that train by a script.

    As with Dask, each does its jobs one after the other, holds the session that it worked at
    last, and loses all its jobs when it is restarted.

    Attributes:
        sent: All jobs in the order of their coming.
        killed: Numbers of the trials whose worker was restarted.
        most_training: The most trials that were in training at one time.
    """

    def __init__(
        self,
        curve: Curve = rising,
        *,
        n_workers: int = 1,
        faults: Mapping[tuple[int, int], Fault] | None = None,
        choose: Callable[[list[FakeJob]], list[FakeJob]] = in_order,
        rows_per_segment: float = math.inf,
        clock: FakeClock | None = None,
        seconds_per_job: float = 0.0,
        slow: Mapping[int, float] | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """The engine.

        Args:
            faults: By number of the trial and of its job, both from 0.
            choose: Which of the jobs that are being done end next.
            rows_per_segment: As if the time of a segment were up after so many.
            slow: By trial, the seconds that an epoch is said to take; 1 for others.
            on_wait: Called before anything ends.
        """
        self.n_workers = n_workers
        self.sent: list[FakeJob] = []
        self.killed: list[int] = []
        self.most_training = 0
        self._curve, self._faults, self._choose = curve, faults or {}, choose
        self._rows_per_segment, self._on_wait = rows_per_segment, on_wait
        self._clock, self._seconds_per_job = clock or FakeClock(), seconds_per_job
        self._slow = slow or {}
        self._open: list[FakeJob] = []
        self._n_sent: Counter[int] = Counter()
        self._held: list[tuple[str, FakeSession] | None] = [None] * n_workers

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Job | None) -> FakeJob:
        segment: Segment = arguments[0]
        load = [sum(job.worker == n for job in self._open) for n in range(self.n_workers)]
        worker = near.worker if isinstance(near, FakeJob) else 0
        worker = worker if load[worker] == min(load) else load.index(min(load))
        state: State = arguments[2] if work is finish_trial else "running"
        job = FakeJob(work, segment, state, worker, None)
        job.fault = self._faults.get((job.number, self._n_sent[job.number]))
        self._n_sent[job.number] += 1
        self.sent.append(job)
        self._open.append(job)
        return job

    def wait(self, seconds: float) -> list[Job]:
        self._on_wait()
        n_training = sum(job.work is train_segment for job in self._open)
        self.most_training = max(self.most_training, n_training)
        queues = [[job for job in self._open if job.worker == n] for n in range(self.n_workers)]
        able = [queue[0] for queue in queues if queue and queue[0].fault != "hang"]
        if not able:
            self._clock.now += seconds
            return []
        ended = self._choose(able)
        for job in ended:
            self._clock.now += self._seconds_per_job
            self._open.remove(job)
            job.outcome = self._outcome(job)
        return list(ended)

    def kill(self, job: Job) -> None:
        assert isinstance(job, FakeJob)
        self.killed.append(job.number)
        for other in self._open:
            if other.worker == job.worker:
                other.fault = "lost"

    def _outcome(self, job: FakeJob) -> object:
        if job.fault in ("lost", "memory"):
            self._held[job.worker] = None
            return WorkerLostError(out_of_memory=job.fault == "memory")
        if job.fault == "session":
            self._held[job.worker] = None
        elif job.fault is not None:
            return job.fault
        try:
            return self._trained(job) if job.work is train_segment else self._finished(job)
        except Exception as error:  # noqa: BLE001 - an engine carries it back
            return error

    def _trained(self, job: FakeJob) -> SegmentResult:
        segment, session = job.segment, self._session_for(job)
        n_rows = 1 if segment.seconds == 0 else self._rows_per_segment
        training = segment.config.training
        rows = session.advance(self._curve(job.number), training, segment.until, n_rows)
        seconds = len(rows) * self._slow.get(job.number, 1.0)
        return SegmentResult(
            rows=rows,
            best=session.best,
            reached=session.epoch >= segment.until - 1e-9,
            stop=session.stop,
            checkpoint=json.dumps(asdict(session)).encode(),
            summary="a network" if segment.begin == 0 else "",
            n_parameters=10,
            build_seconds=0.0,
            train_seconds=seconds,
            total_seconds=seconds,
        )

    def _finished(self, job: FakeJob) -> dict[str, bytes]:
        artifacts = {"curves.png": b"a picture"}
        if job.state == "completed":
            artifacts["model.keras"] = json.dumps(self._session_for(job).best).encode()
        self._held[job.worker] = None
        return artifacts

    def _session_for(self, job: FakeJob) -> FakeSession:
        segment, held = job.segment, self._held[job.worker]
        if held is not None and held[0] == segment.key and held[1].epoch == segment.begin:
            return held[1]
        if segment.begin > 0 and segment.checkpoint is None:
            raise SessionLostError(segment.key)
        fresh = segment.checkpoint is None
        session = FakeSession() if fresh else FakeSession.restored(segment.checkpoint or b"")
        self._held[job.worker] = (segment.key, session)
        return session
