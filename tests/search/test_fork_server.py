"""Workers are forked from a process that has imported TensorFlow quietly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import runtime
from search import fork_server

CHILD = """
import multiprocessing, sys, threading

def look(queue):
    found = ["tensorflow" in sys.modules, threading.active_count()]
    from tensorflow.python.eager import context
    from tensorflow.python.util._pywrap_util_port import IsMklEnabled
    queue.put([*found, context.context()._physical_devices, IsMklEnabled()])

if __name__ == "__main__":
    from pipelines.tasks import TASKS
    from search import fork_server
    fork_server.start(TASKS["iris"])
    context = multiprocessing.get_context(fork_server.START_METHOD)
    queue = context.Queue()
    child = context.Process(target=look, args=(queue,))
    child.start()
    print(*queue.get(timeout=120), "tensorflow" in sys.modules)
    child.join()
"""


@pytest.mark.skipif(fork_server.START_METHOD != "forkserver", reason="workers are not forked here")
def test_a_worker_begins_with_tensorflow_and_the_coordinator_never_has_it(
    tmp_path: Path,
) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    environment = {name: value for name, value in os.environ.items() if name != runtime.ONEDNN}
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment,
    )
    # One thread is the child's own; the queue's feeder starts with the first `put`. Devices that
    # nobody has looked for are None: a forked process cannot use CUDA if its parent has begun to.
    # Tables are trained without oneDNN.
    assert (done.stdout.split(), done.stderr) == (["True", "1", "None", "False", "False"], "")
