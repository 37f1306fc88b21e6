"""Time to quality, live: the best validation score by wall time, of this project and of its peers.

    .venv/bin/python -m benchmarks.quality --task fashion --seeds 5 [--variants] [--quick]
    .venv/bin/python -m benchmarks.quality --task fashion --table

A case is one system with one seed, in a process of its own, for so many seconds from the start
of that process. It is stored as it ends, and the same command goes on with the missing ones: those
that have not been run on this machine with these versions. There is a table for each such setup.
All search the same space on the same data and splits; see `benchmarks/peers`. A peer's score
counts from the end of the epoch that reached it, this project's from when MLflow shows it.

Needs the peers: pip install --require-hashes -r benchmarks/requirements.lock
"""

import argparse
import contextlib
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import psutil
from rich.console import Console

from benchmarks.quality_cases import (
    BUDGETS,
    OURS,
    SYSTEMS,
    VARIANTS,
    Case,
    Point,
    Result,
    cases,
    folder_of,
    keep,
    kept,
    missing,
)
from benchmarks.quality_table import by_setup, origin, show
from pipelines.tasks import find_task

QUICK = {
    "churn": (40.0, list(SYSTEMS)),
    "fashion": (40.0, [OURS, "optuna"]),
}
"""Seconds a case, and systems: enough for every system to start and to score."""
GRACE_SECONDS = 30.0
ROOT = Path(__file__).parent.parent


def trajectory(events: Iterable[Point], budget: float) -> list[Point]:
    """The events that were the best so far and within the budget, in order of time."""
    points: list[Point] = []
    for seconds, score in sorted(events):
        if seconds <= budget and score > (points[-1][1] if points else -math.inf):
            points.append((seconds, score))
    return points


def run(case: Case, budget: float) -> Result:
    """Runs the case to its end, or kills it when it overruns."""
    with tempfile.TemporaryDirectory(prefix="q", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (folder / "output.txt").open("w") as output:
            began = time.time()
            process = subprocess.Popen(
                command(case, budget, folder, began),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            try:
                code = process.wait(began + budget + GRACE_SECONDS - time.time())
                note = f"exit status {code}" if code else ""
            except subprocess.TimeoutExpired:
                note = f"killed {GRACE_SECONDS:g} s after its time"
            finally:
                _kill(process)
        points = trajectory(_events(case, folder, began), budget)
        if note or not points:
            note += "".join(f"\n  {line}" for line in _last_lines(folder / "output.txt"))
        return Result(case, points, note)


def command(case: Case, budget: float, folder: Path, began: float) -> list[str]:
    if case.system == OURS:
        program = [str(Path(sys.executable).with_name("hpsearch"))]
        if case.variant == "no_pruning":
            program = [sys.executable, "-m", "benchmarks.no_pruning"]
        search = ["search", case.task, "--seed", str(case.seed), "--trials", "100000"]
        # Without finalists: what is compared is who finds a good score first.
        where = ["--finalists", "0", "--budget", f"{budget:g}s", "--runs-dir", str(folder)]
        return [*program, *search, *where, *VARIANTS[OURS].get(case.variant, [])]
    options = {
        "seed": case.seed,
        "variant": case.variant,
        "began": began,
        "budget": budget,
        "folder": folder,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "benchmarks.peers", case.system, case.task, *words]


def _events(case: Case, folder: Path, began: float) -> list[Point]:
    if case.system == OURS:
        return logged_scores(folder / "mlflow.db", find_task(case.task).goal.metric, began)
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    scores = [(seconds, score) for seconds, score in map(json.loads, lines)]
    return [(seconds, score) for seconds, score in scores if not math.isnan(score)]


def logged_scores(database: Path, metric: str, began: float) -> list[Point]:
    """The epochs of all trials as MLflow got them; its clock counts in milliseconds."""
    if not database.exists():
        return []
    query = "SELECT timestamp, value FROM metrics WHERE key = ? AND NOT is_nan"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(query, (metric,)).fetchall()
    return [(timestamp / 1000 - began, value) for timestamp, value in rows]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the case with all that it started, also what left its process group, as Ray's does."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines()[-5:]


def _run_missing(wanted: list[Case], budget: float, folder: Path) -> bool:
    """Whether every case has a score."""
    good = True
    for case in wanted:
        result = run(case, budget)
        if result.trajectory:
            keep(result, budget, folder)
            shown = f"{result.end:.4f} after {result.trajectory[-1][0]:.0f} s"
        else:  # not stored, to be tried again
            good, shown = False, "no score"
        note = f" ({result.note})" if result.note else ""
        print(f"{case.task} seed {case.seed} {case.title}: {shown}{note}", flush=True)
    return good


def _main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", choices=BUDGETS, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--variants", action="store_true", help="and those that explain the gain")
    parser.add_argument("--budget", type=float, help="seconds a case")
    parser.add_argument("--quick", action="store_true", help="one seed for 40 s, anew")
    parser.add_argument("--table", action="store_true", help="only the table of what is stored")
    arguments = parser.parse_args()
    budget, systems = arguments.budget or BUDGETS[arguments.task], arguments.systems
    if arguments.quick:
        budget, systems = QUICK[arguments.task]
    folder, good = folder_of(arguments.task, budget), True
    if not arguments.table:
        n_seeds = 1 if arguments.quick else arguments.seeds
        wanted = cases(arguments.task, systems, n_seeds, variants=arguments.variants)
        todo = wanted if arguments.quick else missing(wanted, folder)
        good = _run_missing(todo, budget, folder)
    metric = find_task(arguments.task).goal.metric
    groups = by_setup(kept(arguments.task, folder))
    if not groups:
        print("Nothing is stored yet.")
    for group in groups:
        Console().print(f"\n{origin(group)}", soft_wrap=True)
        Console().print(show(group, metric))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(_main())
