"""Runs a case of `benchmarks.quality` in a process of its own, and reads what came of it."""

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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psutil

from benchmarks import store
from benchmarks.quality_cases import OURS, VARIANTS, Case
from benchmarks.quality_results import Result
from pipelines.tasks import find_task
from search import study as studies

GRACE_SECONDS = 30.0
EARLY_SECONDS = 2.0
"""A system may end so long before its time."""


class EarlyEndError(RuntimeError):
    """The case ended before its time, or has no score: it says nothing of the system."""


@dataclass(frozen=True)
class Event:
    """A score that became known; `config` as JSON holds it."""

    seconds: float
    score: float
    config: Mapping[str, Any] | None = None


def trajectory(events: Iterable[Event], budget: float) -> list[Event]:
    """The events that were the best so far and within the budget, in order of time."""
    best: list[Event] = []
    for event in sorted(events, key=lambda event: (event.seconds, event.score)):
        if event.seconds <= budget and event.score > (best[-1].score if best else -math.inf):
            best.append(event)
    return best


def run(case: Case, budget: float) -> Result:
    """Runs the case to its end, or kills it when it overruns.

    Raises:
        EarlyEndError: see there.
    """
    with tempfile.TemporaryDirectory(prefix="q", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        began = time.time()
        note = _run_in(folder, case, budget, began)
        seconds = time.time() - began
        output = "".join(f"\n  {line}" for line in _last_lines(folder / "output.txt"))
        # This project ends by itself where no trial would fit into what is left.
        ends_itself = case.system == OURS and not note
        if seconds < budget - EARLY_SECONDS and not ends_itself:
            raise EarlyEndError(f"ended after {seconds:.0f} s, {note or 'exit status 0'}{output}")
        events, n_failed = _events(case, folder, began)
        best = trajectory(events, budget)
        if not best:
            raise EarlyEndError(f"no score{f', {note}' if note else ''}{output}")
        points = [(event.seconds, event.score) for event in best]
        return Result(case, points, f"{note}{output}" if note else "", best[-1].config, n_failed)


def _run_in(folder: Path, case: Case, budget: float, began: float) -> str:
    """Returns what was odd."""
    environment = {**os.environ, "PYTHONPATH": str(store.ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command(case, budget, folder, began),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            code = process.wait(began + budget + GRACE_SECONDS - time.time())
        except subprocess.TimeoutExpired:
            return f"killed {GRACE_SECONDS:g} s after its time"
        finally:
            _kill(process)
        return f"exit status {code}" if code else ""


def command(case: Case, budget: float, folder: Path, began: float) -> list[str]:
    if case.system == OURS:
        program = [str(Path(sys.executable).with_name("hpsearch"))]
        if case.variant == "no_pruning":
            program = [sys.executable, "-m", "benchmarks.no_pruning"]
        search = ["search", case.task, "--seed", str(case.seed)]
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


def _events(case: Case, folder: Path, began: float) -> tuple[list[Event], int]:
    """The scores, and how many trials failed."""
    if case.system == OURS:
        return logged_events(folder, find_task(case.task).goal.metric, began)
    return written_events(folder / "events.jsonl")


def written_events(path: Path) -> tuple[list[Event], int]:
    """What a peer wrote down; see `benchmarks.peers.shared.Order`."""
    lines = path.read_text().splitlines() if path.exists() else []
    every = [json.loads(line) for line in lines]
    events = [Event(**event) for event in every if "score" in event]
    n_failed = sum("failure" in event for event in every)
    return [event for event in events if not math.isnan(event.score)], n_failed


def logged_events(folder: Path, metric: str, began: float) -> tuple[list[Event], int]:
    """The epochs of all trials as MLflow got them; its clock counts in milliseconds."""
    if not (folder / "mlflow.db").exists():
        return [], 0
    query = (
        "SELECT timestamp, metrics.value, tags.value FROM metrics JOIN tags USING (run_uuid)"
        " WHERE metrics.key = ? AND tags.key = 'trial' AND NOT is_nan"
    )
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        rows = connection.execute(query, (metric,)).fetchall()
    records = _records(folder)
    events = [
        Event(timestamp / 1000 - began, score, records[int(number)].config)
        for timestamp, score, number in rows
    ]
    return events, sum(record.state == "failed" for record in records.values())


def _records(folder: Path) -> dict[int, studies.Record]:
    """What the one study in a folder of runs remembers, by the number of the trial."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    found = {trial.number: studies.read(trial) for trial in study.get_trials(deepcopy=False)}
    return {number: record for number, record in found.items() if record}


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
