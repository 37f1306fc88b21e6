"""Dispatch: trainings on workers, from segment to segment, and what can go wrong on the way."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from pipelines.runtime import Runtime
from pipelines.segment import (
    Cause,
    Segment,
    SegmentFailure,
    SegmentResult,
    SessionLostError,
    finish_trial,
    has_artifacts,
    train_segment,
)
from pipelines.splits import Division
from pipelines.tasks import Task
from search.engine import Engine, Job, WorkerLostError
from search.settings import Settings
from search.study import Record
from search.worker_time import WorkerTime
from spaces.config import Config
from spaces.errors import InputError, RunFailedError

TICK_SECONDS = 0.25
SEGMENT_SECONDS = 5.0
"""A segment comes back at the first epoch's end after so long: no crash loses much more."""
MOST_CRASHES = 1
"""A training whose worker died goes on from its checkpoint so many times."""
CRASHES_IN_A_ROW = 4
"""So many crashed trainings without another between are no bad luck: something is broken."""
CLOSING_SECONDS = 15.0
"""How long an interrupted search waits for the artifacts of trainings that have just ended."""


class BrokenSearchError(RunFailedError):
    """Training after training crashes; the message says how."""


def segment_seconds(settings: Settings) -> float:
    """A worker is silent for that long by itself, and then until its epoch ends."""
    return min(SEGMENT_SECONDS, settings.timeout_seconds / 3)


@dataclass(eq=False)
class Work:
    """A training that waits for a worker, is being trained, or whose artifacts are being made.

    Attributes:
        job: What a worker does for it now.
        last_job: What a worker did last for it: that one still holds the session.
        sent_at: When `job` was sent, by the dispatch's clock.
        killed: Its worker was ended by us, for it had been silent too long.
    """

    config: Config
    record: Record
    division: Division = field(default="search", kw_only=True)
    checkpoint: bytes | None = field(default=None, kw_only=True)
    job: Job | None = field(default=None, kw_only=True)
    last_job: Job | None = field(default=None, kw_only=True)
    sent_at: float = field(default=0.0, kw_only=True)
    killed: bool = field(default=False, kw_only=True)

    @property
    def training(self) -> bool:
        """Whether a worker trains it now, and does not only make its artifacts."""
        return self.job is not None and not self.record.ended


W = TypeVar("W", bound=Work)


class Dispatch(ABC, Generic[W]):
    """Sends work to the workers, listens, and deals with workers that die or fall silent.

    What a result means is for those who derive from it: they change the record of the work and
    keep what is to be kept.

    Attributes:
        spent: What the workers' time went into.
    """

    NOUN: str
    """What crashes, as people call it."""

    def __init__(
        self,
        task: Task,
        engine: Engine,
        settings: Settings,
        *,
        data_digest: str,
        spent: WorkerTime,
        started: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task, self.settings, self.spent = task, settings, spent
        self._engine, self._digest, self._clock = engine, data_digest, clock
        self._started = clock() if started is None else started
        self._crashes_in_a_row = 0
        self._arrived: list[W] = []
        self._freed: list[Job] = []

    @property
    def elapsed(self) -> float:
        return self._clock() - self._started

    @property
    def n_workers(self) -> int:
        return self._engine.n_workers

    @property
    @abstractmethod
    def in_work(self) -> Collection[W]:
        """What workers are at, or about to be."""

    @abstractmethod
    def _key(self, work: W) -> str:
        """The name of its session on a worker."""

    @abstractmethod
    def _until(self, work: W) -> float:
        """The epoch at which its next segment ends."""

    @abstractmethod
    def _place(self, work: W) -> int:
        """Where it stands in the order that `deterministic` keeps to."""

    @abstractmethod
    def _trained(self, work: W, result: SegmentResult) -> None:
        """Takes a segment's result into the record, and judges whether the training is over."""

    @abstractmethod
    def _failed(self, work: W, cause: Cause, message: str) -> None:
        """Ends the training in its record."""

    @abstractmethod
    def _decided(self, work: W) -> None:
        """Called after each segment, once the work has been sent on, if it goes on.

        Sent first, written down later: the worker need not wait for that, and what a crash in
        between loses is one segment of each training. One that has ended and was not sent gets
        no artifacts.
        """

    @abstractmethod
    def _done_with(self, work: W, artifacts: Mapping[str, bytes]) -> None:
        """Takes the artifacts of one that has ended, which is then no longer in work."""

    @abstractmethod
    def _gave_up(self, work: W, message: str) -> None:
        """It crashed too often."""

    @abstractmethod
    def _without_artifacts(self, work: W) -> None:
        """Its artifacts crashed too often; it is then no longer in work."""

    def _send(self, work: W, near: Job | None = None) -> None:
        """Sends the work on; one without a worker of its own goes where `near` was."""
        near = work.last_job or near
        record, segment = work.record, self._segment(work)
        work.sent_at, work.killed = self._clock(), False
        if record.ended:
            made = (finish_trial, segment, record.rows, record.state)
            work.job = self._engine.submit(*made, near=near)
        else:
            work.job = self._engine.submit(train_segment, segment, near=near)

    def _segment(self, work: W) -> Segment:
        settings, record = self.settings, work.record
        return Segment(
            key=self._key(work),
            task=self.task.name,
            config=work.config,
            seed=record.seed,
            how=Runtime(1, settings.precision, settings.deterministic),
            data_dir=settings.data_dir,
            data_digest=self._digest,
            begin=record.epoch,
            until=record.epoch if record.ended else self._until(work),
            # Only without a time limit a segment's end does not depend on the machine's speed.
            seconds=0.0 if settings.deterministic or record.ended else segment_seconds(settings),
            # Who trained it last still has the session.
            checkpoint=None if work.last_job else work.checkpoint,
            division=work.division,
        )

    def _collect(self) -> bool:
        """Handles what has come back; whether anything was handled.

        With `deterministic` it waits for all and keeps to their order.
        """
        self._listen()
        n_in_work = sum(work.job is not None for work in self.in_work)
        if not self._arrived or (self.settings.deterministic and len(self._arrived) < n_in_work):
            return False
        self._arrived.sort(key=self._place)
        while self._arrived:
            self._receive(self._arrived.pop(0))
        return True

    def _listen(self) -> None:
        """Waits for a moment, and notes whose jobs have come back."""
        busy = sum(work.job is not None for work in self.in_work)
        began = self._clock()
        done = self._engine.wait(TICK_SECONDS)
        self.spent.idle += max(0, self.n_workers - busy) * (self._clock() - began)
        self._arrived += [work for work in self.in_work if work.job in done]

    def _receive(self, work: W) -> None:
        job, work.job = work.job, None
        if job is None:
            return
        try:
            result = job.result()
        except InputError:  # data that are not the study's: nothing can be trained
            raise
        except SessionLostError:
            work.last_job = None
            self._send(work)
        except WorkerLostError as error:
            self._worker_lost(work, error)
        except Exception as error:  # noqa: BLE001 - one bad training must not end the search
            self._crashed(work, f"{type(error).__name__}: {error}")
        else:
            work.last_job = job
            self._returned(work, result)

    def _returned(self, work: W, result: object) -> None:
        if isinstance(result, dict):
            self._done_with(work, result)
            return
        if isinstance(result, SegmentFailure):
            self._failed(work, result.cause, result.message)
        elif isinstance(result, SegmentResult):
            self.spent.add(result, elapsed=self.elapsed, n_workers=self.n_workers)
            self._trained(work, result)
        self._crashes_in_a_row = 0
        self._go_on(work)

    def _go_on(self, work: W) -> None:
        """Goes on with one whose record says by now whether it is over."""
        record = work.record
        if record.ended and work.last_job is not None:
            self._freed.append(work.last_job)
        if not record.ended or has_artifacts(record.state, record.rows):
            self._send(work)
        self._decided(work)

    def _worker_lost(self, work: W, error: WorkerLostError) -> None:
        work.last_job = None
        if work.record.ended or not (work.killed or error.out_of_memory):
            self._crashed(work, str(error))
            return
        if work.killed:
            limit = self.settings.timeout_seconds
            self._failed(work, "timed out", f"no sign of life for {limit:g} seconds")
        else:
            self._failed(work, "out of memory", "the worker outgrew its share of memory")
        self._go_on(work)

    def _crashed(self, work: W, message: str) -> None:
        """Tries again from the checkpoint, for a crash says little about the config."""
        work.last_job = None
        work.record = replace(work.record, crashes=work.record.crashes + 1)
        if work.record.crashes <= MOST_CRASHES:
            self._send(work)
        elif work.record.ended:
            self._without_artifacts(work)
        else:
            self._gave_up(work, message)
            self._crashes_in_a_row += 1
            if self._crashes_in_a_row >= CRASHES_IN_A_ROW:
                raise BrokenSearchError(
                    f"{CRASHES_IN_A_ROW} {self.NOUN} in a row crashed: {message}"
                )

    def _end_silent_ones(self) -> None:
        for work in self.in_work:
            if work.job and self._clock() - work.sent_at > self.settings.timeout_seconds:
                work.sent_at, work.killed = self._clock(), True
                self._engine.kill(work.job)

    def _cut_off(self) -> None:
        """Counts what workers are training now, which nobody waits for any more."""
        now = self._clock()
        self.spent.cut_off += sum(now - work.sent_at for work in self.in_work if work.training)

    def _await_artifacts(self) -> None:
        """Gives artifacts in the making a moment, at the end."""
        deadline = self._clock() + CLOSING_SECONDS
        while self._clock() < deadline and any(work.record.ended for work in self.in_work):
            self._listen()
            arrived, self._arrived = self._arrived, []
            for work in arrived:
                if work.record.ended:
                    self._receive(work)
