"""What averaged weights score by where batch normalization's statistics come from.

    .venv/bin/python -m benchmarks.averaging start_plain [--seeds 2] [--quick]

One training a seed of a starting point of fashion, scored after every epoch in three ways:
the last weights, their mean with the statistics of the last weights, and their mean with
statistics of its own, as a search scores it. How they are scored changes nothing in the training.
"""

import argparse
import statistics

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import store
from pipelines.segment import load_data, prepare
from pipelines.tasks import find_task
from search.machine import Machine
from spaces.starts import STARTS

TASK = "fashion"
Curves = dict[str, list[float]]
WAYS = {
    "last": "last",
    "mean": "mean",
    "gathered": "mean, own statistics",
}


def measure(start: str, seed: int, epochs: int | None) -> Curves:
    """Validation accuracy after each epoch, by way of scoring."""
    task = find_task(TASK)
    how = Machine.here().runtime(task)
    prepare(TASK, None, how)
    from pipelines import runtime
    from pipelines.graph import TrainingGraph

    data = load_data(TASK, None)
    config = STARTS[TASK][start].model_copy(update={"training": task.training_for(epochs)})
    runtime.fresh_graph(how, seed)
    graph = TrainingGraph(data, config, seed=seed)
    n_rows = graph.steps_per_epoch * graph.batch_size
    curves: Curves = {way: [] for way in WAYS}

    def score(way: str) -> None:
        predicted = graph.predict(data.validation.inputs).argmax(axis=1)
        curves[way].append(float(np.mean(predicted == data.validation.labels)))

    for epoch in range(config.training.epochs):
        rows = np.random.default_rng([seed, epoch]).permutation(len(data.train.labels))
        graph.train(np.resize(rows, n_rows).astype(np.int32), 0, graph.steps_per_epoch, epoch)
        score("last")
        with graph.average.in_place():
            score("mean")
        with graph.averaged():
            score("gathered")
    return curves


def show(curves: list[Curves]) -> Table:
    table = Table("after epoch", box=None)
    for title in WAYS.values():
        table.add_column(title, justify="right")
    for epoch in range(len(curves[0]["last"])):
        means = [statistics.fmean(own[way][epoch] for own in curves) for way in WAYS]
        table.add_row(str(epoch + 1), *(f"{mean:.4f}" for mean in means))
    return table


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("start", choices=STARTS[TASK], nargs="?", default="start_plain")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one seed, two epochs")
    arguments = parser.parse_args()
    n_seeds, epochs = (1, 2) if arguments.quick else (arguments.seeds, None)
    curves = [measure(arguments.start, seed, epochs) for seed in range(n_seeds)]
    name = f"averaging_{arguments.start}"
    store.save(f"{name}_quick" if arguments.quick else name, {"seeds": curves})
    Console().print(show(curves))


if __name__ == "__main__":
    _main()
