"""What a search costs beside training: its answer to --help, its start, each trial's floor.

    .venv/bin/python -m benchmarks.fixed_costs [--repeats 5] [--quick]

help:        wall time of `hpsearch --help`.
first step:  from the command to the first training step of a fashion search.
floor:       what a CNN trial costs beside training, from one trial's start to the next one's,
             with one worker: ask, build, trace, save, log and tell.
share:       what part of the workers' time a fashion search of 60 trials spends in training.
"""

import argparse
import itertools
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

from benchmarks import store
from search import study as studies

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


def search(runs: Path, *arguments: str) -> str:
    return hpsearch("search", "fashion", "--finalists", "0", "--runs-dir", str(runs), *arguments)


def seconds_of_help() -> float:
    began = time.perf_counter()
    hpsearch("--help")
    return time.perf_counter() - began


def first_step() -> float:
    """Seconds until the first step; the time at which a row was logged less what it trained."""
    with tempfile.TemporaryDirectory() as folder:
        runs, began = Path(folder), time.time()
        search(runs, "--trials", "2", "--epochs", "1")
        client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("fashion")
        if experiment is None:
            raise RuntimeError("the search logged nothing")
        trials = client.search_runs([experiment.experiment_id], "tags.stage = 'trial'")
        firsts = [client.get_metric_history(t.info.run_id, "epoch_seconds")[0] for t in trials]
        return min(first.timestamp / 1000 - first.value for first in firsts) - began


def floors(n_trials: int) -> list[float]:
    """Seconds beside training from each trial's start to the next, the first two left out."""
    with tempfile.TemporaryDirectory() as folder:
        space = [part for override in SMALL_CNN for part in ("--set", override)]
        search(
            Path(folder),
            *("--workers", "1", "--epochs", "1", "--no-presets", "--trials", str(n_trials)),
            *space,
        )
        (study,) = optuna.get_all_study_summaries(f"sqlite:///{folder}/optuna.db")
        loaded = optuna.load_study(
            study_name=study.study_name, storage=f"sqlite:///{folder}/optuna.db"
        )
        floors = []
        for trial, following in itertools.pairwise(loaded.trials):
            record = studies.read(trial)
            if record and trial.datetime_start and following.datetime_start:
                period = following.datetime_start - trial.datetime_start
                floors.append(period.total_seconds() - record.train_seconds)
        return floors[2:]


def share(n_trials: int, *options: str) -> dict[str, str]:
    """The lines in which the search itself says where the time went."""
    with tempfile.TemporaryDirectory() as folder:
        printed = search(Path(folder), "--trials", str(n_trials), *options)
    found = re.search(r"([\d.]+)% of the workers' time was training.*", printed)
    return {"training": f"{found[1]}%" if found else "", "line": found[0] if found else printed}


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    repeats, n_trials = (1, 8) if arguments.quick else (arguments.repeats, 60)
    seconds_of_help()  # the first touch of the files
    figures = {
        "help_seconds": [round(seconds_of_help(), 3) for _ in range(repeats)],
        "first_step_seconds": [round(first_step(), 2) for _ in range(repeats)],
        "trial_floor_seconds": [round(floor, 3) for floor in floors(5 if arguments.quick else 15)],
    }
    # Known configs are never pruned: in full they alone would take many minutes.
    of_training = share(n_trials, *(("--epochs", "2") if arguments.quick else ()))
    store.save(
        "fixed_costs_quick" if arguments.quick else "fixed_costs",
        {**figures, "share": of_training, "share_trials": n_trials},
    )
    table = Table("cost", "median", "range", box=None)
    for name, values in figures.items():
        table.add_row(
            name.replace("_", " "),
            f"{statistics.median(values):.2f}",
            f"{min(values):.2f} to {max(values):.2f}",
        )
    table.add_row(f"training in {n_trials} trials", of_training["training"], "")
    Console().print(table)
    Console().print(of_training["line"], soft_wrap=True)


if __name__ == "__main__":
    _main()
