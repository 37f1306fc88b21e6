"""Memory of the workers over 200 trials in a row, as a curve.

    .venv/bin/python -m benchmarks.memory [--trials 200] [--quick]

Runs a churn search, whose trials are short, and looks at its processes once a second. Writes
`results/memory.json` and `docs/memory.png`. Memory is what a process has for itself (unique set
size): forked workers share TensorFlow's libraries.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import optuna
import psutil

from benchmarks import store

mpl.use("Agg")
from matplotlib import pyplot as plt

PICTURE = Path(__file__).parent.parent / "docs" / "memory.png"
Point = tuple[float, int, list[int]]
"""Seconds, finished trials, MiB of each worker."""


def watch(n_trials: int) -> list[Point]:
    points: list[Point] = []
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("hpsearch")), "search", "churn"]
        began = time.perf_counter()
        with subprocess.Popen(
            [*command, "--finalists", "0", "--trials", str(n_trials), "--runs-dir", folder],
            stdout=subprocess.DEVNULL,
        ) as search:
            while search.poll() is None:
                seconds = time.perf_counter() - began
                points.append((round(seconds, 1), _finished(Path(folder)), _workers(search.pid)))
                time.sleep(1)
    return [point for point in points if point[2]]


def _workers(pid: int) -> list[int]:
    """MiB of every process that the fork server has forked and that has loaded its data."""
    found = []
    try:
        for server in psutil.Process(pid).children():
            if not any("forkserver" in word for word in server.cmdline()):
                continue
            for process in server.children():
                memory = process.memory_full_info()
                if memory.rss > 300 * 2**20:
                    found.append(memory.uss // 2**20)
    except psutil.NoSuchProcess:  # it has just ended
        pass
    return sorted(found)


def _finished(runs: Path) -> int:
    storage = f"sqlite:///{runs / 'optuna.db'}"
    if not (runs / "optuna.db").exists():
        return 0
    try:
        summaries = optuna.get_all_study_summaries(storage)
        study = optuna.load_study(study_name=summaries[0].study_name, storage=storage)
    except (IndexError, KeyError, RuntimeError):  # it is just being made
        return 0
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def draw(points: list[Point]) -> None:
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    for rank, label in ((0, "smallest worker"), (-1, "largest worker")):
        axes.plot([p[1] for p in points], [p[2][rank] for p in points], label=label)
    axes.set(xlabel="finished trials", ylabel="own memory, MiB", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=100)


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="12 trials, no picture")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    points = watch(12 if arguments.quick else arguments.trials)
    store.save(
        "memory_quick" if arguments.quick else "memory",
        {"points": [[seconds, trials, *mib] for seconds, trials, mib in points]},
    )
    if not arguments.quick:
        draw(points)
    half = len(points) // 2
    for name, part in (("first half", points[:half]), ("second half", points[half:])):
        largest = [mib[-1] for _, _, mib in part]
        print(f"largest worker, {name}: {min(largest)} to {max(largest)} MiB")


if __name__ == "__main__":
    _main()
