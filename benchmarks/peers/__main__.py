"""Runs one peer until its time is up; `benchmarks.quality` starts it."""

import argparse
import contextlib
import importlib
import signal
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

SEARCHES = {
    "keras_tuner_hyperband": ("keras_tuners", "hyperband"),
    "keras_tuner_bayesian": ("keras_tuners", "bayesian"),
    "optuna": ("plain_optuna", "search"),
    "ray_asha": ("ray_tune", "search"),
}
"""Module and function of each peer: one process imports one of them only."""
OWN_CLOCK = {"ray_asha"}
"""These end by themselves; Ray turns what a signal raises into errors of its own."""
REPEAT_SECONDS = 5.0
"""What a signal raises is lost where TensorFlow has called Python: it is raised again."""


class TimeUp(BaseException):
    """The budget is spent."""


def _end(_: int, __: FrameType | None) -> NoReturn:
    raise TimeUp


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peer", choices=SEARCHES)
    parser.add_argument("task")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--variant", choices=["plain", "presets", "training"], required=True)
    parser.add_argument("--began", type=float, required=True)
    parser.add_argument("--budget", type=float, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    ends = arguments.began + arguments.budget
    if arguments.peer not in OWN_CLOCK:
        signal.signal(signal.SIGALRM, _end)
        signal.setitimer(signal.ITIMER_REAL, ends - time.time(), REPEAT_SECONDS)
    with contextlib.suppress(TimeUp):
        from benchmarks.peers.shared import Order

        module, function = SEARCHES[arguments.peer]
        order = Order(
            task_name=arguments.task,
            seed=arguments.seed,
            presets=arguments.variant == "presets",
            project_training=arguments.variant == "training",
            folder=arguments.folder,
            began=arguments.began,
            ends=ends,
        )
        getattr(importlib.import_module(f"benchmarks.peers.{module}"), function)(order)
    signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    _main()
