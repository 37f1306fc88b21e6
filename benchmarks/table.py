"""Trains many configs of a space to full length and keeps their curves, for `benchmarks.replay`.

    .venv/bin/python -m benchmarks.table fashion --configs 200 --minutes 60

Every config is trained as a search would train it, but never pruned, and images on `ROWS` of
their training rows, so that hundreds of trainings take hours instead of days. The known configs
come first; of the others every second is drawn at random and every second as a search draws it
from the scores so far, so that the good corner of the space is well filled. A row is stored when
its training ends, and the same command goes on where it stopped. Time is the CPU time of the
one-threaded worker, which other programs on the machine disturb little.
"""

import argparse
import concurrent.futures
import gzip
import json
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import optuna
from optuna.trial import TrialState

from pipelines.segment import load_data, prepare
from pipelines.splits import SearchData, Split
from pipelines.tasks import Task, find_task
from search.machine import Machine, available_cores
from search.sampler import ReseededTPE, ask
from search.study import rungs, seed_of
from spaces.config import Config
from spaces.starts import known_configs

FOLDER = Path(__file__).parent / "tables"
FIRST_RUNG = {"fashion": 1 / 9, "mnist": 1 / 9, "churn": 1 / 3}
"""Finer than any that a search would use, in epochs."""
ROWS = {"fashion": 10_000, "mnist": 10_000}
"""Training rows of the tasks that have more than a table can afford."""
SEARCHED = "search"
"""Source of the rows that were drawn as a search draws."""

Row = dict[str, object]


def read(task: str) -> list[Row]:
    """The rows trained so far, in the order of their numbers.

    A row: number, source (known:NAME, random or search), params (flat, as the space encodes them),
    n_parameters, build_seconds, stop, and the curve as [epoch, score, CPU seconds since the
    start of training], scores being those of the task's goal.
    """
    return sorted(_stored(task), key=lambda row: int(str(row["number"])))


def _stored(task: str) -> Iterator[Row]:
    path = _path(task)
    if path.exists():
        with gzip.open(path, "rt") as file:
            for line in file:
                yield json.loads(line)


def _path(task: str) -> Path:
    return FOLDER / f"{task}.jsonl.gz"


def checkpoints(task: Task) -> list[float]:
    """Epochs at which a curve has a point."""
    every = [float(epoch) for epoch in range(1, task.training.epochs + 1)]
    early = [rung for rung in rungs(FIRST_RUNG[task.name], 2) if rung < 1]
    return [*early, *every]


def train(task_name: str, number: int, config: Config) -> Row:
    """One config to its end, in this process."""
    task = find_task(task_name)
    how = Machine.here().runtime(task)
    prepare(task_name, None, how)
    from pipelines.session import TrainingSession

    began = time.process_time()
    session = TrainingSession(task, _data(task_name), config, seed=seed_of(0, number), how=how)
    build_seconds = time.process_time() - began
    began, curve = time.process_time(), []
    for epoch in checkpoints(task):
        for row in session.advance(epoch):
            seconds = time.process_time() - began
            curve.append(
                [round(row["epoch"], 4), round(row[task.goal.metric], 5), round(seconds, 3)]
            )
        if session.stop:
            break
    return {
        "n_parameters": session.model.count_params(),
        "build_seconds": round(build_seconds, 3),
        "stop": session.stop,
        "curve": curve,
    }


@lru_cache
def _data(task: str) -> SearchData:
    """The rows of a search, or as many of them as `ROWS` says, always the same."""
    data = load_data(task, None)
    if task not in ROWS:
        return data
    chosen = np.random.default_rng(0).permutation(len(data.train.labels))[: ROWS[task]]
    return replace(data, train=Split(data.train.inputs[chosen], data.train.labels[chosen]))


def fill(task: Task, n_configs: int, seconds: float) -> None:
    """Trains what is missing up to `n_configs`, one a core, for at most so long."""
    deadline = time.monotonic() + seconds
    study, rows = _study(task), read(task.name)
    _enqueue_known(study, task, {str(row["source"]) for row in rows})
    number = max((int(str(row["number"])) for row in rows), default=-1) + 1
    n_open = n_configs - len(rows)
    work: dict[concurrent.futures.Future[Row], tuple[optuna.Trial, Row]] = {}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        available_cores(), mp_context=context, max_tasks_per_child=40
    ) as pool:
        while True:
            while n_open and len(work) < available_cores() and time.monotonic() < deadline:
                trial, head = _ask(study, task, number)
                config = task.space.sample(trial, task.training)
                head["params"] = dict(trial.params)
                work[pool.submit(train, task.name, number, config)] = (trial, head)
                number, n_open = number + 1, n_open - 1
            if not work:
                return
            for future in concurrent.futures.wait(work, return_when="FIRST_COMPLETED").done:
                trial, head = work.pop(future)
                row = head | future.result()
                _append(task.name, row)
                study.tell(trial, **_outcome(row))
                print(_line(row), flush=True)


def score_of(row: Row) -> float | None:
    """The best score of a row's curve; None if the training diverged."""
    if row["stop"] == "diverged":
        return None
    return max(score for _, score, _ in cast("list[list[float]]", row["curve"]))


def _study(task: Task) -> optuna.Study:
    """A study in memory that knows the rows trained so far, but for what the space has no more."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=task.goal.direction, sampler=ReseededTPE(0))
    known = _random(task, 0).distributions
    for row in read(task.name):
        drawn = cast("dict[str, Any]", row["params"])
        params = {name: value for name, value in drawn.items() if name in known}
        distributions = {name: known[name] for name in params}
        study.add_trial(
            optuna.create_trial(params=params, distributions=distributions, **_outcome(row))
        )
    return study


def _outcome(row: Row) -> dict[str, Any]:
    score = score_of(row)
    return {"state": TrialState.FAIL} if score is None else {"values": [score]}


def _enqueue_known(study: optuna.Study, task: Task, trained: set[str]) -> None:
    for name, config in known_configs(task.name).items():
        source = f"known:{name}"
        if source not in trained and task.space.contains(config):
            study.enqueue_trial(task.space.encode(config), {"source": source})


def _ask(study: optuna.Study, task: Task, number: int) -> tuple[optuna.Trial, Row]:
    """The next trial, and the beginning of its row."""
    known_wait = any(t.state == TrialState.WAITING for t in study.get_trials(deepcopy=False))
    source = SEARCHED if number % 2 else "random"
    if source == "random" and not known_wait:
        study.enqueue_trial(_random(task, number).params)
    trial = ask(study, task.space)
    return trial, {"number": number, "source": trial.user_attrs.get("source", source)}


def _random(task: Task, number: int) -> optuna.Trial:
    """All parameters of the task's space, drawn at random."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
    trial = study.ask()
    task.space.sample(trial, task.training)
    return trial


def _append(task: str, row: Row) -> None:
    FOLDER.mkdir(exist_ok=True)
    with gzip.open(_path(task), "at") as file:
        file.write(json.dumps(row) + "\n")


def _line(row: Row) -> str:
    curve = cast("list[list[float]]", row["curve"])
    score, seconds = score_of(row), curve[-1][2] if curve else 0.0
    shown = "diverged" if score is None else f"{score:.4f}"
    head = f"{row['number']:>4} {row['source']:<28} {shown:>8}"
    return f"{head}  {len(curve):>3} points {seconds:8.1f} s"


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=sorted(FIRST_RUNG))
    parser.add_argument("--configs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0)
    arguments = parser.parse_args()
    fill(find_task(arguments.task), arguments.configs, 60 * arguments.minutes)


if __name__ == "__main__":
    _main()
