"""The coordinator: asks for trials, sends segments to workers, and acts on what comes back."""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Protocol

import optuna

from pipelines.segment import Cause, SegmentResult
from pipelines.tasks import Task
from search import study as studies
from search.active import Active
from search.book import TrialBook, TrialLog
from search.dispatch import Dispatch
from search.engine import Engine
from search.forecast import Forecast
from search.settings import Settings
from search.study import Record
from search.texts import clock_text
from search.worker_time import WorkerTime
from spaces.config import Config, Training
from spaces.space import Space


class View(Protocol):
    """What the user sees of a search."""

    def update(self, coordinator: "Coordinator") -> None: ...

    def ended(self, number: int, record: Record) -> None:
        """A trial has ended, or was set aside: then its state is interrupted."""


class Coordinator(Dispatch[Active]):
    """Runs one search to its end, its budget or its interruption.

    Attributes:
        active: Trials in work by number, those included whose artifacts are being made.
        stopped: The user wants it to end.
    """

    NOUN = "trials"

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
        an_epoch: Callable[[Config], float] = lambda _: 0.0,
        kept_seconds: Callable[[], float] = lambda: 0.0,
        started: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The coordinator.

        Args:
            an_epoch: Guessed seconds of an epoch of a config; 0 where nothing can be said.
            kept_seconds: What of the budget is not for trials; asked again as trials complete.
        """
        super().__init__(
            task,
            engine,
            settings,
            data_digest=data_digest,
            spent=WorkerTime(),
            started=started,
            clock=clock,
        )
        self.book = TrialBook(task, space, study, settings, training, log)
        self._study_name, self._view = study.study_name, view
        self._ask_kept_seconds, self._kept_seconds = kept_seconds, kept_seconds()
        self._forecast = Forecast(an_epoch, training.epochs)
        self._rungs = studies.rungs(task.first_rung, training.epochs)
        self._waiting: deque[Active] = deque()
        self._unstored: deque[Active] = deque()
        self._judged: list[Active] = []
        self._taken_up: set[int] = set()
        self._n_opened = self._n_set_aside = 0
        self.active: dict[int, Active] = {}
        self.stopped = False

    @property
    def in_work(self) -> Collection[Active]:
        return self.active.values()

    @property
    def seconds_left(self) -> float | None:
        """Of the budget, for trials; None without a budget."""
        budget = self.settings.budget_seconds
        return None if budget is None else budget - self._kept_seconds - self.elapsed

    @property
    def n_unfinished(self) -> int:
        """Trials that the same command would go on with."""
        n_open = len(self._waiting) + sum(not a.record.ended for a in self.active.values())
        n_open += self._n_set_aside
        return int(min(n_open, max(0, self.settings.most_trials - self.book.n_finished)))

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
            self._taken_up = {active.number for active in self._waiting}
            self._fill()
            while not self._over():
                if self._collect():
                    self._keep_judged()
                    self._fill()
                    self.book.show()  # MLflow last: no worker waits for it
                self._end_silent_ones()
                self._view.update(self)
        finally:
            self._leave_resumable()

    def _over(self) -> bool:
        left = self.seconds_left
        if self.stopped or (left is not None and left <= 0):
            return True
        if self.active or self._unstored:
            return False
        enough = self.book.n_finished >= self.settings.most_trials
        return enough or (self._too_late and not self._waiting)

    @property
    def _too_late(self) -> bool:
        """Whether not even the quickest trial that completed would fit into what is left.

        Never before each worker has had a trial: several calls, each too short for one, get on.
        """
        left = self.seconds_left
        if left is None or self._n_opened < self.n_workers:
            return False
        return self.book.quickest_seconds > left

    def _fill(self) -> None:
        """Gives every idle worker a trial: one that waits, else a new one."""
        n_finishing = sum(active.record.ended for active in self.active.values())
        for _ in range(min(self.n_workers - n_finishing, len(self._unstored))):
            self._open(self._unstored.popleft())
        busy = sum(active.training for active in self.active.values())
        for n_open in range(busy, self.n_workers):
            if self.book.n_finished + n_open >= self.settings.most_trials:
                return
            if self._waiting:
                self._open(self._waiting.popleft())
            elif not self._too_late:
                self._open(self._next())

    def _next(self) -> Active:
        """What the sampler wants; what waits in line and would not end in time is left there."""
        active = self.book.ask(self._fits)
        while active.record.preset and not self._fits(active.config):
            self._leave(active)
            active = self.book.ask(self._fits)
        return active

    def _fits(self, config: Config) -> bool:
        """Whether it would end in the time left; the first one always may begin."""
        left = self.seconds_left
        if left is None or not self._n_opened:
            return True
        return self._forecast.seconds(config) <= left

    def _leave(self, active: Active) -> None:
        """Sets a trial aside that has not begun, for the next search."""
        needed = clock_text(self._forecast.seconds(active.config))
        note = _too_long(f"about {needed}", self.seconds_left)
        active.record = replace(active.record, note=note)
        self._n_set_aside += 1
        self.book.opened(active)
        self._view.ended(active.number, replace(active.record, state="interrupted"))
        self.book.set_aside(active)

    def _open(self, active: Active) -> None:
        self._n_opened += 1
        self.active[active.number] = active
        # First: the worker need not wait for our writing.
        self._send(active, self._freed.pop() if self._freed else None)
        self.book.opened(active)

    def _key(self, work: Active) -> str:
        return f"{self._study_name}/{work.number}"

    def _until(self, work: Active) -> float:
        return self._rungs[work.record.rung]

    def _place(self, work: Active) -> int:
        return work.number

    def _trained(self, work: Active, result: SegmentResult) -> None:
        self.book.trained(work, result)
        self._forecast.learn(work.number, work.config, work.record)

    def _failed(self, work: Active, cause: Cause, message: str) -> None:
        self.book.failed(work, cause, message)

    def _go_on(self, work: Active) -> None:
        """A trial that would not end in time is set aside, for its worker can do better.

        The next search goes on with it, and then to its end.
        """
        left, needed = self.seconds_left, self._forecast.seconds_left(work.record)
        ended_or_old = work.record.ended or work.number in self._taken_up
        if ended_or_old or left is None or not 0 < left < needed:
            super()._go_on(work)
            return
        work.record = replace(work.record, note=_too_long(f"{clock_text(needed)} more", left))
        if work.last_job is not None:
            self._freed.append(work.last_job)
        self._n_set_aside += 1
        self._decided(work)

    def _decided(self, work: Active) -> None:
        if work.record.ended:
            self._view.ended(work.number, work.record)
        elif work.job is None:
            self._view.ended(work.number, replace(work.record, state="interrupted"))
        self._judged.append(work)

    def _done_with(self, work: Active, artifacts: Mapping[str, bytes]) -> None:
        self.book.closed(work, artifacts)
        del self.active[work.number]

    def _gave_up(self, work: Active, message: str) -> None:
        self.book.failed(work, "crashed", message)
        self._go_on(work)

    def _without_artifacts(self, work: Active) -> None:
        """The next search tries to make them again."""
        self.book.interrupted(work)
        del self.active[work.number]

    def _keep_judged(self) -> None:
        judged, self._judged = self._judged, []
        if judged:
            self.book.keep(judged)
        if any(active.record.state == "completed" for active in judged):
            self._kept_seconds = self._ask_kept_seconds()
        for active in judged:
            if active.job is None and active.record.ended:  # no artifacts to be made
                self._done_with(active, {})
            elif active.job is None:
                self.book.set_aside(active)
                del self.active[active.number]

    def _leave_resumable(self) -> None:
        """Gives artifacts in the making a moment, and closes the runs of all others."""
        self._cut_off()
        self._keep_judged()  # an error may have come in between
        self.book.show()
        self._await_artifacts()
        self.book.show()
        untouched = [*self._waiting, *self._unstored]
        for active in untouched:  # a search that was killed has left their runs open
            self.book.opened(active)
        for active in [*self.active.values(), *untouched]:
            self.book.interrupted(active)


def _too_long(needed: str, left: float | None) -> str:
    return f"it would take {needed}, and {clock_text(left or 0.0)} are left"
