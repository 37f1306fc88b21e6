"""What this project's own layers and gradients are worth: a CNN with Keras' in their place.

    .venv/bin/python -m benchmarks.layers [--turns 16] [--quick]

For each lever two sessions of a CNN 32-64, batch 128, on one core, one with it and one without, in
turns of an epoch. The table shows the median of a turn's ratios with the middle half of them. The
last row changes nothing: it says what the noise of the machine alone makes of a ratio.
"""

import argparse
import contextlib
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from unittest import mock

import keras
from rich.console import Console
from rich.table import Table

from benchmarks import store
from benchmarks.throughput_cases import Case, first_rows
from pipelines import graph
from pipelines.segment import prepare
from pipelines.session import TrainingSession
from pipelines.tasks import find_task
from search.machine import Machine
from spaces.config import Config

TASK = "fashion"
BASE = Case(TASK, "CNN 32-64", 128).config
WITHOUT = {
    "after_pooling": contextlib.nullcontext,
    "FusedBatchNormalization": keras.layers.BatchNormalization,
    "LeanDropout": keras.layers.Dropout,
    "LeanActivation": keras.layers.Activation,
}
"""By its name in `pipelines.graph`: what stands for it."""
LEVERS: dict[str, tuple[str, dict[str, object]]] = {
    "gradients after the pooling": ("after_pooling", {}),
    "fused batch normalization": ("FusedBatchNormalization", {"batch_norm": "before"}),
    "dropout of 0.2": ("LeanDropout", {"dropout": 0.2}),
    "silu": ("LeanActivation", {"activation": "silu"}),
    "gelu": ("LeanActivation", {"activation": "gelu"}),
    "relu, which has none": ("LeanActivation", {}),
}
"""The lever, and what the network has of it: in each block and layer, or as a whole."""


def config(changes: dict[str, object]) -> Config:
    network = BASE.model_dump()
    for part in (*network["network"]["blocks"], *network["network"]["layers"]):
        part |= {name: value for name, value in changes.items() if name in part}
    network["network"] |= {k: v for k, v in changes.items() if k in network["network"]}
    return Config.model_validate(network)


@contextlib.contextmanager
def without(lever: str) -> Iterator[None]:
    with mock.patch.object(graph, lever, WITHOUT[lever]):
        yield


def ratios(lever: str, changes: dict[str, object], turns: int) -> list[float]:
    """Seconds an epoch without the lever over those with it, turn by turn."""
    task = find_task(TASK)
    how = Machine.here().runtime(task)

    def session() -> TrainingSession:
        made = TrainingSession(task, first_rows(TASK), config(changes), seed=0, how=how)
        made.advance(1)  # traces, and touches memory for the first time
        return made

    ours = session()
    with without(lever):
        others = session()
    found = []
    for turn in range(turns):
        pair = (others, ours) if turn % 2 else (ours, others)
        seconds = {each: _epoch(each) for each in pair}
        found.append(seconds[others] / seconds[ours])
    return found


def _epoch(session: TrainingSession) -> float:
    started = time.perf_counter()
    session.advance(session.epoch + 1)
    return time.perf_counter() - started


def show(found: Mapping[str, Sequence[float]]) -> Table:
    table = Table("lever", box=None)
    table.add_column("times as fast (middle half)", justify="right")
    for name, own in found.items():
        low, middle, high = statistics.quantiles(own, n=4, method="inclusive")
        table.add_row(name, f"{middle:.2f} ({low:.2f} to {high:.2f})")
    return table


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=16)
    parser.add_argument("--quick", action="store_true", help="two turns")
    arguments = parser.parse_args()
    prepare(TASK, None, Machine.here().runtime(find_task(TASK)))
    turns = 2 if arguments.quick else arguments.turns
    found = {name: ratios(*lever, turns) for name, lever in LEVERS.items()}
    store.save("layers_quick" if arguments.quick else "layers", {"ratios": found})
    Console().print(show(found))


if __name__ == "__main__":
    _main()
