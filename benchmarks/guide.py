"""The evidence of docs/guide.md: small sweeps in which one or two hyperparameters vary.

    .venv/bin/python -m benchmarks.guide [SWEEP...] [--processes 2] [--pictures]

Trains what is missing of the sweeps, of all if none is named, and stores each training as it
ends: the same command goes on where it stopped. `--pictures` trains nothing: it draws
docs/guide/SWEEP.png from what is stored, prints the tables, renews those in docs/guide.md, and
writes docs/guide/tables.md, which has them all.
"""

import argparse
import concurrent.futures
import math
import multiprocessing
import time
from collections.abc import Sequence

from benchmarks import guide_results as results
from benchmarks.guide_results import Outcome
from benchmarks.guide_sweeps import SWEEPS, Values
from pipelines.segment import load_data, prepare
from pipelines.tasks import find_task
from search.machine import Machine, available_cores

TRAIN_ROWS = 10_000
"""Of the training split, on which its score is taken: enough to see a gap of half a point."""


def train(name: str, case: Values, seed: int) -> Outcome:
    """One training of a sweep to its end, in this process."""
    sweep = SWEEPS[name]
    task, config, division = find_task(sweep.task), sweep.config(case), sweep.division(case)
    how = Machine.here().runtime(task)
    prepare(task.name, None, how)
    from pipelines import scoring
    from pipelines.session import TrainingSession

    data = load_data(task.name, None, division)
    session = TrainingSession(task, data, config, seed=seed, how=how)
    began = time.process_time()
    rows = session.advance(config.training.epochs)
    seconds = time.process_time() - began
    diverged = session.stop == "diverged"
    rows = [row for row in rows if math.isfinite(row["val_loss"] + row["train_loss"])]
    metric = task.goal.metric
    train_score = None
    if not diverged:
        inputs = data.train.inputs[:TRAIN_ROWS].astype("float32")
        probabilities = session.model.predict(inputs, batch_size=500, verbose=0)
        own = metric.removeprefix("val_")
        score = scoring.score(data.train.labels[:TRAIN_ROWS], probabilities, (own,))
        train_score = round(score[own], 5)
    return Outcome(
        digest=results.digest_of(sweep, case),
        seed=seed,
        n_parameters=session.model.count_params(),
        seconds=round(seconds, 2),
        score=[round(row[metric], 5) for row in rows],
        train_loss=[round(row["train_loss"], 4) for row in rows],
        val_loss=[round(row["val_loss"], 4) for row in rows],
        train_score=train_score,
        last={key: round(value, 5) for key, value in rows[-1].items()} if rows else {},
    )


def fill(names: Sequence[str], processes: int) -> None:
    """Trains what is missing of the sweeps, in their order."""
    context = multiprocessing.get_context("spawn")
    began = time.monotonic()
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
        jobs = {
            pool.submit(train, name, case, seed): (name, case, seed)
            for name in names
            for case, seed in results.missing(name)
        }
        try:
            for count, job in enumerate(concurrent.futures.as_completed(jobs), 1):
                name, case, seed = jobs[job]
                outcome = job.result()
                results.keep(name, outcome)
                print(
                    f"{count:>3}/{len(jobs)} {time.monotonic() - began:5.0f} s  {name}:"
                    f" {results.describe(case)}, seed {seed}: {100 * outcome.end:.2f}",
                    flush=True,
                )
        finally:  # else an interrupted program would first train what is still waiting
            pool.shutdown(cancel_futures=True)


def show(names: Sequence[str]) -> None:
    """Draws, prints and writes down what is stored of the sweeps."""
    from benchmarks import guide_pictures

    for name in names:
        found = results.trainings(name)
        if not found:
            print(f"\n== {name} ==\nnothing is stored")
            continue
        guide_pictures.draw(name, found)
        text = results.table(name, found)
        print(f"\n== {name} ==\n{text}")
        if open_cases := len(results.missing(name)):
            print(f"{open_cases} trainings are missing")
        results.renew(name, text)
    results.write_tables()


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help=", ".join(SWEEPS))
    parser.add_argument("--processes", type=int, default=available_cores())
    parser.add_argument("--pictures", action="store_true", help="train nothing, draw")
    arguments = parser.parse_args()
    if unknown := set(arguments.sweeps) - set(SWEEPS):
        parser.error(
            f"there is no sweep {', '.join(sorted(unknown))}: choose of {', '.join(SWEEPS)}"
        )
    names = arguments.sweeps or list(SWEEPS)
    if arguments.pictures:
        show(names)
    else:
        fill(names, arguments.processes)


if __name__ == "__main__":
    _main()
