"""Memory of the workers over 200 trials in a row: a curve, and its slope.

    .venv/bin/python -m benchmarks.memory [--trials 200] [--quick]

Runs a churn search, whose trials are short, and looks at its processes once a second. Writes
`results/memory.json` and `docs/memory.png`. Memory is what a process has for itself (unique set
size): forked workers share TensorFlow's libraries. It counts while all workers are there: what one
shares with nobody any more, or not yet, would look like growth. Growth is told by half of the
trials, as the first ones fill the pools of the libraries.
"""

import argparse
import contextlib
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
from pipelines.tasks import find_task
from search.machine import Machine

mpl.use("Agg")
from matplotlib import pyplot as plt

PICTURE = Path(__file__).parent.parent / "docs" / "memory.png"
TASK = "churn"
BLOCKS = 10
"""Into which each half of the trials is divided; a line is fitted to the blocks' medians."""


@dataclass(frozen=True)
class Point:
    """One look at the search: seconds since its start, and MiB of each worker by process id."""

    seconds: float
    n_finished: int
    mib: dict[int, int]


@dataclass(frozen=True)
class Growth:
    """A worker's memory over some of the search, by a line through its blocks of trials.

    Attributes:
        first: MiB in the first block, `last` in the last: medians.
        slope: MiB for each trial that any worker finishes; nan with fewer than three blocks.
        half_width: Of the slope's 95 % interval, by Student's t.
    """

    worker: int
    first: float
    last: float
    slope: float
    half_width: float


def watch(n_trials: int) -> list[Point]:
    """What was seen while all workers were there."""
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("hpsearch")), "search", TASK]
        began = time.perf_counter()
        with subprocess.Popen(
            [*command, "--finalists", "0", "--trials", str(n_trials), "--runs-dir", folder],
            stdout=subprocess.DEVNULL,
        ) as search:
            while search.poll() is None:
                seconds = time.perf_counter() - began
                n_finished = _finished(Path(folder))
                points.append(Point(round(seconds, 1), n_finished, _workers(search.pid)))
                time.sleep(1)
        if search.returncode:
            raise RuntimeError(f"the search ended with exit status {search.returncode}")
    images = find_task(TASK).has_images
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
    for worker in sorted({worker for point in inside for worker in point.mib}):
        # A trial's own memory comes and goes between two looks: medians leave that out.
        medians = {
            number * block: statistics.median(point.mib[worker] for point in seen)
            for number, seen in groupby(
                (point for point in inside if worker in point.mib),
                key=lambda point: point.n_finished // block,
            )
        }
        found.append(_line(worker, medians))
    return found


def _line(worker: int, medians: dict[int, float]) -> Growth:
    trials, mib = list(medians), list(medians.values())
    slope = half_width = math.nan
    if len(trials) > 2:
        line = stats.linregress(trials, mib)
        slope = float(line.slope)
        # No error can be told where all medians are equal.
        error = 0.0 if math.isnan(line.stderr) else float(line.stderr)
        half_width = float(stats.t.ppf(0.975, len(trials) - 2)) * error
    return Growth(worker, mib[0], mib[-1], round(slope, 4), round(half_width, 4))


def show(halves: dict[str, list[Growth]]) -> Table:
    table = Table("trials", "worker", box=None)
    for heading in ("from, MiB", "to, MiB", "MiB a trial", "95 % interval"):
        table.add_column(heading, justify="right")
    for title, workers in halves.items():
        for own in workers:
            low, high = own.slope - own.half_width, own.slope + own.half_width
            row = [f"{own.first:.0f}", f"{own.last:.0f}", f"{own.slope:+.2f}"]
            table.add_row(title, str(own.worker), *row, f"{low:+.2f} to {high:+.2f}")
    return table


def draw(points: list[Point]) -> None:
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    workers = sorted({worker for point in points for worker in point.mib})
    for number, worker in enumerate(workers, 1):
        own = [(point.n_finished, point.mib[worker]) for point in points if worker in point.mib]
        axes.plot(*zip(*own, strict=True), label=f"worker {number}")
    axes.set(xlabel="finished trials", ylabel="own memory, MiB", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=100)


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="at most 12 trials, no picture")
    arguments = parser.parse_args()
    n_trials = min(arguments.trials, 12) if arguments.quick else arguments.trials
    points, middle = watch(n_trials), n_trials // 2
    halves = {
        f"0 to {middle}": growth(points, 0, middle),
        f"{middle} to {n_trials}": growth(points, middle, n_trials),
    }
    peak = max(mib for point in points for mib in point.mib.values())
    processes = {worker for point in points for worker in point.mib}
    store.save(
        "memory_quick" if arguments.quick else "memory",
        {
            "peak_mib": peak,
            "growth": {title: [asdict(own) for own in half] for title, half in halves.items()},
            "points": [[point.seconds, point.n_finished, point.mib] for point in points],
        },
    )
    if not arguments.quick:
        draw(points)
    Console().print(show(halves))
    # More of them than workers: the engine has recycled some, and the curve is a saw.
    print(f"at most {peak} MiB in a worker; {len(processes)} processes in all")


if __name__ == "__main__":
    _main()
