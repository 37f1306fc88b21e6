"""The coordinator at scale, with simulated workers that answer at once.

    .venv/bin/python -m benchmarks.coordinator [--repeats 3] [--quick]

results: segment results a second that it takes in from 100 workers until 300 trials have ended,
         without MLflow and with it. Trials are judged at every rung, most end there, and new ones
         are drawn; study, records and checkpoints, as large as churn's or fashion's, are written
         as in a search. Beside it what the disk alone would allow: the checkpoints by themselves.
costs:   milliseconds, in studies of 1,000 and 10,000 trials, for drawing a trial near a good one
         and by TPE, for the verdict at the first rung, and for writing the end of a trial.
resume:  seconds to open a study of so many trials and take it up, in a process of its own, and
         that process's memory before and after.

The tables show medians, over repeats or draws, with ranges or 95th percentiles.
"""

import argparse
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import store
from benchmarks.simulated_search import CHECKPOINTS, TASK, NoLog, NoView, ReadyEngine, fill
from search import sampler
from search import study as studies
from search.book import FILES_AT_ONCE, TrialBook
from search.checkpoints import Checkpoints
from search.coordinator import Coordinator
from search.sampler import ReseededTPE
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import DatasetInfo, Tracker
from search.tracking.trial_log import MlflowTrialLog

N_WORKERS = 100
GOAL = 200
"""Results a second, with MLflow as well: no search runs without it."""
SAMPLERS = {"draw near a good one": 1.0, "draw by TPE": 0.0}
"""Share of the trials that are drawn near a good one."""


def results_a_second(n_trials: int, seed: int, like: str, *, mlflow: bool) -> dict[str, Any]:
    """Of a search whose checkpoints are as large as those `like` a task's."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(trials=n_trials, workers=N_WORKERS, seed=seed, runs_dir=Path(folder))
        study = studies.open_study(settings, TASK, TASK.space, TASK.training, "digest")
        engine = ReadyEngine(N_WORKERS, CHECKPOINTS[like])
        coordinator = Coordinator(
            TASK,
            TASK.space,
            study,
            engine,
            settings,
            training=TASK.training,
            data_digest="digest",
            log=_log(settings, study) if mlflow else NoLog(),
            view=NoView(),
        )
        began = time.perf_counter()
        coordinator.run()
        seconds = time.perf_counter() - began
        return {
            "checkpoints": like,
            "mlflow": mlflow,
            "seed": seed,
            "results": engine.n_results,
            "trials": coordinator.book.counts,
            "results_a_second": round(engine.n_results / seconds, 1),
        }


def checkpoints_a_second(n_files: int, n_bytes: int) -> float:
    content = os.urandom(n_bytes)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        checkpoints = Checkpoints(Path(folder), "study")
        began = time.perf_counter()
        epochs, contents = itertools.repeat(1.0), itertools.repeat(content)
        list(pool.map(checkpoints.save, range(n_files), epochs, contents))
        return round(n_files / (time.perf_counter() - began), 1)


def _log(settings: Settings, study: optuna.Study) -> MlflowTrialLog:
    tracker = Tracker.open(settings.runs_dir, None)
    dataset = DatasetInfo("fashion", "digest", 50_000, 10_000, (28, 28, 1), 10)
    parent = tracker.open_study(
        "fashion",
        study.study_name,
        parameters={},
        tags={},
        dataset=dataset,
        goal_metric="val_accuracy",
        command="benchmark",
    )
    return MlflowTrialLog(tracker, parent, dataset, {}, print)


def large_study(n_trials: int, n_draws: int, repeats: int) -> dict[str, Any]:
    """What trials cost in a study of `n_trials`, and what it takes to open it again."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(runs_dir=Path(folder))
        study = studies.open_study(settings, TASK, TASK.space, TASK.training, "digest")
        fill(study, TASK.space, n_trials)
        costs: dict[str, list[float]] = {name: [] for name in (*SAMPLERS, "verdict", "end")}
        for name, share in SAMPLERS.items():
            drawing = ReseededTPE(0)
            study.sampler, drawing.neighbours = drawing, share
            for _ in range(n_draws + 1):
                _one_trial(study, name, costs)
        resumed = []
        for _ in range(repeats):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                resumed.append(fresh.submit(_resume, settings).result())
    # A sampler's first draw reads the whole history.
    drawn = {name: costs[name][1:] for name in SAMPLERS}
    milliseconds = {
        name: [round(each * 1000, 2) for each in own] for name, own in (costs | drawn).items()
    }
    return {"trials": n_trials, "milliseconds": milliseconds, "resumed": resumed}


def _one_trial(study: optuna.Study, drawing: str, costs: dict[str, list[float]]) -> None:
    """Draws a trial, judges it at the first rung and ends it; notes what each took."""

    def timed(name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it returns
        began = time.perf_counter()
        result = work()
        costs[name].append(time.perf_counter() - began)
        return result

    trial = timed(drawing, lambda: sampler.ask(study, TASK.space))
    row = {"epoch": 1.0, "val_accuracy": 0.5}
    record = Record({}, seed=1, state="completed", best=row)

    def judge() -> bool:
        studies.report(trial, row["val_accuracy"], 1)
        return bool(trial.should_prune())

    timed("verdict", judge)
    timed("end", lambda: studies.tell(study, trial, record))


def _resume(settings: Settings) -> dict[str, float]:
    before = psutil.Process().memory_info().rss
    began = time.perf_counter()
    study = studies.open_study(settings, TASK, TASK.space, TASK.training, "digest")
    TrialBook(TASK, TASK.space, study, settings, TASK.training, NoLog()).take_up()
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "mib_before": before // 2**20,
        "mib": psutil.Process().memory_info().rss // 2**20,
    }


def show_costs(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("", box=None)
    for row in rows:
        table.add_column(f"{row['trials']:,} trials", justify="right")
    for name in rows[0]["milliseconds"]:
        table.add_row(f"{name}, ms", *(_with_p95(row["milliseconds"][name]) for row in rows))
    for name, heading in (("seconds", "resume, s"), ("mib", "memory then, MiB")):
        table.add_row(heading, *(_with_range([e[name] for e in row["resumed"]]) for row in rows))
    return table


def show_rates(runs: Sequence[dict[str, Any]], disk: Mapping[str, Sequence[float]]) -> Table:
    table = Table("results a second", box=None)
    for like, n_bytes in CHECKPOINTS.items():
        table.add_column(f"{like}'s checkpoints, {n_bytes / 1e6:.1f} MB", justify="right")
    for heading, mlflow in (("without MLflow", False), ("with MLflow", True)):
        own = [run for run in runs if run["mlflow"] == mlflow]
        rates = {k: [r["results_a_second"] for r in own if r["checkpoints"] == k] for k in disk}
        table.add_row(f"{heading}, goal {GOAL}", *map(_with_range, rates.values()))
    table.add_row("checkpoints alone", *map(_with_range, disk.values()))
    return table


def _with_range(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def _with_p95(values: Sequence[float]) -> str:
    p95 = statistics.quantiles(values, n=20)[-1]
    return f"{statistics.median(values):.1f} (95 %: {p95:.1f})"


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="once, and small studies")
    arguments = parser.parse_args()
    if arguments.quick:
        repeats, n_trials, n_draws, sizes = 1, 110, 5, (100, 300)
    else:
        repeats, n_trials, n_draws, sizes = arguments.repeats, 300, 100, (1_000, 10_000)
    runs = [
        results_a_second(n_trials, seed, like, mlflow=mlflow)
        for seed in range(repeats)
        for like in CHECKPOINTS
        for mlflow in (False, True)
    ]
    disk = {
        like: [checkpoints_a_second(n_trials, n_bytes) for _ in range(repeats)]
        for like, n_bytes in CHECKPOINTS.items()
    }
    large = [large_study(size, n_draws, repeats) for size in sizes]
    content = {"workers": N_WORKERS, "runs": runs, "checkpoints_a_second": disk, "studies": large}
    store.save("coordinator_quick" if arguments.quick else "coordinator", content)
    Console().print(show_rates(runs, disk), "", show_costs(large), sep="\n")


if __name__ == "__main__":
    _main()
