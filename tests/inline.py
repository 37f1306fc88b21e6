"""An engine that does real work in the test's own process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from search.engine import Job, WorkerLostError

Fault = Literal["lost", "memory", "hang"]


@dataclass(eq=False)
class InlineJob:
    value: object = None
    error: Exception | None = None
    hangs: bool = False

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class InlineEngine:
    """Does work when it is sent, and hands it back at the next wait.

    Attributes:
        sent: All work with its arguments, in order.
        most_open: The most jobs that were open at one time.
    """

    def __init__(
        self,
        n_workers: int = 2,
        faults: Mapping[int, Fault] | None = None,
        on_lost: Callable[[], None] = lambda: None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """The engine.

        Args:
            faults: What goes wrong, by the number of the job from 0.
            on_lost: Called when a worker is lost, which forgets what it held.
        """
        self.n_workers = n_workers
        self.sent: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.most_open = 0
        self._faults, self._on_lost, self._on_wait = faults or {}, on_lost, on_wait
        self._open: list[InlineJob] = []

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Job | None) -> InlineJob:
        fault = self._faults.get(len(self.sent))
        self.sent.append((work, arguments))
        job = InlineJob(hangs=fault == "hang")
        if fault in ("lost", "memory"):
            job.error = WorkerLostError(out_of_memory=fault == "memory")
            self._on_lost()
        elif not job.hangs:
            try:
                job.value = work(*arguments)
            except Exception as error:  # noqa: BLE001 - an engine carries it back
                job.error = error
        self._open.append(job)
        self.most_open = max(self.most_open, len(self._open))
        return job

    def wait(self, seconds: float) -> list[Job]:
        self._on_wait()
        done: list[Job] = [job for job in self._open if not job.hangs]
        self._open = [job for job in self._open if job.hangs]
        return done

    def kill(self, job: Job) -> None:
        assert isinstance(job, InlineJob)
        job.hangs, job.error = False, WorkerLostError(out_of_memory=False)
