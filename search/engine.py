"""The engine: Dask workers that train segments, one single-threaded process a core."""

import collections
import concurrent.futures
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import dask
import distributed

from pipelines import runtime
from search import fork_server
from spaces.errors import RunFailedError

# Workers must not hear the terminal's Ctrl-C: the coordinator decides what it means.
_PRELOAD = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
_CONFIG = {
    "distributed.worker.multiprocessing-method": fork_server.START_METHOD,
    # A task whose worker died is not run again by Dask: the coordinator has its checkpoint.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.work-stealing": False,
    # Else a worker that dies is given up for good where its successor takes 15 s to start, or
    # another of the same name died 15 s before.
    "distributed.deploy.lost-worker-timeout": "1000 days",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    # Dask looks at every worker's stack a hundred times a second, and keeps what it saw.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",
}
RESTART_SECONDS = 30
START_SECONDS = 120
"""How long to wait for a worker where there is none."""
RESULT_SECONDS = 60
"""How long to wait for a result that is there: it is fetched in less than a second, but one that
died with the last worker would be waited for for ever."""
RECYCLE_JOBS = 300
"""A worker is replaced after so many, for networks for images leave memory behind: over digits
some 2 MiB a trial, more than half of which oneDNN keeps."""


class WorkerLostError(RuntimeError):
    """The worker died at the job; `out_of_memory` if its nanny ended it for its size."""

    def __init__(self, *, out_of_memory: bool) -> None:
        super().__init__("out of memory" if out_of_memory else "the worker process died")
        self.out_of_memory = out_of_memory


class NoWorkerError(RunFailedError):
    """All workers are gone, and none has come back."""


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
        """Sends work off, if possible to the worker that did `near`.

        Raises:
            NoWorkerError: there is none.
        """

    def wait(self, seconds: float) -> list[Job]:
        """The jobs that have ended since, at the latest after so many seconds.

        Raises:
            NoWorkerError: as above, for a job that was held back.
        """

    def kill(self, job: Job) -> None:
        """Restarts the worker that is at `job`, which then ends with WorkerLostError."""


class DaskJob:
    """A future once it is sent, then what came of it.

    The future is let go at once: Dask would work anew for a result that died with its worker.

    Attributes:
        worker: That it is meant for, then that has it; empty for any.
    """

    def __init__(self, worker: str, future: distributed.Future | None = None) -> None:
        self.worker = worker
        self.future = future
        self._value: object = None
        self._error: Exception | None = None

    def end(self, *, out_of_memory: Callable[[], bool]) -> None:
        """Fetches what the work returned or raised."""
        if self.future is None:  # it was killed before it was sent
            self._error = WorkerLostError(out_of_memory=False)
            return
        try:
            self.worker, self._value = self.future.result(RESULT_SECONDS)
        except (
            distributed.KilledWorker,
            distributed.TimeoutError,
            concurrent.futures.CancelledError,
        ):
            self._error = WorkerLostError(out_of_memory=out_of_memory())
        except Exception as error:  # noqa: BLE001 - `result` raises it
            self._error = error
        self.future.release()

    @property
    def done(self) -> bool:
        return self.future is None or self.future.done()

    def result(self) -> Any:  # noqa: ANN401 - whatever the work returns
        if self._error is not None:
            raise self._error
        return self._value


class DaskEngine:
    """Jobs on the workers of a Dask client."""

    def __init__(self, client: distributed.Client, n_workers: int) -> None:
        self._client = client
        self._held: dict[DaskJob, tuple[Any, ...]] = {}
        self._open: list[DaskJob] = []
        self._workers: list[str] = []
        self._n_done: collections.Counter[str] = collections.Counter()
        self._n_out_of_memory = 0
        self.n_workers = n_workers

    def submit(self, work: Callable[..., Any], *arguments: object, near: Job | None) -> DaskJob:
        job = DaskJob(near.worker if isinstance(near, DaskJob) else "")
        self._held[job] = (work, *arguments)
        self._send_held()
        return job

    def wait(self, seconds: float) -> list[Job]:
        self._workers = []  # by the next job some may have gone or come
        # A cancelled job is one that has ended, and no error of this call.
        with contextlib.suppress(distributed.TimeoutError, concurrent.futures.CancelledError):
            futures = [job.future for job in self._open if job.future is not None]
            distributed.wait(futures, seconds, return_when="FIRST_COMPLETED")
        ended = [job for job in self._open if job.done]
        self._open = [job for job in self._open if job not in ended]
        for job in ended:
            job.end(out_of_memory=self._new_memory_events)
            self._n_done[job.worker] += 1
        self._send_held()
        return list(ended)

    def kill(self, job: Job) -> None:
        if not isinstance(job, DaskJob):
            raise TypeError(f"not a job of this engine: {job!r}")
        if job.future is None:
            if self._held.pop(job, None):  # else it was killed before
                self._open.append(job)
            return
        for worker, keys in self._client.processing().items():
            if job.future.key in [str(key) for key in keys]:
                self._restart(worker)
                return
        job.future.cancel()  # no worker has it

    def _send_held(self) -> None:
        while self._held:
            job, call = next(iter(self._held.items()))
            worker = self._place(job.worker)
            if worker is None:
                return
            # The only one needs no naming, and should it be gone, its successor may do the work.
            only = len(self._workers) == 1
            place = {} if only else {"workers": [worker], "allow_other_workers": True}
            job.worker = worker
            job.future = self._client.submit(_located, *call, pure=False, **place)
            self._open.append(job)
            del self._held[job]

    def _place(self, wanted: str) -> str | None:
        """The wanted worker, unless it is gone or another has less to do.

        None while all are busy and one is missing: its successor comes within seconds, and Dask
        would leave the job where it is. Dask would also have to guess how long a segment takes,
        and never starts what was meant for a worker that is gone if all others are gone too.
        """
        load = dict.fromkeys(self._known_workers(), 0)
        for job in self._open:
            if job.worker in load:
                load[job.worker] += 1
        least = min(load.values())
        if least > 0 and len(load) < self.n_workers:
            return None
        able = [worker for worker in load if load[worker] == least]
        worker = wanted if wanted in able else able[0]
        if least == 0 and self._n_done[worker] >= RECYCLE_JOBS:
            del self._n_done[worker]
            self._restart(worker)
            return self._place("")
        return worker

    def _known_workers(self) -> list[str]:
        """The workers, asked for once between two waits: it takes milliseconds."""
        # Not `scheduler_info`: it reads a cache that Dask's own thread empties every two seconds.
        while not self._workers:
            self._workers = list(self._client.nthreads())
            if not self._workers:
                self._await_worker()
        return self._workers

    def _await_worker(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=START_SECONDS)
        except distributed.TimeoutError:
            raise NoWorkerError(
                f"No worker process has started within {START_SECONDS} s: this machine may be "
                "too busy, or short of memory. What has ended is kept, and the same command "
                "goes on."
            ) from None

    def _restart(self, worker: str) -> None:
        self._workers = []
        # It raises KeyError for a worker that has died by itself just before.
        with contextlib.suppress(KeyError):
            self._client.restart_workers([worker], timeout=RESTART_SECONDS, raise_for_error=False)

    def _new_memory_events(self) -> bool:
        """Whether a nanny has ended a worker for its memory since the last look."""
        before = self._n_out_of_memory
        self._n_out_of_memory = len(self._client.get_events("worker-restart-memory"))
        return self._n_out_of_memory > before


@contextlib.contextmanager
def local_engine(n_workers: int) -> Iterator[DaskEngine]:
    """A cluster on this machine, which ends with the block; its workers share the memory."""
    fork_server.start()
    with (
        dask.config.set(_CONFIG),
        distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            preload=_PRELOAD,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield DaskEngine(client, n_workers)


def _located(work: Callable[..., Any], *arguments: object) -> tuple[str, Any]:
    worker = distributed.get_worker()
    os.environ[runtime.RANK] = str(worker.name)  # a local cluster numbers its workers from 0
    return worker.address, work(*arguments)
