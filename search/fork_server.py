"""The process that local workers are forked from, with TensorFlow imported once for all."""

import multiprocessing
import multiprocessing.forkserver
import os
import sys

from pipelines import runtime
from pipelines.tasks import Task

START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""Elsewhere TensorFlow and fork do not go together, and every worker imports it anew."""


def start(task: Task | None = None) -> None:
    """Begins to import TensorFlow, beside what this process does meanwhile.

    A second call does nothing.

    Args:
        task: What the workers will train, if that is known.
    """
    if START_METHOD != "forkserver":
        return
    # The numeric libraries read it when they are loaded; a worker has one core.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    runtime.choose_kernels(images=task is None or task.has_images)
    server = multiprocessing.forkserver
    server.set_forkserver_preload(["pipelines.preload", "distributed"])
    server.ensure_running()
