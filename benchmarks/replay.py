"""Search policies replayed on the table of fully trained configs: regret against what was spent.

    .venv/bin/python -m benchmarks.replay churn [--repeats 100] [--budget 10,25,100] [--quick]

Exact: pruners on the rows of `benchmarks.table`, in random order. Surrogate: samplers, whose
configs are not in the table, trained by models fitted on it, with the best of the pruners. Two
workers run on a simulated clock. Regret is the best score of the table less what the config that
the search would return is worth in full, in points of the score x 100; a budget counts full
trainings, by their mean CPU time and by their epochs.
"""

import argparse
import concurrent.futures
import multiprocessing
from collections.abc import Sequence
from functools import lru_cache

import optuna
from rich.console import Console

from benchmarks import replay_policies as policies
from benchmarks import replay_report as report
from benchmarks import replay_samplers as samplers
from benchmarks import store
from benchmarks.replay_policies import Policy
from benchmarks.replay_simulation import N_WORKERS, Trace, simulate
from benchmarks.replay_surrogate import Surrogate, rank_correlations
from benchmarks.replay_worlds import World, load
from benchmarks.table import SEARCHED
from pipelines.tasks import find_task

BUDGETS = {"churn": "10,25,100", "fashion": "5,10,25"}
SURROGATE_BUDGET = 25
"""Largest one with samplers: TPE takes a hundredth of a second a trial."""
FEWEST_ROWS = 100
"""For a surrogate."""
SAMPLERS = {s.name: s for s in (samplers.RANDOM, samplers.PROJECT, *samplers.VARIANTS)}


def policies_of(world: World) -> dict[str, Policy]:
    return {policy.name: policy for policy in policies.all_policies(world)}


def project_policy(world: World) -> str:
    """What the search does now."""
    return policies.sparing(world, find_task(world.task).first_rung).name


@lru_cache
def _surrogate(task: str) -> Surrogate:
    return Surrogate(load(task))


def replay_table(task: str, policy_name: str, repeats: int, budget: float) -> list[Trace]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    world = load(task)
    policy = policies_of(world)[policy_name]
    return [
        simulate(
            policy.schedule(samplers.TableSource(world, policy.pruner(), seed)),
            budget * world.epochs,
            budget * world.full_seconds,
        )
        for seed in range(repeats)
    ]


def replay_sampler(
    task: str, sampler: str, policy_name: str, repeats: int, budget: float
) -> list[Trace]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    world, traces = load(task), []
    policy = policies_of(world)[policy_name]
    for seed in range(repeats):
        source = samplers.SampledSource(
            SAMPLERS[sampler], _surrogate(task), task, policy.pruner(), seed
        )
        traces.append(simulate(policy.schedule(source), 0.0, budget * world.full_seconds))
    return traces


def _combinations(world: World, found: Sequence[report.Line]) -> list[tuple[str, str]]:
    """Every sampler with the stopping rule that won on the table, and the usual with others."""
    kinds = {policy.name: policy.kind for policy in policies.all_policies(world)}
    best: dict[str, str] = {}
    for line in found:
        best.setdefault(kinds[line.policy], line.policy)
    few = [project_policy(world), best["stopping"], best["promoting"], best["none"]]
    firsts = policies.FIRST_RUNGS[world.task]
    many = [policies.sparing(world, first).name for first in firsts]
    pairs = [(samplers.RANDOM.name, pruner) for pruner in few]
    pairs += [(samplers.PROJECT.name, pruner) for pruner in (*few, *many, *best.values())]
    pairs += [(each.name, best["stopping"]) for each in samplers.VARIANTS]
    return list(dict.fromkeys(pairs))


def replay(
    task: str, budgets: Sequence[float], repeats: int, pool: concurrent.futures.Executor
) -> tuple[dict[str, object], str]:
    """All replays of a task: what to store, and what to put into the documentation."""
    world, console = load(task), Console(width=180)
    largest, project = max(budgets), project_policy(world)
    jobs = {
        name: pool.submit(replay_table, task, name, repeats, largest)
        for name in policies_of(world)
    }
    traces = {name: job.result() for name, job in jobs.items()}
    exact = report.lines(traces, world, budgets, project, exact=True)
    console.print(report.rich_table(f"{task}, rows of the table", exact))
    content: dict[str, object] = {
        "rows": len(world.curves),
        "repeats": repeats,
        "budgets": list(budgets),
        "best": max(curve.true for curve in world.curves),
        "full_seconds": round(world.full_seconds, 2),
        "project": project,
        "exact": [line.plain() for line in exact],
    }
    text = [_facts(world, repeats), "", "**Pruners on the rows of the table**", ""]
    text += [report.markdown(exact), "", "**Samplers on the surrogate**", ""]
    if len(world.curves) < FEWEST_ROWS:
        text.append(f"Not run: a surrogate needs {FEWEST_ROWS} rows.")
        console.print(text[-1])
        return content, "\n".join(text)
    correlations = rank_correlations(world)
    small = [budget for budget in budgets if budget <= SURROGATE_BUDGET] or [min(budgets)]
    pairs = {
        f"{sampler}; {pruner}": pool.submit(
            replay_sampler, task, sampler, pruner, repeats, max(small)
        )
        for sampler, pruner in _combinations(world, exact)
    }
    sampled = report.lines(
        {name: job.result() for name, job in pairs.items()},
        world,
        small,
        f"{samplers.PROJECT.name}; {project}",
        exact=False,
    )
    console.print(report.rich_table(f"{task}, surrogate", sampled))
    ranks = ", ".join(f"{name} {value:.2f}" for name, value in correlations.items())
    text += [f"Rank correlation of the surrogate with rows it has not seen: {ranks}.", ""]
    text.append(report.markdown(sampled))
    content["rank_correlations"] = correlations
    content["surrogate"] = [line.plain() for line in sampled]
    return content, "\n".join(text)


def _facts(world: World, repeats: int) -> str:
    random = world.sources.count("random")
    searched = world.sources.count(SEARCHED)
    known = len(world.sources) - random - searched
    return (
        f"{len(world.curves)} rows ({random} random, {searched} drawn by a search's sampler,"
        f" {known} known configs), {repeats} replays, {N_WORKERS} workers; a full training takes"
        f" {world.full_seconds:.1f} s of CPU for {world.epochs} epochs; the best score is"
        f" {max(curve.true for curve in world.curves):.4f}."
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task", choices=sorted(BUDGETS))
    parser.add_argument("--budget", help="in full trainings: 10,25,100")
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--write-docs", action="store_true", help="renew docs/efficiency.md")
    parser.add_argument("--quick", action="store_true", help="three replays up to budget 5")
    arguments = parser.parse_args()
    task, repeats = arguments.task, arguments.repeats
    budget = arguments.budget or BUDGETS[task]
    if arguments.quick:
        repeats, budget = 3, "2,5"
    budgets = sorted(float(each) for each in budget.split(","))
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
        content, text = replay(task, budgets, repeats, pool)
    store.save(f"replay_{task}_quick" if arguments.quick else f"replay_{task}", content)
    if arguments.write_docs:
        report.write_docs(task, text)


if __name__ == "__main__":
    _main()
