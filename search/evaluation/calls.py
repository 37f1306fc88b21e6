"""Calls of a function on workers, where all of the answers are needed."""

from collections.abc import Callable, Sequence
from typing import Any

from search.dispatch import TICK_SECONDS
from search.engine import Engine, WorkerLostError
from spaces.errors import RunFailedError


class CallsFailedError(RunFailedError):
    """A worker died twice at the same call; the message is for the user."""


def call_all(
    engine: Engine, work: Callable[..., Any], calls: Sequence[tuple[object, ...]]
) -> list[Any]:
    """What the work returns for each of the calls; a worker that dies is replaced once.

    Raises:
        CallsFailedError: a worker was lost twice at the same call.
    """
    open_jobs = {engine.submit(work, *call, near=None): n for n, call in enumerate(calls)}
    results: dict[int, Any] = {}
    lost: set[int] = set()
    while open_jobs:
        for job in engine.wait(TICK_SECONDS):
            n = open_jobs.pop(job)
            try:
                results[n] = job.result()
            except WorkerLostError as error:
                if n in lost:
                    raise CallsFailedError(
                        f"A worker was lost twice at the same rows ({error}): run it again with"
                        " fewer --workers."
                    ) from error
                lost.add(n)
                open_jobs[engine.submit(work, *calls[n], near=None)] = n
    return [results[n] for n in range(len(calls))]
