"""The training of the finalists: rounds of retrainings on the workers that had the trials."""

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

import optuna

from pipelines.segment import Cause, SegmentResult, has_artifacts
from pipelines.tasks import Task
from search.dispatch import Dispatch
from search.engine import Engine
from search.finalists import verdict as verdicts
from search.finalists.selection import Attempt, missing, most_telling_first, plan
from search.settings import Settings
from search.study import Record
from search.worker_time import WorkerTime


class FinalistLog(Protocol):
    """Where people look at retrainings. It may fail: the study has the scores."""

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

    def dropped(self, number: int) -> None:
        """A finalist whose further draws are left out."""


class FinalistTraining(Dispatch[Attempt]):
    """Trains what is missing of the plan, to its end, the budget's end or an interruption.

    Attributes:
        active: What workers are at, those included whose artifacts are being made.
        n_trained: How many have ended here.
        out: Numbers of the finalists that were dropped.
    """

    NOUN = "finalists"

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
        super().__init__(
            task,
            engine,
            settings,
            data_digest=data_digest,
            spent=spent,
            started=started,
            clock=clock,
        )
        self.study = study
        self._log, self._view, self._stopped = log, view, stopped
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
    def in_work(self) -> Collection[Attempt]:
        return self.active

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
        if self._stopped() or self._best_has_no_time() or self._over():
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
            self._send(attempt, self._freed.pop() if self._freed else None)

    def _key(self, work: Attempt) -> str:
        return f"{self.study.study_name}/finalists/{work.draw}/{work.number}"

    def _until(self, work: Attempt) -> float:
        return float(work.config.training.epochs)

    def _place(self, work: Attempt) -> int:
        return self._order[work.key]

    def _trained(self, work: Attempt, result: SegmentResult) -> None:
        work.trained(result)

    def _failed(self, work: Attempt, cause: Cause, message: str) -> None:
        work.fail(cause, message)

    def _decided(self, work: Attempt) -> None:
        """The next one needs no artifacts of this one to begin."""
        if work.record.ended:
            self._keep(work)
            if work.job is None:
                self._done_with(work, {})

    def _done_with(self, work: Attempt, artifacts: Mapping[str, bytes]) -> None:
        self.active.remove(work)
        self._unshown.append((work, artifacts))

    def _gave_up(self, work: Attempt, message: str) -> None:
        """Leaves it to the next search."""
        self.active.remove(work)
        self._view.gave_up(work, message)

    def _without_artifacts(self, work: Attempt) -> None:
        self._done_with(work, {})

    def _keep(self, attempt: Attempt) -> None:
        """Stores one that has ended, and leaves out who is clearly behind by now."""
        verdicts.store(self.study, attempt.retraining())
        self.n_trained += 1
        self._view.retrained(attempt)
        before, self.out = self.out, verdicts.dropped(self.study, self._numbers)
        waiting = {each.number for each in self._queue}
        for number in sorted((self.out - before) & waiting):
            self._view.dropped(number)
        self._queue = [each for each in self._queue if each.number not in self.out]

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

    def _close(self) -> None:
        """Gives artifacts in the making a moment; shows all that was stored."""
        self._cut_off()
        self._await_artifacts()
        for attempt in [each for each in self.active if each.record.ended]:
            self._done_with(attempt, {})
        self._show()
