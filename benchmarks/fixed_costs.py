"""What a search costs beside training: its answer to --help, its start, each trial's floor.

    .venv/bin/python -m benchmarks.fixed_costs [--repeats 5] [--quick]

help:        wall time of `hpsearch --help`.
first step:  from the command to the first training step of a fashion search.
floor:       what a CNN trial costs a worker beside training, from the trial's start to that of
             the next one that takes its place: ask, build, trace, save, draw, log and tell. With
             one worker, and with as many as a search starts by itself.
share:       what part of the workers' time a search of 60 trials spends in training, of fashion
             and of churn.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

from benchmarks import store
from search import study as studies
from search.machine import Machine, available_cores
from search.texts import n_of

SHARES = ("fashion", "churn")
SMALL_CNN = ("family=cnn", "blocks=2", "filters_1=32", "filters_2=64", "kernel_size=3")


def hpsearch(*arguments: str) -> str:
    """Runs the command line to its end, and returns what it printed."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("hpsearch")), *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def search(task: str, runs: Path, *arguments: str) -> str:
    return hpsearch("search", task, "--finalists", "0", "--runs-dir", str(runs), *arguments)


def seconds_of_help() -> float:
    began = time.perf_counter()
    hpsearch("--help")
    return time.perf_counter() - began


def first_step() -> float:
    """Seconds until the first step; the time at which a row was logged less what it trained."""
    with tempfile.TemporaryDirectory() as folder:
        runs, began = Path(folder), time.time()
        search("fashion", runs, "--trials", "2", "--epochs", "1")
        client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("fashion")
        if experiment is None:
            raise RuntimeError("the search logged nothing")
        trials = client.search_runs([experiment.experiment_id], "tags.stage = 'trial'")
        firsts = [client.get_metric_history(t.info.run_id, "epoch_seconds")[0] for t in trials]
        return min(first.timestamp / 1000 - first.value for first in firsts) - began


@dataclass(frozen=True)
class Timed:
    """When a trial was drawn and when it ended, in seconds, and how many of them it trained."""

    start: float
    end: float
    train_seconds: float


def small_trials(n_trials: int, *options: str) -> list[Timed]:
    """Trials of a small CNN and one epoch, by their start."""
    with tempfile.TemporaryDirectory() as folder:
        space = [part for override in SMALL_CNN for part in ("--set", override)]
        short = ("--epochs", "1", "--no-presets", "--trials", str(n_trials))
        search("fashion", Path(folder), *short, *options, *space)
        storage = f"sqlite:///{folder}/optuna.db"
        (study,) = optuna.get_all_study_summaries(storage)
        loaded = optuna.load_study(study_name=study.study_name, storage=storage)
        return [
            Timed(
                trial.datetime_start.timestamp(),
                trial.datetime_complete.timestamp(),
                record.train_seconds,
            )
            for trial in loaded.trials
            if (record := studies.read(trial)) and trial.datetime_start and trial.datetime_complete
        ]


def floors(trials: Sequence[Timed]) -> list[float]:
    """Seconds of a worker beside training, of every trial that another took the place of.

    The first two of every worker are left out.
    """
    found: list[float] = []
    unfollowed: list[Timed] = []
    for trial in sorted(trials, key=lambda trial: trial.start):
        # Drawn after a trial's end, it goes to the worker that this has freed.
        ended = [before for before in unfollowed if before.end <= trial.start]
        if ended:
            before = min(ended, key=lambda before: before.end)
            unfollowed.remove(before)
            found.append(round(trial.start - before.start - before.train_seconds, 3))
        unfollowed.append(trial)
    n_workers = len(unfollowed)
    return found[2 * n_workers :]


def share(task: str, n_trials: int, *options: str) -> dict[str, str]:
    """The lines in which the search itself says where the time went."""
    with tempfile.TemporaryDirectory() as folder:
        printed = search(task, Path(folder), "--trials", str(n_trials), *options)
    found = re.search(r"([\d.]+)% of the workers' time was training.*", printed)
    return {"training": f"{found[1]}%" if found else "", "line": found[0] if found else printed}


def show(seconds: dict[str, list[float]], shares: dict[str, dict[str, str]]) -> Table:
    table = Table("cost", box=None)
    for heading in ("median", "range", "of"):
        table.add_column(heading, justify="right")
    for name, values in seconds.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        table.add_row(name, f"{middle:.2f} s", f"{low:.2f} to {high:.2f}", str(len(values)))
    for task, of_training in shares.items():
        table.add_row(f"training, {task}", of_training["training"])
    return table


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    repeats, n_trials, n_small = (1, 8, 4) if arguments.quick else (arguments.repeats, 60, 15)
    n_workers, _ = Machine.here().workers(None, available_cores())
    seconds_of_help()  # the first touch of the files
    seconds = {
        "help": [round(seconds_of_help(), 3) for _ in range(repeats)],
        "first step": [round(first_step(), 2) for _ in range(repeats)],
        "trial floor, --workers 1": floors(small_trials(n_small, "--workers", "1")),
        f"trial floor, {n_of(n_workers, 'worker')}": floors(small_trials(n_small * n_workers)),
    }
    # Known configs are never pruned: in full they alone would take many minutes.
    short = ("--epochs", "2") if arguments.quick else ()
    shares = {task: share(task, n_trials, *short) for task in SHARES}
    content = {"seconds": seconds, "shares": shares, "share_trials": n_trials}
    store.save("fixed_costs_quick" if arguments.quick else "fixed_costs", content)
    console = Console()
    console.print(show(seconds, shares))
    for task, of_training in shares.items():
        console.print(f"{task}, {n_trials} trials: {of_training['line']}", soft_wrap=True)


if __name__ == "__main__":
    _main()
