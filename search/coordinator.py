"""The coordinator: asks for trials, sends segments to workers, and acts on what comes back."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import optuna

from pipelines.runtime import Runtime
from pipelines.segment import (
    Segment,
    SegmentFailure,
    SegmentResult,
    SessionLostError,
    finish_trial,
    train_segment,
)
from pipelines.tasks import Task
from search import study as studies
from search.active import Active
from search.book import TrialBook, TrialLog
from search.engine import Engine, Job, WorkerLostError
from search.settings import Settings
from search.study import Record
from spaces.config import Training
from spaces.errors import InputError
from spaces.space import Space

TICK_SECONDS = 0.25
SEGMENT_SECONDS = 20.0
"""A segment comes back at the first epoch's end after so long: no crash loses much more."""
MOST_CRASHES = 1
"""A trial whose worker died goes on from its checkpoint so many times."""
CRASHES_IN_A_ROW = 4
"""So many crashed trials without another between are no bad luck: something is broken."""
CLOSING_SECONDS = 15.0
"""How long an interrupted search waits for the artifacts of trials that have just ended."""


class BrokenSearchError(RuntimeError):
    """Trial after trial crashes; the message says how."""


class View(Protocol):
    """What the user sees of a search."""

    def update(self, coordinator: "Coordinator") -> None: ...

    def ended(self, number: int, record: Record) -> None: ...


class Coordinator:
    """Runs one search to its end, its budget or its interruption.

    Attributes:
        active: Trials in work by number, those included whose artifacts are being made.
        train_seconds: What workers spent in training and validation since this search began.
        stopped: The user wants it to end.
    """

    def __init__(
        self,
        task: Task,
        space: Space,
        study: optuna.Study,
        engine: Engine,
        settings: Settings,
        *,
        training: Training,
        data_digest: str,
        log: TrialLog,
        view: View,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task, self.settings = task, settings
        self.book = TrialBook(task, space, study, settings, training, log)
        self._study_name, self._digest = study.study_name, data_digest
        self._engine, self._view, self._clock = engine, view, clock
        self._rungs = studies.rungs(task.first_rung, training.epochs)
        self._started = clock()
        self._crashes_in_a_row = 0
        self._waiting: deque[Active] = deque()
        self._arrived: list[Active] = []
        self.active: dict[int, Active] = {}
        self.train_seconds = 0.0
        self.stopped = False

    @property
    def elapsed(self) -> float:
        return self._clock() - self._started

    @property
    def n_workers(self) -> int:
        return self._engine.n_workers

    @property
    def n_unfinished(self) -> int:
        """Trials that the same command would go on with."""
        return len(self._waiting) + sum(not a.record.ended for a in self.active.values())

    def stop(self) -> None:
        """Ends the search at the next tick; what is in work stays resumable."""
        self.stopped = True

    def run(self) -> None:
        """Searches until the trials are done, the budget is spent or `stop` is called.

        Raises:
            BrokenSearchError: one trial after the other crashes.
        """
        try:
            self._take_up()
            self._fill()
            while not self._over():
                if self._collect():
                    self._fill()
                self._end_silent_ones()
                self._view.update(self)
        finally:
            self._leave_resumable()

    def _over(self) -> bool:
        budget = self.settings.budget_seconds
        if self.stopped or (budget is not None and self.elapsed >= budget):
            return True
        in_work = self.active or self._waiting
        return not in_work and self.book.n_finished >= self.settings.trials

    def _take_up(self) -> None:
        for active in self.book.take_up():
            if active.record.ended:
                self.book.reopened(active)
                self.active[active.number] = active
                self._finish(active)
            else:
                self._waiting.append(active)

    def _fill(self) -> None:
        """Gives every idle worker a trial: one that waits, else a new one."""
        busy = sum(active.training for active in self.active.values())
        for n_open in range(busy, self.n_workers):
            if self._waiting:
                active = self._waiting.popleft()
            elif self.book.n_finished + n_open < self.settings.trials:
                active = self.book.ask()
            else:
                return
            self.active[active.number] = active
            self._train(active)  # first, so that the worker need not wait for our writing
            self.book.opened(active)

    def _train(self, active: Active) -> None:
        """Sends the trial on to the next rung."""
        # No time limit but zero gives segments whose ends do not depend on the machine's speed.
        seconds = 0.0 if self.settings.deterministic else SEGMENT_SECONDS
        segment = self._segment(active, self._rungs[active.record.rung], seconds)
        self._submit(active, train_segment, segment)

    def _finish(self, active: Active) -> None:
        """Has a worker make the artifacts of a trial that has ended."""
        record = active.record
        segment = self._segment(active, record.epoch, 0.0)
        self._submit(active, finish_trial, segment, record.rows, record.state)

    def _submit(self, active: Active, work: Callable[..., object], *arguments: object) -> None:
        active.sent_at, active.killed = self._clock(), False
        active.job = self._engine.submit(work, *arguments, near=active.last_job)

    def _segment(self, active: Active, until: float, seconds: float) -> Segment:
        settings = self.settings
        return Segment(
            key=f"{self._study_name}/{active.number}",
            task=self.task.name,
            config=active.config,
            seed=active.record.seed,
            how=Runtime(1, settings.precision, settings.deterministic),
            data_dir=settings.data_dir,
            data_digest=self._digest,
            begin=active.record.epoch,
            until=until,
            seconds=seconds,
            # Who trained it last still has the session.
            checkpoint=None if active.last_job else active.checkpoint,
        )

    def _collect(self) -> bool:
        """Handles what has come back; whether anything was handled.

        With `deterministic` it waits for all and keeps to the order of the numbers.
        """
        done = self._engine.wait(TICK_SECONDS)
        in_work = list(self.active.values())
        self._arrived += [active for active in in_work if active.job in done]
        if self.settings.deterministic and len(self._arrived) < sum(
            active.job is not None for active in in_work
        ):
            return False
        arrived, self._arrived = sorted(self._arrived, key=lambda active: active.number), []
        for active in arrived:
            self._receive(active)
        return bool(arrived)

    def _receive(self, active: Active) -> None:
        job, active.job = active.job, None
        if job is None:
            return
        try:
            result = job.result()
        except InputError:  # data that are not the study's: no trial can be trained
            raise
        except SessionLostError:
            active.last_job = None
            self._go_on(active)
        except WorkerLostError as error:
            self._worker_lost(active, error)
        except Exception as error:  # noqa: BLE001 - one bad trial must not end the search
            self._crashed(active, f"{type(error).__name__}: {error}")
        else:
            self._returned(active, job, result)

    def _returned(self, active: Active, job: Job, result: object) -> None:
        active.last_job = job
        if isinstance(result, SegmentFailure):
            self.book.failed(active, result.cause, result.message)
        elif isinstance(result, SegmentResult):
            self.train_seconds += result.train_seconds
            self.book.trained(active, result)
        elif isinstance(result, dict):
            self._close(active, result)
            return
        self._crashes_in_a_row = 0
        self._decided(active)

    def _decided(self, active: Active) -> None:
        """Goes on with a trial after the book has taken in what happened to it."""
        if active.record.ended:
            self._view.ended(active.number, active.record)
        self._go_on(active)

    def _go_on(self, active: Active) -> None:
        if active.record.ended:
            self._finish(active)
        else:
            self._train(active)

    def _worker_lost(self, active: Active, error: WorkerLostError) -> None:
        active.last_job = None
        if active.record.ended or not (active.killed or error.out_of_memory):
            self._crashed(active, str(error))
            return
        if active.killed:
            limit = self.settings.timeout_seconds
            self.book.failed(active, "timed out", f"no sign of life for {limit:g} seconds")
        else:
            message = "the worker outgrew its share of the memory"
            self.book.failed(active, "out of memory", message)
        self._decided(active)

    def _crashed(self, active: Active, message: str) -> None:
        """Tries again from the checkpoint, for a crash says little about the config."""
        active.last_job = None
        active.record = replace(active.record, crashes=active.record.crashes + 1)
        if active.record.crashes <= MOST_CRASHES:
            self._go_on(active)
        elif active.record.ended:  # the trial itself ended well: only its pictures are missing
            self._close(active, {})
        else:
            self.book.failed(active, "crashed", message)
            self._decided(active)
            self._crashes_in_a_row += 1
            if self._crashes_in_a_row >= CRASHES_IN_A_ROW:
                raise BrokenSearchError(f"{CRASHES_IN_A_ROW} trials in a row crashed: {message}")

    def _close(self, active: Active, artifacts: dict[str, bytes]) -> None:
        self.book.closed(active, artifacts)
        del self.active[active.number]

    def _end_silent_ones(self) -> None:
        for active in self.active.values():
            silent = self._clock() - active.sent_at
            if active.job and not active.killed and silent > self.settings.timeout_seconds:
                active.killed = True
                self._engine.kill(active.job)

    def _leave_resumable(self) -> None:
        """Gives artifacts in the making a moment, and closes the runs of all others."""
        deadline = self._clock() + CLOSING_SECONDS
        while self._clock() < deadline and any(
            active.record.ended and active.job for active in self.active.values()
        ):
            done = self._engine.wait(TICK_SECONDS)
            for active in list(self.active.values()):
                if active.record.ended and active.job in done:
                    self._receive(active)
        for active in self.active.values():
            self.book.interrupted(active)
