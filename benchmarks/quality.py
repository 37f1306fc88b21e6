"""Time to quality, live: the best validation score by wall time, of this project and of its peers.

    .venv/bin/python -m benchmarks.quality --task fashion --seeds 5 [--variants] [--quick]
    .venv/bin/python -m benchmarks.quality --task fashion --table [--confirm]

A case is one system with one seed, in a process of its own, for so many seconds from the start
of that process. It is stored as it ends, and the same command goes on with the missing ones: those
that have not been run on this machine with these versions and this code. There is a table for each
such origin. All search the same space on the same data and splits; see `benchmarks/peers`. A
peer's score counts from the end of the epoch that reached it, this project's from when MLflow
shows it.

Needs the peers: pip install --require-hashes -r benchmarks/requirements.lock
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.quality_cases import BUDGETS, OURS, SYSTEMS, Case, cases
from benchmarks.quality_confirm import confirm
from benchmarks.quality_results import by_origin, circumstances, folder_of, keep, kept, missing
from benchmarks.quality_run import EarlyEndError, run
from benchmarks.quality_table import WIDTH, origin, remarks, show, show_targets
from pipelines.tasks import find_task

QUICK = {
    "churn": (40.0, list(SYSTEMS)),
    "fashion": (40.0, [OURS, "optuna"]),
}
"""Seconds a case, and systems: enough for every system to start and to score."""


def run_all(wanted: list[Case], budget: float, folder: Path) -> bool:
    """Whether every case ran to its end with a score; others are not stored, to be tried again."""
    good = True
    for case in wanted:
        taken = circumstances(case)
        try:
            result = run(case, budget)
        except EarlyEndError as error:
            good, shown = False, f"not kept: {error}"
        else:
            keep(result, taken, budget, folder)
            note = f" ({result.note})" if result.note else ""
            shown = f"{result.end:.4f} after {result.trajectory[-1][0]:.0f} s{note}"
        print(f"{case.task} seed {case.seed} {case.title}: {shown}", flush=True)
    return good


def print_tables(task: str, budget: float, folder: Path) -> None:
    console = Console(width=WIDTH)
    groups = by_origin(kept(task, folder))
    if not groups:
        print("Nothing is stored yet.")
    for group in groups:
        console.print(f"\n{origin(group)}")
        console.print(show(group, find_task(task).goal.metric, budget))
        console.print(show_targets(group, budget))
        console.print("\n".join(remarks(group)), highlight=False)


def _main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", choices=BUDGETS, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--variants", action="store_true", help="and those that explain the gain")
    parser.add_argument("--budget", type=float, help="seconds a case")
    parser.add_argument("--quick", action="store_true", help="one seed for 40 s, anew")
    parser.add_argument("--table", action="store_true", help="only the table of what is stored")
    parser.add_argument("--confirm", action="store_true", help="train the best configs again")
    arguments = parser.parse_args()
    budget, systems = arguments.budget or BUDGETS[arguments.task], arguments.systems
    if arguments.quick:
        budget, systems = QUICK[arguments.task]
    folder, good = folder_of(arguments.task, budget), True
    if not arguments.table:
        n_seeds = 1 if arguments.quick else arguments.seeds
        wanted = cases(arguments.task, systems, n_seeds, variants=arguments.variants)
        todo = wanted if arguments.quick else missing(wanted, folder)
        good = run_all(todo, budget, folder)
    if arguments.confirm:
        confirm(arguments.task, folder)
    print_tables(arguments.task, budget, folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(_main())
