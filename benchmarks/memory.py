"""Memory of the workers over 200 trials in a row: a curve, and its slope.

    .venv/bin/python -m benchmarks.memory [--task churn] [--no-recycling] [--trials 200] [--quick]

Runs a search and looks at its processes once a second: of churn, whose trials are short, or of
`digits`, which are images. Writes `results/memory.json` and `docs/memory.png`; of another task, or
without recycling, results under a name of their own and no picture. Memory is what a process has
for itself (unique set size): forked workers share TensorFlow's libraries. It counts while all
workers are there: what one shares with nobody any more, or not yet, would look like growth.

Growth is told by half of the trials, as the first ones fill the pools of the libraries: by a line
through the medians of ten blocks of trials, and by the least and the greatest step from a block to
the next. That range is no interval of confidence: what memory one trial leaves is there at the
next, so no number of blocks can be taken for independent.
"""

import argparse
import contextlib
import itertools
import math
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
import psutil
from rich.console import Console
from rich.table import Table
from scipy import stats

from benchmarks import store
from pipelines.tasks import TASKS, find_task
from search.machine import Machine

mpl.use("Agg")
from matplotlib import pyplot as plt

PICTURE = Path(__file__).parent.parent / "docs" / "memory.png"
DEFAULT_TASK = "churn"
BLOCKS = 10
"""Into which each half of the trials is divided."""
WIDTH = 100
"""Of the table, also where the output is no terminal."""


@dataclass(frozen=True)
class Point:
    """One look at the search: seconds since its start, and MiB of each worker by process id."""

    seconds: float
    n_finished: int
    mib: dict[int, int]


@dataclass(frozen=True)
class Growth:
    """A worker's memory over some of the search, told from blocks of trials.

    Attributes:
        since: Trials that had ended when the worker was first seen in it, `until` when last.
        first: MiB in the first block, `last` in the last: medians.
        slope: MiB for each trial that any worker finishes; nan with fewer than three blocks.
        steps: The least and the greatest step from a block to the next, in MiB a trial.
    """

    worker: int
    since: int
    until: int
    first: float
    last: float
    slope: float
    steps: tuple[float, float]


def watch(task: str, n_trials: int, *, recycling: bool) -> list[Point]:
    """What was seen while all workers were there."""
    points: list[Point] = []
    hpsearch = [str(Path(sys.executable).with_name("hpsearch"))]
    if not recycling:
        hpsearch = [sys.executable, "-m", "benchmarks.no_recycling"]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--finalists", "0", "--trials", str(n_trials), "--runs-dir", folder]
        began = time.perf_counter()
        with subprocess.Popen(
            [*hpsearch, "search", task, *options], stdout=subprocess.DEVNULL
        ) as search:
            while search.poll() is None:
                seconds = time.perf_counter() - began
                n_finished = _finished(Path(folder))
                points.append(Point(round(seconds, 1), n_finished, _workers(search.pid)))
                time.sleep(1)
        if search.returncode:
            raise RuntimeError(f"the search ended with exit status {search.returncode}")
    images = find_task(task).has_images
    n_workers, _ = Machine.here().workers(None, n_trials, images=images)
    return [point for point in points if len(point.mib) == n_workers]


def _workers(pid: int) -> dict[int, int]:
    """MiB of every process that the fork server has forked and that has loaded its data."""
    found = {}
    try:
        for server in psutil.Process(pid).children():
            if not any("forkserver" in word for word in server.cmdline()):
                continue
            for process in server.children():
                memory = process.memory_full_info()
                if memory.rss > 300 * 2**20:
                    found[process.pid] = memory.uss // 2**20
    except psutil.NoSuchProcess:  # it has just ended
        pass
    return found


def _finished(runs: Path) -> int:
    """Read without Optuna, which would make the tables if it came before the search."""
    query = "SELECT COUNT(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED', 'FAIL')"
    try:
        connection = sqlite3.connect(f"file:{runs / 'optuna.db'}?mode=ro", uri=True)
        with contextlib.closing(connection):
            return int(connection.execute(query).fetchone()[0])
    except sqlite3.OperationalError:  # it is just being made
        return 0


def growth(points: list[Point], first: int, last: int) -> list[Growth]:
    """Of each worker, from one number of finished trials on and before another."""
    block = max(1, (last - first) // BLOCKS)
    inside = [point for point in points if first <= point.n_finished < last]
    found = []
    for worker in dict.fromkeys(worker for point in inside for worker in point.mib):
        own = [point for point in inside if worker in point.mib]
        # A trial's own memory comes and goes between two looks: medians leave that out.
        medians = {
            number * block: statistics.median(point.mib[worker] for point in seen)
            for number, seen in groupby(own, key=lambda point: point.n_finished // block)
        }
        slope, steps = _slope(medians), _steps(medians)
        since, until = own[0].n_finished, own[-1].n_finished
        mib = list(medians.values())
        found.append(Growth(worker, since, until, mib[0], mib[-1], slope, steps))
    return found


def _slope(medians: dict[int, float]) -> float:
    if len(medians) < 3:
        return math.nan
    return round(float(stats.linregress(list(medians), list(medians.values())).slope), 4)


def _steps(medians: dict[int, float]) -> tuple[float, float]:
    steps = [
        (mib - mib_before) / (trial - trial_before)
        for (trial_before, mib_before), (trial, mib) in itertools.pairwise(medians.items())
    ]
    return (round(min(steps), 4), round(max(steps), 4)) if steps else (math.nan, math.nan)


def show(halves: dict[str, list[Growth]]) -> Table:
    table = Table("trials", "worker", "there", box=None)
    for heading in ("from, MiB", "to, MiB", "MiB a trial", "from block to block"):
        table.add_column(heading, justify="right")
    workers = list(dict.fromkeys(own.worker for half in halves.values() for own in half))
    for title, half in halves.items():
        for own in half:
            number, there = workers.index(own.worker) + 1, f"{own.since} to {own.until}"
            row = [f"{own.first:.0f}", f"{own.last:.0f}", f"{own.slope:+.2f}"]
            steps = f"{own.steps[0]:+.2f} to {own.steps[1]:+.2f}"
            table.add_row(title, str(number), there, *row, steps)
    return table


def draw(points: list[Point]) -> None:
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    workers = dict.fromkeys(worker for point in points for worker in point.mib)
    for number, worker in enumerate(workers, 1):
        own = [(point.n_finished, point.mib[worker]) for point in points if worker in point.mib]
        axes.plot(*zip(*own, strict=True), label=f"worker {number}")
    axes.set(xlabel="finished trials", ylabel="own memory, MiB", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=100)


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default=DEFAULT_TASK)
    parser.add_argument("--no-recycling", action="store_true", help="no worker is replaced")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="at most 12 trials, no picture")
    arguments = parser.parse_args()
    n_trials = min(arguments.trials, 12) if arguments.quick else arguments.trials
    points = watch(arguments.task, n_trials, recycling=not arguments.no_recycling)
    middle = n_trials // 2
    halves = {
        f"0 to {middle}": growth(points, 0, middle),
        f"{middle} to {n_trials}": growth(points, middle, n_trials),
    }
    peak = max(mib for point in points for mib in point.mib.values())
    processes = {worker for point in points for worker in point.mib}
    names = ["memory"]
    if arguments.task != DEFAULT_TASK:
        names.append(arguments.task)
    if arguments.no_recycling:
        names.append("no_recycling")
    if not arguments.quick and len(names) == 1:
        draw(points)
    store.save(
        "_".join([*names, "quick"] if arguments.quick else names),
        {
            "task": arguments.task,
            "recycling": not arguments.no_recycling,
            "peak_mib": peak,
            "growth": {title: [asdict(own) for own in half] for title, half in halves.items()},
            "points": [[point.seconds, point.n_finished, point.mib] for point in points],
        },
    )
    Console(width=WIDTH).print(show(halves))
    # More of them than workers: the engine has recycled some, and the curve is a saw.
    print(f"at most {peak} MiB in a worker; {len(processes)} processes in all")


if __name__ == "__main__":
    _main()
