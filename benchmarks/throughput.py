"""Rows trained a second on the whole machine: this project's workers against plain `model.fit`.

    .venv/bin/python -m benchmarks.throughput [--repeats 3] [--quick]

Plain is what a tutorial writes: one process with all cores, float32 arrays, Keras' defaults.
Ours is one single-threaded session a core, all at once. Both train the same network on the same
rows and evaluate the same validation rows after each epoch; network, batch size and data are the
same; the first epoch, which traces, is left out. The two sides take turns, and the table shows
medians over repeats.
"""

import argparse
import concurrent.futures
import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import keras
from rich.console import Console
from rich.table import Table

from benchmarks import store
from pipelines.networks import build_network
from pipelines.segment import load_data, prepare
from pipelines.splits import SearchData, Split
from pipelines.tasks import find_task
from search.machine import Machine, available_cores
from spaces.config import Config

ROWS = {"fashion": (12_000, 2_400), "churn": (6_400, 1_600)}
"""Rows of train and validation: enough for a few epochs within a turn."""
AUGMENTATION = {"shift": 0.1, "flip": True}
ENDLESS = 100_000
"""Epochs: the clock ends them."""


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
                "training": {"epochs": ENDLESS},
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


@dataclasses.dataclass
class Clock:
    """Takes the time at the end of every epoch; the first begins the window of so many seconds."""

    seconds: float
    ends: list[float] = dataclasses.field(default_factory=list)

    @property
    def over(self) -> bool:
        return bool(self.ends) and self.ends[-1] - self.ends[0] >= self.seconds

    def tick(self) -> None:
        self.ends.append(time.perf_counter())

    def rate(self, n_rows: int) -> float:
        """Rows a second after the first epoch, which traces and touches memory for the first time.

        Args:
            n_rows: Of an epoch.
        """
        return (len(self.ends) - 1) * n_rows / (self.ends[-1] - self.ends[0])


class StopByClock(keras.callbacks.Callback):  # type: ignore[misc] # untyped
    """Ends a fit when the clock's window is over; an epoch ends after its evaluation."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._clock.tick()
        self.model.stop_training = self._clock.over


def plain(case: Case, seconds: float) -> float:
    """Rows a second of `model.fit`, in one call: each would make its iterators anew."""
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
    clock = Clock(seconds)
    model.fit(
        inputs,
        labels,
        batch_size=case.batch_size,
        epochs=ENDLESS,
        validation_data=validation,
        callbacks=[StopByClock(clock)],
        verbose=0,
    )
    return clock.rate(len(labels))


def ours(case: Case, seconds: float) -> float:
    """Rows a second of one session."""
    task = find_task(case.task)
    how = Machine.here().runtime(task)
    prepare(case.task, None, how)
    from pipelines.session import TrainingSession

    data = first_rows(case.task)
    session = TrainingSession(task, data, case.config, seed=0, how=how)
    clock = Clock(seconds)
    while not clock.over:
        session.advance(session.epoch + 1)
        clock.tick()
    return clock.rate(len(data.train.labels))


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
