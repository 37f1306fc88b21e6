"""Rows trained a second on the whole machine: this project's workers against plain `model.fit`.

    .venv/bin/python -m benchmarks.throughput [--repeats 3] [--quick]

Plain is what a tutorial writes: one process with all cores, float32 arrays, Keras' defaults.
Ours is one single-threaded session a core, all at once. Both train the same network on the same
rows and evaluate the same validation rows after each epoch; network, batch size and data are the
same, tracing is left out. The two sides take turns, and the table shows medians over repeats.
"""

import argparse
import concurrent.futures
import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import keras
from rich.console import Console
from rich.table import Table

from benchmarks import store
from pipelines.networks import build_network
from pipelines.runtime import Runtime
from pipelines.segment import load_data, prepare
from pipelines.splits import SearchData, Split
from pipelines.tasks import find_task
from search.machine import Machine, available_cores
from spaces.config import Config

ROWS = {"fashion": (12_000, 2_400), "churn": (6_400, 1_600)}
"""Rows of train and validation: enough for a few epochs within a turn."""
AUGMENTATION = {"shift": 0.1, "flip": True}


@dataclasses.dataclass(frozen=True)
class Case:
    """One network and batch size."""

    task: str
    network: str
    batch_size: int

    @property
    def config(self) -> Config:
        filters, units, norm, augmented = NETWORKS[self.network]
        block = {"kernel_size": 3, "padding": "same", "pooling": "max", "batch_norm": norm}
        return Config.model_validate(
            {
                "network": {
                    "blocks": [{"filters": count, **block} for count in filters],
                    "layers": [{"units": count} for count in units],
                },
                "optimization": {
                    "optimizer": "adam",
                    "learning_rate": 1e-3,
                    "batch_size": self.batch_size,
                },
                "augmentation": AUGMENTATION if augmented else {},
                "training": {"epochs": 1000},
            }
        )


NETWORKS: dict[str, tuple[tuple[int, ...], tuple[int, ...], str, bool]] = {
    "CNN 32-64": ((32, 64), (64,), "none", False),
    "CNN 32-64 augmented": ((32, 64), (64,), "none", True),
    "CNN 32-64-128": ((32, 64, 128), (256,), "none", False),
    "CNN 32-64-128 norm": ((32, 64, 128), (256,), "before", False),
    "CNN 32-64-128 norm augmented": ((32, 64, 128), (256,), "before", True),
    "MLP 128": ((), (128,), "none", False),
    "MLP 16-8": ((), (16, 8), "none", False),
}
"""Filters, units, batch normalization, augmentation."""

CASES = [
    *[Case("fashion", "CNN 32-64", batch) for batch in (32, 128, 512)],
    Case("fashion", "CNN 32-64 augmented", 128),
    Case("fashion", "CNN 32-64-128", 128),
    *[Case("fashion", "CNN 32-64-128 norm", batch) for batch in (32, 128, 512)],
    Case("fashion", "CNN 32-64-128 norm augmented", 128),
    *[Case("fashion", "MLP 128", batch) for batch in (32, 128, 512)],
    *[Case("churn", "MLP 16-8", batch) for batch in (10, 32, 128)],
]


@lru_cache
def first_rows(task: str) -> SearchData:
    """The first rows of the task's data."""
    data, (n_train, n_validation) = load_data(task, None), ROWS[task]
    return dataclasses.replace(
        data, train=_first(data.train, n_train), validation=_first(data.validation, n_validation)
    )


def _first(split: Split, count: int) -> Split:
    return Split(split.inputs[:count], split.labels[:count])


def plain(case: Case, seconds: float) -> float:
    """Rows a second of `model.fit`."""
    data = first_rows(case.task)
    task = find_task(case.task)
    model = build_network(case.config, data.input_shape, task.n_classes)
    if case.config.augmentation.flip:
        shift, inputs = case.config.augmentation.shift, keras.Input(data.input_shape)
        x = keras.layers.RandomTranslation(shift, shift)(inputs)
        model = keras.Model(inputs, model(keras.layers.RandomFlip("horizontal")(x)))
    loss = "binary_crossentropy" if task.binary else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    inputs, labels = data.train.inputs.astype("float32"), data.train.labels
    validation = (data.validation.inputs.astype("float32"), data.validation.labels)

    def epoch() -> None:
        model.fit(
            inputs,
            labels,
            batch_size=case.batch_size,
            validation_data=validation,
            verbose=0,
        )

    return _rate(epoch, len(labels), seconds)


def ours(case: Case, seconds: float) -> float:
    """Rows a second of one session."""
    images = find_task(case.task).space.image_side is not None
    how = Runtime(1, Machine.here().precision("auto", images=images)[0])
    prepare(case.task, None, how)
    from pipelines.session import TrainingSession

    data = first_rows(case.task)
    session = TrainingSession(find_task(case.task), data, case.config, seed=0, how=how)
    return _rate(lambda: session.advance(session.epoch + 1), len(data.train.labels), seconds)


def _rate(epoch: Callable[[], object], n_rows: int, seconds: float) -> float:
    epoch()  # tracing, and the first touch of memory
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        epoch()
        count += 1
    return count * n_rows / (time.perf_counter() - started)


def measure(cases: list[Case], repeats: int, seconds: float) -> list[dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    n_cores = available_cores()
    rates: dict[Case, list[tuple[float, float]]] = {case: [] for case in cases}
    with (
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as user,
        concurrent.futures.ProcessPoolExecutor(n_cores, mp_context=context) as workers,
    ):
        for _ in range(repeats):
            for case in cases:
                one = user.submit(plain, case, seconds).result()
                jobs = [workers.submit(ours, case, seconds) for _ in range(n_cores)]
                rates[case].append((one, sum(job.result() for job in jobs)))
    return [
        {
            **dataclasses.asdict(case),
            "plain": [round(one, 1) for one, _ in pairs],
            "ours": [round(all_, 1) for _, all_ in pairs],
            "ratio": round(statistics.median(all_ / one for one, all_ in pairs), 2),
        }
        for case, pairs in rates.items()
    ]


def show(rows: list[dict[str, Any]]) -> Table:
    table = Table("task", "network", box=None)
    for heading in ("batch", "fit, rows/s", "ours, rows/s", "ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        plain_rate, our_rate = (f"{statistics.median(row[k]):,.0f}" for k in ("plain", "ours"))
        batch, ratio = str(row["batch_size"]), f"{row['ratio']}x"
        table.add_row(row["task"], row["network"], batch, plain_rate, our_rate, ratio)
    return table


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="three cases, once, two seconds each")
    arguments = parser.parse_args()
    if arguments.quick:
        rows = measure([CASES[1], CASES[6], CASES[-2]], 1, 2.0)
    else:
        rows = measure(CASES, arguments.repeats, 5.0)
    store.save("throughput_quick" if arguments.quick else "throughput", {"cases": rows})
    Console().print(show(rows))


if __name__ == "__main__":
    _main()
