"""The training of the finalists: rounds of retrainings on the workers that had the trials."""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
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
from search.coordinator import (
    CLOSING_SECONDS,
    CRASHES_IN_A_ROW,
    MOST_CRASHES,
    SEGMENT_SECONDS,
    TICK_SECONDS,
    BrokenSearchError,
)
from search.engine import Engine, Job, WorkerLostError
from search.finalists import verdict as verdicts
from search.finalists.selection import Attempt, missing, most_telling_first, plan
from search.settings import Settings
from search.study import Record
from search.worker_time import WorkerTime
from spaces.errors import InputError


class FinalistLog(Protocol):
    """Where people look at retrainings. It may fail without harm: the study is the record."""

    def finalist(
        self,
        name: str,
        number: int,
        draw: int,
        record: Record,
        artifacts: Mapping[str, bytes],
    ) -> str:
        """Shows a retraining that has ended; returns the id of its run, empty if it failed."""


class FinalistView(Protocol):
    """What the user sees of the finalists."""

    def update_finalists(self, training: "FinalistTraining") -> None: ...

    def retrained(self, attempt: Attempt) -> None: ...

    def gave_up(self, attempt: Attempt, message: str) -> None: ...

    def no_time(self, attempt: Attempt, seconds: float) -> None: ...

    def dropped(self, number: int) -> None: ...


class FinalistTraining:
    """Trains what is missing of the plan, to its end, the budget's end or an interruption.

    Attributes:
        active: What workers are at, those included whose artifacts are being made.
        n_trained: How many have ended here.
        out: Numbers of the finalists that were dropped.
    """

    def __init__(
        self,
        task: Task,
        study: optuna.Study,
        engine: Engine,
        settings: Settings,
        *,
        data_digest: str,
        log: FinalistLog,
        view: FinalistView,
        spent: WorkerTime,
        stopped: Callable[[], bool],
        started: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task, self.study, self.settings = task, study, settings
        self._engine, self._log, self._view, self._digest = engine, log, view, data_digest
        self._spent, self._stopped, self._started, self._clock = spent, stopped, started, clock
        self._crashes_in_a_row = 0
        self._freed: list[Job] = []
        self._arrived: list[Attempt] = []
        self._unshown: deque[tuple[Attempt, Mapping[str, bytes]]] = deque()
        planned = plan(study, task, settings)
        self._order = {attempt.key: place for place, attempt in enumerate(planned)}
        self._queue = most_telling_first(
            missing(study, task, settings), self._time_left() * engine.n_workers
        )
        self._numbers = {attempt.number for attempt in planned}
        self.active: list[Attempt] = []
        self.n_trained = 0
        self.out = verdicts.dropped(study, self._numbers)

    @property
    def elapsed(self) -> float:
        return self._clock() - self._started

    @property
    def n_workers(self) -> int:
        return self._engine.n_workers

    @property
    def n_open(self) -> int:
        """Retrainings that are still to end here."""
        return len(self._queue) + sum(not attempt.record.ended for attempt in self.active)

    def run(self) -> None:
        """Trains.

        Raises:
            BrokenSearchError: one retraining after the other crashes.
            InputError: a worker's data are not the study's.
        """
        if self._over() or self._best_has_no_time():
            return
        try:
            self._fill()
            while self.active and not self._over():
                if self._collect():
                    self._fill()
                    self._show()  # MLflow last: no worker waits for it
                self._end_silent_ones()
                self._view.update_finalists(self)
        finally:
            self._close()

    def _time_left(self) -> float:
        budget = self.settings.budget_seconds
        return math.inf if budget is None else budget - self.elapsed

    def _over(self) -> bool:
        return self._stopped() or self._time_left() <= 0

    def _best_has_no_time(self) -> bool:
        """Whether the search's best cannot be trained again: without it nothing can be decided."""
        if not self._queue or self._order[self._queue[0].key] > 0:
            return False  # there is nothing to do, or it has been trained again already
        too_long = self._queue[0].expected_seconds > self._time_left()
        if too_long:
            self._view.no_time(self._queue[0], self._time_left())
        return too_long

    def _fill(self) -> None:
        """Gives every idle worker a retraining that should end in time: half of one is lost."""
        busy = sum(attempt.training for attempt in self.active)
        left = self._time_left()
        fitting = [attempt for attempt in self._queue if attempt.expected_seconds <= left]
        for attempt in fitting[: max(0, self.n_workers - busy)]:
            self._queue.remove(attempt)
            self.active.append(attempt)
            self._go_on(attempt, self._freed.pop() if self._freed else None)

    def _go_on(self, attempt: Attempt, near: Job | None = None) -> None:
        """Sends it on; one without a worker of its own goes where `near` was."""
        near = attempt.last_job or near
        record = attempt.record
        attempt.sent_at, attempt.killed = self._clock(), False
        segment = self._segment(attempt)
        if record.ended:
            work = (finish_trial, segment, record.rows, record.state)
            attempt.job = self._engine.submit(*work, near=near)
        else:
            attempt.job = self._engine.submit(train_segment, segment, near=near)

    def _segment(self, attempt: Attempt) -> Segment:
        settings, record = self.settings, attempt.record
        return Segment(
            key=f"{self.study.study_name}/finalists/{attempt.draw}/{attempt.number}",
            task=self.task.name,
            config=attempt.config,
            seed=record.seed,
            how=Runtime(1, settings.precision, settings.deterministic),
            data_dir=settings.data_dir,
            data_digest=self._digest,
            begin=record.epoch,
            until=float(attempt.config.training.epochs),
            # As for trials: no segment may end where the machine's speed says.
            seconds=0.0 if settings.deterministic else SEGMENT_SECONDS,
            checkpoint=None if attempt.last_job else attempt.checkpoint,
            division=attempt.division,
        )

    def _collect(self) -> bool:
        """Handles what has come back; whether anything was handled.

        With `deterministic` it waits for all, and keeps to the order of the plan.
        """
        self._listen()
        n_in_work = sum(attempt.job is not None for attempt in self.active)
        if not self._arrived or (self.settings.deterministic and len(self._arrived) < n_in_work):
            return False
        arrived, self._arrived = self._arrived, []
        for attempt in sorted(arrived, key=lambda each: self._order[each.key]):
            self._receive(attempt)
        return True

    def _listen(self) -> None:
        busy = sum(attempt.job is not None for attempt in self.active)
        began = self._clock()
        done = self._engine.wait(TICK_SECONDS)
        self._spent.idle += max(0, self.n_workers - busy) * (self._clock() - began)
        self._arrived += [attempt for attempt in self.active if attempt.job in done]

    def _receive(self, attempt: Attempt) -> None:
        job, attempt.job = attempt.job, None
        if job is None:
            return
        try:
            result = job.result()
        except InputError:  # data that are not the study's
            raise
        except SessionLostError:
            attempt.last_job = None
            self._go_on(attempt)
        except WorkerLostError as error:
            self._worker_lost(attempt, error)
        except Exception as error:  # noqa: BLE001 - one bad retraining must not end them all
            self._crashed(attempt, f"{type(error).__name__}: {error}")
        else:
            attempt.last_job = job
            self._crashes_in_a_row = 0
            self._returned(attempt, result)

    def _returned(self, attempt: Attempt, result: object) -> None:
        if isinstance(result, dict):
            self._done_with(attempt, result)
        else:
            if isinstance(result, SegmentResult):
                self._spent.add(result, elapsed=self.elapsed, n_workers=self.n_workers)
                attempt.trained(result)
            elif isinstance(result, SegmentFailure):
                attempt.fail(result.cause, result.message)
            self._judged(attempt)

    def _judged(self, attempt: Attempt) -> None:
        """Goes on with one that may have ended. The next one needs no artifacts to begin."""
        record = attempt.record
        if record.ended:
            self._keep(attempt)
            if attempt.last_job is not None:
                self._freed.append(attempt.last_job)
        if not record.ended or has_artifacts(record.state, record.rows):
            self._go_on(attempt)
        else:
            self._done_with(attempt, {})

    def _keep(self, attempt: Attempt) -> None:
        """Stores one that has ended, and leaves out who is clearly behind by now."""
        verdicts.store(self.study, attempt.retraining())
        self.n_trained += 1
        self._view.retrained(attempt)
        before, self.out = self.out, verdicts.dropped(self.study, self._numbers)
        for number in sorted(self.out - before):
            self._view.dropped(number)
        self._queue = [each for each in self._queue if each.number not in self.out]

    def _done_with(self, attempt: Attempt, artifacts: Mapping[str, bytes]) -> None:
        self.active.remove(attempt)
        self._unshown.append((attempt, artifacts))

    def _show(self) -> None:
        """Shows people what was stored since the last call.

        The study gets the run's id last: whose run has one has its model.
        """
        while self._unshown:
            attempt, artifacts = self._unshown.popleft()
            record = attempt.record
            run_id = self._log.finalist(
                attempt.name, attempt.number, attempt.draw, record, artifacts
            )
            if run_id and (artifacts or not has_artifacts(record.state, record.rows)):
                attempt.record = replace(record, run_id=run_id)
                verdicts.store(self.study, attempt.retraining())

    def _worker_lost(self, attempt: Attempt, error: WorkerLostError) -> None:
        attempt.last_job = None
        if attempt.record.ended or not (attempt.killed or error.out_of_memory):
            self._crashed(attempt, str(error))
            return
        if attempt.killed:
            limit = self.settings.timeout_seconds
            attempt.fail("timed out", f"no sign of life for {limit:g} seconds")
        else:
            attempt.fail("out of memory", "the worker outgrew its share of memory")
        self._judged(attempt)

    def _crashed(self, attempt: Attempt, message: str) -> None:
        """Tries again from the checkpoint, and the second time leaves it to the next search."""
        attempt.last_job = None
        attempt.record = replace(attempt.record, crashes=attempt.record.crashes + 1)
        if attempt.record.crashes <= MOST_CRASHES:
            self._go_on(attempt)
        elif attempt.record.ended:
            self._done_with(attempt, {})
        else:
            self.active.remove(attempt)
            self._view.gave_up(attempt, message)
            self._crashes_in_a_row += 1
            if self._crashes_in_a_row >= CRASHES_IN_A_ROW:
                raise BrokenSearchError(
                    f"{CRASHES_IN_A_ROW} finalists in a row crashed: {message}"
                )

    def _end_silent_ones(self) -> None:
        for attempt in self.active:
            if attempt.job and self._clock() - attempt.sent_at > self.settings.timeout_seconds:
                attempt.sent_at, attempt.killed = self._clock(), True
                self._engine.kill(attempt.job)

    def _close(self) -> None:
        """Gives artifacts in the making a moment; shows all that was stored."""
        deadline = self._clock() + CLOSING_SECONDS
        while self._clock() < deadline and any(each.record.ended for each in self.active):
            self._listen()
            arrived, self._arrived = self._arrived, []
            for attempt in arrived:
                if attempt.record.ended:
                    self._receive(attempt)
        for attempt in [each for each in self.active if each.record.ended]:
            self._done_with(attempt, {})
        self._show()
