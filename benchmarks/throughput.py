"""Rows trained a second on the whole machine: this project's workers against plain `model.fit`.

    .venv/bin/python -m benchmarks.throughput [--repeats 3] [--quick]

fit:           what a tutorial writes: one process with all cores, float32, Keras' defaults.
ours:          one single-threaded session a core, forked for the task as a search forks them, in
               the precision that a search chooses.
fit, tuned:    `fit` in that precision with `steps_per_execution`; for four cases.
ours, float32: for those of them that a search trains in bfloat16.

All train the same network on the same rows and evaluate the same validation rows after each
epoch. The first epoch, which traces, is left out; what counts are at least three more, and five
seconds, in which all workers train. The ways take turns, in every other repeat in the opposite
order; each repeat has a seed of its own. The tables show medians over repeats; a factor is a
repeat's own, with the least and the greatest in brackets.
"""

import argparse
import concurrent.futures
import dataclasses
import multiprocessing
import os
import statistics
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import store, throughput_ways
from benchmarks.throughput_cases import CASES, QUICK, Case
from benchmarks.throughput_ways import Crew, Window, rate
from pipelines.runtime import Precision
from pipelines.tasks import find_task
from search import fork_server
from search.machine import Machine, available_cores

FIT, TUNED, OURS_FLOAT32, OURS = "fit", "fit, tuned", "ours, float32", "ours"
WIDTH = 120
"""Of the tables, also where the output is no terminal."""


@dataclasses.dataclass(frozen=True)
class Way:
    """Our workers, or `fit`."""

    precision: Precision
    ours: bool = False
    tuned: bool = False


def ways_of(case: Case, precision: Precision) -> dict[str, Way]:
    """The ways to train a case whose task a search trains in `precision`."""
    ways = {FIT: Way("float32")}
    if case.apart:
        ways[TUNED] = Way(precision, tuned=True)
        if precision != "float32":
            ways[OURS_FLOAT32] = Way("float32", ours=True)
    return {**ways, OURS: Way(precision, ours=True)}


def measure(cases: list[Case], seeds: Sequence[int], window: Window) -> list[dict[str, Any]]:
    """The rates of one task's cases; in a process of its own, as its workers are of one task."""
    task = find_task(cases[0].task)
    precision, n_cores = Machine.here().runtime(task).precision, available_cores()
    ways = {case: ways_of(case, precision) for case in cases}
    rates: dict[Case, dict[str, list[float]]] = {
        case: {name: [] for name in own} for case, own in ways.items()
    }
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as user:
        user.submit(os.getpid).result()  # starts it, before the next line changes what it inherits
        fork_server.start(task)
        fork = multiprocessing.get_context(fork_server.START_METHOD)
        crew = Crew(fork.Barrier(n_cores), fork.Value("i", 0))
        with concurrent.futures.ProcessPoolExecutor(
            n_cores, fork, throughput_ways.join, (crew,)
        ) as workers:
            for turn, seed in enumerate(seeds):
                for case in cases:
                    n_rows = len(case.data().train.labels)
                    in_order = list(ways[case].items())
                    for name, way in reversed(in_order) if turn % 2 else in_order:
                        how = (case, way.precision, seed, window)
                        crew.n_over.value = 0
                        if way.ours:
                            session = throughput_ways.session
                            jobs = [workers.submit(session, *how) for _ in range(n_cores)]
                        else:
                            jobs = [user.submit(throughput_ways.fit, *how, tuned=way.tuned)]
                        ends = [job.result() for job in jobs]
                        rates[case][name].append(round(rate(ends, n_rows), 1))
    return [
        {**dataclasses.asdict(case), "precision": precision, "rates": own}
        for case, own in rates.items()
    ]


def measure_each_task(
    cases: list[Case], seeds: Sequence[int], window: Window
) -> list[dict[str, Any]]:
    rows = []
    for _, own in groupby(cases, key=lambda case: case.task):
        spawn = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
            rows += process.submit(measure, list(own), seeds, window).result()
    return rows


def show(rows: list[dict[str, Any]]) -> Table:
    """Ours beside `fit`."""
    table = _table("fit, float32", "ours", "ours in", "ours / fit")
    for row in rows:
        rates = row["rates"]
        table.add_row(
            *_named(row), _median(rates[FIT]), _median(rates[OURS]), row["precision"], _factor(row)
        )
    return table


def show_apart(rows: list[dict[str, Any]]) -> Table:
    """What the gain is made of, each factor against plain `fit`."""
    table = _table(*(f"{name} / fit" for name in (TUNED, OURS_FLOAT32, OURS)), "ours / tuned")
    for row in rows:
        if TUNED in row["rates"]:
            factors = [_factor(row, way) for way in (TUNED, OURS_FLOAT32, OURS)]
            table.add_row(*_named(row), *factors, _factor(row, OURS, TUNED))
    return table


def _table(*headings: str) -> Table:
    table = Table("task", "network", box=None)
    for heading in ("batch", *headings):
        table.add_column(heading, justify="right")
    return table


def _named(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["task"], row["network"], str(row["batch_size"])


def _median(rates: Sequence[float]) -> str:
    return f"{statistics.median(rates):,.0f}"


def _factor(row: dict[str, Any], way: str = OURS, than: str = FIT) -> str:
    if way not in row["rates"]:
        return ""
    rates = zip(row["rates"][way], row["rates"][than], strict=True)
    factors = [one / other for one, other in rates]
    middle, low, high = statistics.median(factors), min(factors), max(factors)
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="three cases, once, an epoch each")
    arguments = parser.parse_args()
    cases, repeats, window = CASES, arguments.repeats, Window(3, 5.0)
    if arguments.quick:
        cases, repeats, window = QUICK, 1, Window(1, 1.0)
    seeds = range(repeats)
    rows = measure_each_task(cases, seeds, window)
    content = {"seeds": list(seeds), "window": dataclasses.asdict(window), "cases": rows}
    store.save("throughput_quick" if arguments.quick else "throughput", content)
    console = Console(width=WIDTH)
    console.print("rows a second, and by how many times more", show(rows), sep="\n")
    console.print("\nwhat the gain is made of", show_apart(rows), sep="\n")


if __name__ == "__main__":
    _main()
