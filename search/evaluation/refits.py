"""Refits: whole trainings of a set length on the engine, each for its network at the end."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipelines.refit import settled
from pipelines.segment import Segment, SegmentFailure, SegmentResult, train_segment
from search.dispatch import MOST_CRASHES, TICK_SECONDS
from search.engine import Engine, Job, WorkerLostError
from search.evaluation.refit_store import RefitStore


@dataclass(eq=False)
class Refit:
    """A training on its way, and what came of it.

    Attributes:
        segment: What is left of it to be trained.
        reached: It is trained to its end.
        network: Content of a `.keras` file; empty until it is there.
        cause: Why there will be none.
        train_seconds: 0 if an earlier evaluation has trained it.
        killed: Its worker was ended by us, for it had been silent too long.
    """

    segment: Segment
    reached: bool = False
    network: bytes = b""
    cause: str = ""
    train_seconds: float = 0.0
    crashes: int = 0
    sent_at: float = 0.0
    killed: bool = False

    @property
    def ended(self) -> bool:
        return bool(self.network or self.cause)


class Refitting:
    """Trains segments to their ends; a worker that dies costs one of their parts.

    What is in the store is not trained again.
    """

    def __init__(
        self,
        engine: Engine,
        store: RefitStore,
        *,
        timeout_seconds: float,
        show: Callable[[Refit], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._store, self._timeout_seconds = engine, store, timeout_seconds
        self._show, self._clock = show, clock
        self._open: dict[Job, Refit] = {}

    def run(self, segments: Sequence[Segment]) -> list[Refit]:
        """What came of each, in their order.

        Raises:
            InputError: a worker's data are not the study's.
        """
        refits = [Refit(segment, network=self._store.load(segment)) for segment in segments]
        for refit in refits:
            if refit.ended:
                self._show(refit)
        waiting = deque(refit for refit in refits if not refit.ended)
        while waiting or self._open:
            while waiting and len(self._open) < self._engine.n_workers:
                self._send(waiting.popleft(), None)
            for job in self._engine.wait(TICK_SECONDS):
                refit = self._open.pop(job)
                self._receive(refit, job)
                if refit.ended:
                    self._show(refit)
            self._end_silent_ones()
        return refits

    def _send(self, refit: Refit, near: Job | None) -> None:
        refit.sent_at, refit.killed = self._clock(), False
        work = settled if refit.reached else train_segment
        self._open[self._engine.submit(work, refit.segment, near=near)] = refit

    def _receive(self, refit: Refit, job: Job) -> None:
        try:
            result = job.result()
        except WorkerLostError as error:
            self._lost(refit, error)
            return
        if isinstance(result, bytes):
            refit.network = result
            self._store.save(refit.segment, result)
        elif isinstance(result, SegmentFailure):
            refit.cause = result.message
        elif isinstance(result, SegmentResult):
            self._trained(refit, result, job)

    def _trained(self, refit: Refit, result: SegmentResult, job: Job) -> None:
        epoch = result.rows[-1]["epoch"]
        if result.stop == "diverged":
            refit.cause = f"it diverged: the loss was no number at epoch {round(epoch, 2):g}"
            return
        refit.train_seconds += result.train_seconds
        refit.reached = result.reached
        refit.segment = replace(refit.segment, begin=epoch, checkpoint=result.checkpoint)
        self._send(refit, job)

    def _lost(self, refit: Refit, error: WorkerLostError) -> None:
        """Goes on from the checkpoint, once."""
        refit.crashes += 1
        if refit.killed:
            refit.cause = f"no sign of life for {self._timeout_seconds:g} seconds"
        elif error.out_of_memory or refit.crashes > MOST_CRASHES:
            refit.cause = str(error)
        else:
            self._send(refit, None)

    def _end_silent_ones(self) -> None:
        for job, refit in self._open.items():
            if not refit.killed and self._clock() - refit.sent_at > self._timeout_seconds:
                refit.killed = True
                self._engine.kill(job)
