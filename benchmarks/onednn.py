"""What Intel's oneDNN is worth to a search: the time and memory of network after network.

    .venv/bin/python -m benchmarks.onednn [--networks 60] [--quick]

Configs drawn at random from churn's space are built and trained to the first rung by two
processes in turns, one in which TensorFlow computes with oneDNN and one in which it does not. The
table shows the medians of their CPU times, as other programs may run beside them, and of the
pairs' ratios with the middle half of them; and what memory of its own a process had after a third
of the networks and after all.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import optuna
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import store
from pipelines import runtime
from pipelines.segment import load_data, prepare
from pipelines.tasks import find_task
from search.machine import Machine
from spaces.config import Config

TASK = "churn"
WAYS = {"with": "1", "without": "0"}


@dataclass(frozen=True)
class Cost:
    """CPU seconds to build and trace a network and to train it; MiB of the process then."""

    build: float
    train: float
    mib: float


def configs(number: int) -> list[Config]:
    task = find_task(TASK)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    training = task.training_for(None)
    return [task.space.sample(study.ask(), training) for _ in range(number)]


def cost(config: Config) -> Cost:
    task = find_task(TASK)
    how = Machine.here().runtime(task)
    prepare(TASK, None, how)
    from pipelines.session import TrainingSession

    started = time.process_time()
    session = TrainingSession(task, load_data(TASK, None), config, seed=0, how=how)
    built = time.process_time()
    session.advance(task.first_rung)
    trained = time.process_time()
    mib = psutil.Process().memory_full_info().uss / 2**20
    return Cost(round(built - started, 3), round(trained - built, 3), round(mib, 1))


def _compute(switch: str) -> None:
    """Makes a process that has not imported TensorFlow compute with oneDNN, or without."""
    os.environ[runtime.ONEDNN] = switch


def measure(number: int) -> dict[str, list[Cost]]:
    context = multiprocessing.get_context("spawn")
    found: dict[str, list[Cost]] = {way: [] for way in WAYS}
    pools = {
        way: concurrent.futures.ProcessPoolExecutor(1, context, _compute, (switch,))
        for way, switch in WAYS.items()
    }
    try:
        for place, config in enumerate(configs(number)):
            # The first of a pair may find the caches of the processor warmer, or colder.
            for way in sorted(WAYS, reverse=place % 2 == 1):
                found[way].append(pools[way].submit(cost, config).result())
    finally:
        for pool in pools.values():
            pool.shutdown()
    return found


def show(found: dict[str, list[Cost]]) -> Table:
    table = Table("", box=None)
    for heading in ("with oneDNN", "without", "without / with", "middle half"):
        table.add_column(heading, justify="right")
    for name in ("build", "train"):
        ours = {way: [getattr(each, name) for each in costs] for way, costs in found.items()}
        ratios = [b / a for a, b in zip(ours["with"], ours["without"], strict=True)]
        medians = [f"{statistics.median(ours[way]):.2f} s" for way in WAYS]
        table.add_row(name, *medians, f"{statistics.median(ratios):.2f}", _middle(ratios))
    for place in (len(found["with"]) // 3, len(found["with"])):
        sizes = [f"{found[way][place - 1].mib:.0f} MiB" for way in WAYS]
        table.add_row(f"after {place}", *sizes)
    return table


def _middle(ratios: Sequence[float]) -> str:
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{low:.2f} to {high:.2f}"


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="three networks")
    arguments = parser.parse_args()
    number = 3 if arguments.quick else arguments.networks
    found = measure(number)
    costs = {way: [astuple(each) for each in own] for way, own in found.items()}
    columns = ["build seconds", "train seconds", "MiB"]
    store.save("onednn_quick" if arguments.quick else "onednn", {"columns": columns, **costs})
    Console().print(show(found))


if __name__ == "__main__":
    _main()
