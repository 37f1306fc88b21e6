"""The Dask engine, with real worker processes and work that takes no time."""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import distributed
import pytest

from pipelines import runtime
from search import engine as engines
from search.engine import (
    DaskEngine,
    DaskJob,
    NoWorkerError,
    WorkerLostError,
    local_engine,
)
from spaces.errors import InputError
from tests.inline import InlineJob

PATIENCE_SECONDS = 60.0


def add(left: int, right: int) -> int:
    return left + right


def process() -> int:
    return os.getpid()


def fail() -> None:
    raise InputError("The files differ.")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    time.sleep(1000)


def pause(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def number_of_worker() -> str:
    time.sleep(0.2)
    return os.environ[runtime.RANK]


def samples() -> int:
    """What Dask's profiler has seen of the worker meanwhile."""
    time.sleep(0.5)
    return int(distributed.get_worker().profile_recent["count"])


def interrupt() -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return os.getpid()


def grow() -> None:
    held = []
    while True:
        held.append(bytearray(16_000_000))
        time.sleep(0.005)


def ended(engine: DaskEngine, *jobs: DaskJob) -> list[DaskJob]:
    """The jobs in the order of their end."""
    found: list[DaskJob] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found) < len(jobs):
        assert time.monotonic() < deadline, "the jobs do not end"
        found += [job for job in engine.wait(0.25) if job in jobs]
    return found


def value(engine: DaskEngine, job: DaskJob) -> object:
    ended(engine, job)
    return job.result()


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[DaskEngine]:
    with local_engine(2) as started:
        yield started


@pytest.fixture
def engine(shared_engine: DaskEngine) -> DaskEngine:
    """Two workers, whatever the test before did to them."""
    shared_engine._client.wait_for_workers(2, timeout=PATIENCE_SECONDS)
    return shared_engine


def test_work_comes_back_with_its_result(engine: DaskEngine) -> None:
    jobs = [engine.submit(add, n, 1, near=None) for n in range(10)]
    ended(engine, *jobs)
    assert [job.result() for job in jobs] == list(range(1, 11))
    assert engine.wait(0.0) == []


def test_an_error_travels(engine: DaskEngine) -> None:
    job = engine.submit(fail, near=None)
    with pytest.raises(InputError, match=r"The files differ\."):
        value(engine, job)


def test_work_is_placed_while_dask_refreshes_its_list_of_workers() -> None:
    """Every two seconds Dask's client forgets its workers for a moment, here all the time."""
    with (
        dask.config.set({"distributed.client.scheduler-info-interval": "1ms"}),
        local_engine(1) as started,
    ):
        for n in range(100):
            assert value(started, started.submit(add, n, 1, near=None)) == n + 1


def test_new_work_goes_to_the_idle_worker(engine: DaskEngine) -> None:
    jobs = [engine.submit(pause, 0.2, near=None) for _ in range(2)]
    ended(engine, *jobs)
    assert len({job.result() for job in jobs}) == 2


def test_work_goes_on_where_the_last_was_done(engine: DaskEngine) -> None:
    first, second = (engine.submit(pause, 0.1, near=None) for _ in range(2))
    ended(engine, first, second)
    for _ in range(3):
        for job in (second, first):
            assert value(engine, engine.submit(process, near=job)) == job.result()


def test_work_leaves_a_busy_worker_for_an_idle_one(engine: DaskEngine) -> None:
    here = engine.submit(process, near=None)
    value(engine, here)
    busy = engine.submit(pause, 0.3, near=here)
    other = engine.submit(process, near=here)
    assert value(engine, other) != here.result()
    assert value(engine, busy) == here.result()


def test_a_worker_that_dies_is_replaced(engine: DaskEngine) -> None:
    for _ in range(2):
        job = engine.submit(die, near=None)
        with pytest.raises(WorkerLostError) as caught:
            value(engine, job)
        assert not caught.value.out_of_memory
        assert value(engine, engine.submit(add, 1, 2, near=job)) == 3
    engine._client.wait_for_workers(2, timeout=PATIENCE_SECONDS)
    jobs = [engine.submit(pause, 0.5, near=None) for _ in range(2)]
    ended(engine, *jobs)
    assert len({job.result() for job in jobs}) == 2


def test_a_job_waits_for_a_dead_workers_successor_and_not_for_a_busy_worker(
    engine: DaskEngine,
) -> None:
    busy = engine.submit(hang, near=None)
    lost = engine.submit(die, near=None)
    with pytest.raises(WorkerLostError):
        value(engine, lost)
    again = engine.submit(add, 1, 2, near=None)
    assert value(engine, again) == 3
    assert again.worker != busy.worker
    engine.kill(busy)
    ended(engine, busy)


def test_without_a_successor_the_job_is_done_by_the_worker_that_is_left() -> None:
    with local_engine(1) as left:
        left.n_workers = 2
        busy, held, killed = (left.submit(pause, 0.5, near=None) for _ in range(3))
        for _ in range(2):
            left.kill(killed)
        assert ended(left, killed, busy, held) == [killed, busy, held]
        assert busy.result() == held.result()
        with pytest.raises(WorkerLostError):
            killed.result()


def test_a_worker_that_is_gone_already_is_not_restarted(engine: DaskEngine) -> None:
    engine._restart("tcp://127.0.0.1:1")
    assert value(engine, engine.submit(add, 1, 2, near=None)) == 3


def test_a_worker_may_take_long_to_come_back() -> None:
    """Dask gives up one that has been gone for so long, here for less than any start takes."""
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "10ms"}),
        local_engine(1) as single,
    ):
        for _ in range(2):
            with pytest.raises(WorkerLostError):
                value(single, single.submit(die, near=None))
            assert value(single, single.submit(add, 1, 2, near=None)) == 3


def test_without_any_worker_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "START_SECONDS", 1)
    with local_engine(1) as started:
        assert isinstance(started._client.cluster, distributed.LocalCluster)
        started._client.cluster.scale(0)
        while started._client.nthreads():
            time.sleep(0.05)
        with pytest.raises(NoWorkerError, match=r"No worker process has started within 1 s: .*"):
            started.submit(add, 1, 2, near=None)


def test_a_result_is_not_worked_out_again_when_its_worker_dies(
    engine: DaskEngine, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    job = engine.submit(trace.mkdir, near=None)
    value(engine, job)
    with pytest.raises(WorkerLostError):
        value(engine, engine.submit(die, near=job))
    trace.rmdir()
    value(engine, engine.submit(pause, 0.5, near=job))
    assert not trace.exists()
    assert job.result() is None


def test_a_hanging_job_can_be_ended(engine: DaskEngine) -> None:
    job = engine.submit(hang, near=None)
    engine.wait(0.5)
    queued = engine.submit(process, near=None), engine.submit(process, near=None)
    engine.kill(job)
    with pytest.raises(WorkerLostError) as caught:
        value(engine, job)
    assert not caught.value.out_of_memory
    ended(engine, *(job for job in queued if job in engine._open))
    assert value(engine, engine.submit(add, 2, 2, near=job)) == 4


def test_a_job_that_no_worker_has_begun_can_be_ended(engine: DaskEngine) -> None:
    nowhere = engine._client.submit(engines._located, process, workers=["tcp://127.0.0.1:1"])
    job = DaskJob("nowhere", nowhere)
    engine._open.append(job)
    assert engine.wait(0.2) == []
    engine.kill(job)
    with pytest.raises(WorkerLostError):
        value(engine, job)


def test_a_result_that_died_with_the_last_worker_is_not_waited_for_for_ever(
    engine: DaskEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask would work it out anew, on a worker that never comes."""
    monkeypatch.setattr(engines, "RESULT_SECONDS", 0.2)
    nowhere = engine._client.submit(engines._located, process, workers=["tcp://127.0.0.1:1"])
    job = DaskJob("nowhere", nowhere)
    job.end(out_of_memory=lambda: False)
    with pytest.raises(WorkerLostError):
        job.result()


def test_the_scheduler_is_asked_for_workers_once_between_waits(
    engine: DaskEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, n_asked = engine._client.nthreads, 0

    def nthreads() -> object:
        nonlocal n_asked
        n_asked += 1
        return ask()

    engine.wait(0.0)
    monkeypatch.setattr(engine._client, "nthreads", nthreads)
    jobs = [engine.submit(add, n, 1, near=None) for n in range(5)]
    assert n_asked == 1
    ended(engine, *jobs)
    value(engine, engine.submit(add, 1, 1, near=None))
    assert n_asked == 2


def test_every_worker_knows_its_number(engine: DaskEngine) -> None:
    jobs = [engine.submit(number_of_worker, near=None) for _ in range(2)]
    ended(engine, *jobs)
    assert {job.result() for job in jobs} == {"0", "1"}


def test_workers_do_not_hear_the_keyboard(engine: DaskEngine) -> None:
    job = engine.submit(interrupt, near=None)
    assert value(engine, job) == value(engine, engine.submit(process, near=job))


def test_workers_are_not_profiled(engine: DaskEngine) -> None:
    assert value(engine, engine.submit(samples, near=None)) == 0


def test_a_foreign_job_cannot_be_killed(engine: DaskEngine) -> None:
    with pytest.raises(TypeError, match="not a job of this engine"):
        engine.kill(InlineJob())


def test_the_only_worker_dies_and_the_next_job_waits_for_its_successor() -> None:
    with local_engine(1) as single:
        for _ in range(2):
            lost = single.submit(die, near=None)
            with pytest.raises(WorkerLostError):
                value(single, lost)
            assert value(single, single.submit(add, 1, 1, near=lost)) == 2


def test_the_only_worker_dies_unseen_and_its_successor_does_what_was_meant_for_it() -> None:
    with local_engine(1) as single:
        lost = single.submit(die, near=None)
        while lost.worker in single._client.nthreads():
            time.sleep(0.01)
        job = single.submit(add, 1, 1, near=None)
        assert job.worker == lost.worker
        ended(single, lost, job)
        assert job.result() == 2


def test_a_worker_is_replaced_after_so_many_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "RECYCLE_JOBS", 2)
    with local_engine(1) as single:
        processes = []
        for _ in range(5):
            job = single.submit(os.getpid, near=None)
            while not single.wait(1.0):
                pass
            processes.append(job.result())
    first, second, third = processes[0], processes[2], processes[4]
    assert processes == [first, first, second, second, third]
    assert len({first, second, third}) == 3


def test_a_worker_that_outgrows_its_memory_says_so() -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(engines._CONFIG))
        cluster = stack.enter_context(
            distributed.LocalCluster(
                n_workers=1,
                threads_per_worker=1,
                memory_limit="512MB",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        )
        small = DaskEngine(stack.enter_context(distributed.Client(cluster)), 1)
        for _ in range(2):
            job = small.submit(grow, near=None)
            with pytest.raises(WorkerLostError, match="out of memory") as caught:
                value(small, job)
            assert caught.value.out_of_memory
        assert value(small, small.submit(add, 1, 1, near=job)) == 2
        with pytest.raises(WorkerLostError) as died:
            value(small, small.submit(die, near=None))
        assert not died.value.out_of_memory
