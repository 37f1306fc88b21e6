"""The engine: Dask workers that train segments, one single-threaded process a core."""

import concurrent.futures
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import dask
import distributed

# Workers must not hear the terminal's Ctrl-C: the coordinator decides what it means.
_PRELOAD = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
_CONFIG = {
    # A task whose worker died is not run again by Dask: the coordinator has its checkpoint.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",
}
RESTART_SECONDS = 30


class WorkerLostError(RuntimeError):
    """The worker died at the job; `out_of_memory` if its nanny ended it for its size."""

    def __init__(self, *, out_of_memory: bool) -> None:
        super().__init__("out of memory" if out_of_memory else "the worker process died")
        self.out_of_memory = out_of_memory


class Job(Protocol):
    """Work that was sent off."""

    def result(self) -> Any:  # noqa: ANN401 - whatever the work returns
        """What the work returned.

        Raises:
            WorkerLostError: its worker died.
            Exception: what the work raised.
        """


class Engine(Protocol):
    """Runs work on workers; the coordinator sends each at most one training job at a time."""

    n_workers: int

    def submit(self, work: Callable[..., Any], *arguments: object, near: Job | None) -> Job:
        """Sends work off, if possible to the worker that did `near`."""

    def wait(self, seconds: float) -> list[Job]:
        """The jobs that have ended since, at the latest after so many seconds."""

    def kill(self, job: Job) -> None:
        """Restarts the worker that is at `job`, which then ends with WorkerLostError."""


class DaskJob:
    def __init__(self, future: distributed.Future, worker: str) -> None:
        self.future = future
        self.worker = worker
        self.out_of_memory = False

    def result(self) -> Any:  # noqa: ANN401 - whatever the work returns
        try:
            return self.future.result()[1]
        except (distributed.KilledWorker, concurrent.futures.CancelledError) as error:
            raise WorkerLostError(out_of_memory=self.out_of_memory) from error


class DaskEngine:
    """Jobs on the workers of a Dask client."""

    def __init__(self, client: distributed.Client, n_workers: int) -> None:
        self._client = client
        self._open: list[DaskJob] = []
        self._n_out_of_memory = 0
        self.n_workers = n_workers

    def submit(self, work: Callable[..., Any], *arguments: object, near: Job | None) -> DaskJob:
        worker = near.worker if isinstance(near, DaskJob) else None
        worker = worker or self._idlest()
        future = self._client.submit(
            _located, work, *arguments, pure=False, workers=[worker], allow_other_workers=True
        )
        job = DaskJob(future, worker)
        self._open.append(job)
        return job

    def wait(self, seconds: float) -> list[Job]:
        with contextlib.suppress(distributed.TimeoutError):
            distributed.wait(
                [job.future for job in self._open], seconds, return_when="FIRST_COMPLETED"
            )
        ended = [job for job in self._open if job.future.done()]
        self._open = [job for job in self._open if not job.future.done()]
        for job in ended:
            if job.future.status == "finished":
                job.worker = job.future.result()[0]
            else:
                job.out_of_memory = self._new_memory_events()
        return list(ended)

    def kill(self, job: Job) -> None:
        if not isinstance(job, DaskJob):
            raise TypeError(f"not a job of this engine: {job!r}")
        for worker, keys in self._client.processing().items():
            if job.future.key in [str(key) for key in keys]:
                self._client.restart_workers(
                    [worker], timeout=RESTART_SECONDS, raise_for_error=False
                )

    def _idlest(self) -> str:
        """The worker with the least work; Dask would have to guess how long a segment takes."""
        workers: list[str] = list(self._client.scheduler_info(n_workers=-1)["workers"])
        load = dict.fromkeys(workers, 0)
        for job in self._open:
            if job.worker in load:
                load[job.worker] += 1
        return min(load, key=lambda worker: load[worker])

    def _new_memory_events(self) -> bool:
        """Whether a nanny has ended a worker for its memory since the last look."""
        before = self._n_out_of_memory
        self._n_out_of_memory = len(self._client.get_events("worker-restart-memory"))
        return self._n_out_of_memory > before


@contextlib.contextmanager
def local_engine(n_workers: int) -> Iterator[DaskEngine]:
    """A cluster on this machine, which ends with the block; its workers share the memory."""
    with (
        dask.config.set(_CONFIG),
        distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            dashboard_address=None,
            preload=_PRELOAD,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield DaskEngine(client, n_workers)


def _located(work: Callable[..., Any], *arguments: object) -> tuple[str, Any]:
    return distributed.get_worker().address, work(*arguments)
