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
    has_artifacts,
    train_segment,
)
from pipelines.tasks import Task
from search import study as studies
from search.active import Active
from search.book import TrialBook, TrialLog
from search.engine import Engine, Job, WorkerLostError
from search.settings import Settings
from search.study import Record
from search.worker_time import WorkerTime
from spaces.config import Training
from spaces.errors import InputError, RunFailedError
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


class BrokenSearchError(RunFailedError):
    """Trial after trial crashes; the message says how."""


class View(Protocol):
    """What the user sees of a search."""

    def update(self, coordinator: "Coordinator") -> None: ...

    def ended(self, number: int, record: Record) -> None: ...


class Coordinator:
    """Runs one search to its end, its budget or its interruption.

    Attributes:
        active: Trials in work by number, those included whose artifacts are being made.
        spent: What the workers' time went into since this search began.
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
        started: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task, self.settings = task, settings
        self.book = TrialBook(task, space, study, settings, training, log)
        self._study_name, self._digest = study.study_name, data_digest
        self._engine, self._view, self._clock = engine, view, clock
        self._rungs = studies.rungs(task.first_rung, training.epochs)
        self._started = clock() if started is None else started
        self._crashes_in_a_row = 0
        self._waiting: deque[Active] = deque()
        self._unstored: deque[Active] = deque()
        self._arrived: list[Active] = []
        self._freed: list[Job] = []
        self._judged: list[Active] = []
        self.active: dict[int, Active] = {}
        self.spent = WorkerTime()
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
        n_open = len(self._waiting) + sum(not a.record.ended for a in self.active.values())
        return min(n_open, max(0, self.settings.trials - self.book.n_finished))

    def stop(self) -> None:
        """Ends the search at the next tick; what is in work stays resumable."""
        self.stopped = True

    def run(self) -> None:
        """Searches until the trials are done, the budget is spent or `stop` is called.

        Raises:
            BrokenSearchError: one trial after the other crashes.
        """
        try:
            for active in self.book.take_up():
                (self._unstored if active.record.ended else self._waiting).append(active)
            self._fill()
            while not self._over():
                if self._collect():
                    self._fill()
                    self.book.show()  # MLflow last: no worker waits for it
                self._end_silent_ones()
                self._view.update(self)
        finally:
            self._leave_resumable()

    def _over(self) -> bool:
        budget = self.settings.budget_seconds
        if self.stopped or (budget is not None and self.elapsed >= budget):
            return True
        idle = not (self.active or self._unstored)
        return idle and self.book.n_finished >= self.settings.trials

    def _fill(self) -> None:
        """Gives every idle worker a trial: one that waits, else a new one."""
        n_finishing = sum(active.record.ended for active in self.active.values())
        for _ in range(min(self.n_workers - n_finishing, len(self._unstored))):
            self._open(self._unstored.popleft())
        busy = sum(active.training for active in self.active.values())
        for n_open in range(busy, self.n_workers):
            if self.book.n_finished + n_open >= self.settings.trials:
                return
            self._open(self._waiting.popleft() if self._waiting else self.book.ask())

    def _open(self, active: Active) -> None:
        self.active[active.number] = active
        near = self._freed.pop() if self._freed else None
        self._go_on(active, near)  # first: the worker need not wait for our writing
        self.book.opened(active)

    def _train(self, active: Active, near: Job | None) -> None:
        """Sends the trial on to the next rung."""
        # No time limit but zero gives segments whose ends do not depend on the machine's speed.
        seconds = 0.0 if self.settings.deterministic else SEGMENT_SECONDS
        segment = self._segment(active, self._rungs[active.record.rung], seconds)
        self._submit(active, near, train_segment, segment)

    def _finish(self, active: Active, near: Job | None) -> None:
        """Has a worker make the artifacts of a trial that has ended."""
        record = active.record
        segment = self._segment(active, record.epoch, 0.0)
        self._submit(active, near, finish_trial, segment, record.rows, record.state)

    def _submit(
        self, active: Active, near: Job | None, work: Callable[..., object], *arguments: object
    ) -> None:
        active.sent_at, active.killed = self._clock(), False
        active.job = self._engine.submit(work, *arguments, near=near)

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
        self._listen()
        n_in_work = sum(active.job is not None for active in self.active.values())
        if not self._arrived or (self.settings.deterministic and len(self._arrived) < n_in_work):
            return False
        self._arrived.sort(key=lambda active: active.number)
        while self._arrived:
            self._receive(self._arrived.pop(0))
        self._keep_judged()
        return True

    def _listen(self) -> None:
        """Waits for a moment, and notes whose jobs have come back."""
        busy = sum(active.job is not None for active in self.active.values())
        began = self._clock()
        done = self._engine.wait(TICK_SECONDS)
        self.spent.idle += max(0, self.n_workers - busy) * (self._clock() - began)
        self._arrived += [active for active in self.active.values() if active.job in done]

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
            self.spent.add(result, elapsed=self.elapsed, n_workers=self.n_workers)
            self.book.trained(active, result)
        elif isinstance(result, dict):
            self.book.closed(active, result)
            del self.active[active.number]
            return
        self._crashes_in_a_row = 0
        self._decided(active)

    def _decided(self, active: Active) -> None:
        """Goes on with a trial after the book has judged what happened to it.

        The work is sent off before anything is written: the worker need not wait for that, and
        what a crash in between loses is one segment of each trial.
        """
        if active.record.ended:
            self._view.ended(active.number, active.record)
            if active.last_job is not None:
                self._freed.append(active.last_job)
        if not active.record.ended or has_artifacts(active.record.state, active.record.rows):
            self._go_on(active)
        self._judged.append(active)

    def _keep_judged(self) -> None:
        judged, self._judged = self._judged, []
        if judged:
            self.book.keep(judged)
        for active in judged:
            if active.job is None:  # no artifacts to be made
                self.book.closed(active, {})
                del self.active[active.number]

    def _go_on(self, active: Active, near: Job | None = None) -> None:
        """Sends the trial on; one without a worker of its own goes where `near` was."""
        (self._finish if active.record.ended else self._train)(active, active.last_job or near)

    def _worker_lost(self, active: Active, error: WorkerLostError) -> None:
        active.last_job = None
        if active.record.ended or not (active.killed or error.out_of_memory):
            self._crashed(active, str(error))
            return
        if active.killed:
            limit = self.settings.timeout_seconds
            self.book.failed(active, "timed out", f"no sign of life for {limit:g} seconds")
        else:
            self.book.failed(active, "out of memory", "the worker outgrew its share of memory")
        self._decided(active)

    def _crashed(self, active: Active, message: str) -> None:
        """Tries again from the checkpoint, for a crash says little about the config."""
        active.last_job = None
        active.record = replace(active.record, crashes=active.record.crashes + 1)
        if active.record.crashes <= MOST_CRASHES:
            self._go_on(active)
        elif active.record.ended:  # the next search tries to make its artifacts again
            self.book.interrupted(active)
            del self.active[active.number]
        else:
            self.book.failed(active, "crashed", message)
            self._decided(active)
            self._crashes_in_a_row += 1
            if self._crashes_in_a_row >= CRASHES_IN_A_ROW:
                raise BrokenSearchError(f"{CRASHES_IN_A_ROW} trials in a row crashed: {message}")

    def _end_silent_ones(self) -> None:
        for active in self.active.values():
            if active.job and self._clock() - active.sent_at > self.settings.timeout_seconds:
                active.sent_at, active.killed = self._clock(), True
                self._engine.kill(active.job)

    def _leave_resumable(self) -> None:
        """Gives artifacts in the making a moment, and closes the runs of all others."""
        self._keep_judged()  # an error may have come in between
        self.book.show()
        deadline = self._clock() + CLOSING_SECONDS
        while self._clock() < deadline and any(a.record.ended for a in self.active.values()):
            self._listen()
            arrived, self._arrived = self._arrived, []
            for active in arrived:
                if active.record.ended:
                    self._receive(active)
            self._keep_judged()
        self.book.show()
        untouched = [*self._waiting, *self._unstored]
        for active in untouched:  # a search that was killed has left their runs open
            self.book.opened(active)
        for active in [*self.active.values(), *untouched]:
            self.book.interrupted(active)
