"""The ways to train that `benchmarks.throughput` compares, each timed epoch by epoch."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Barrier

import keras
import numpy as np

from benchmarks.throughput_cases import ENDLESS, Case
from pipelines import runtime
from pipelines.networks import build_network
from pipelines.runtime import Precision, Runtime
from pipelines.segment import prepare
from pipelines.tasks import find_task

STEPS_PER_EXECUTION = 16
"""For images, in `fit` as one who knows Keras would tune it; a table's epoch is one execution."""
BARRIER_SECONDS = 600


@dataclass(frozen=True)
class Window:
    """For how long is measured, at the least."""

    epochs: int
    seconds: float

    def over(self, ends: Sequence[float]) -> bool:
        return len(ends) > self.epochs and ends[-1] - ends[0] >= self.seconds


def rate(ends: Sequence[Sequence[float]], n_rows: int) -> float:
    """Rows a second of all processes together, while all of them trained.

    Args:
        ends: Of each process: when its window began, and when each epoch of `n_rows` ended.
    """
    begin, end = max(own[0] for own in ends), min(own[-1] for own in ends)
    # An epoch that reaches beyond counts by its share within.
    epochs = [np.diff(np.interp([begin, end], own, range(len(own))))[0] for own in ends]
    return float(sum(epochs)) * n_rows / (end - begin)


class StopByClock(keras.callbacks.Callback):  # type: ignore[misc] # untyped
    """Ends a fit when its window is over; an epoch ends after its evaluation.

    Attributes:
        ends: Of the epochs; the first begins the window, as it traces.
    """

    def __init__(self, window: Window) -> None:
        super().__init__()
        self._window = window
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.ends.append(time.monotonic())
        self.model.stop_training = self._window.over(self.ends)


def fit(
    case: Case, precision: Precision, seed: int, window: Window, *, tuned: bool
) -> list[float]:
    """`model.fit` in one call: each would make its iterators anew."""
    data, task = case.data(), find_task(case.task)
    runtime.fresh_graph(Runtime(precision=precision), seed)
    model = build_network(case.config, data.input_shape, task.n_classes)
    if case.config.augmentation.flip:
        shift, inputs = case.config.augmentation.shift, keras.Input(data.input_shape)
        x = keras.layers.RandomTranslation(shift, shift)(inputs)
        model = keras.Model(inputs, model(keras.layers.RandomFlip("horizontal")(x)))
    n_steps = -(-len(data.train.labels) // case.batch_size)
    at_once = STEPS_PER_EXECUTION if task.has_images else n_steps
    model.compile(
        keras.optimizers.Adam(1e-3),
        "binary_crossentropy" if task.binary else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=at_once if tuned else 1,
    )
    clock = StopByClock(window)
    model.fit(
        data.train.inputs.astype("float32"),
        data.train.labels,
        batch_size=case.batch_size,
        epochs=ENDLESS,
        validation_data=(data.validation.inputs.astype("float32"), data.validation.labels),
        callbacks=[clock],
        verbose=0,
    )
    return clock.ends


@dataclass(frozen=True)
class Crew:
    """What the workers of a machine share, so that each trains for as long as any is measured.

    Attributes:
        begin: Where they wait for each other.
        n_over: Of how many the window is over.
    """

    begin: Barrier
    n_over: "Synchronized[int]"


_crew: list[Crew] = []
"""The one that this process is of."""


def join(crew: Crew) -> None:
    """Called in every worker when it starts."""
    _crew.append(crew)


def session(case: Case, precision: Precision, seed: int, window: Window) -> list[float]:
    """One worker's session, beside those of the others."""
    (crew,) = _crew
    prepare(case.task, None, Runtime())
    from pipelines.session import TrainingSession

    trained = TrainingSession(
        find_task(case.task),
        case.data(),
        case.config,
        seed=seed,
        how=Runtime(precision=precision),
    )
    trained.advance(1)  # touches memory for the first time
    crew.begin.wait(BARRIER_SECONDS)
    ends, over = [time.monotonic()], False
    while crew.n_over.value < crew.begin.parties:
        trained.advance(trained.epoch + 1)
        ends.append(time.monotonic())
        if not over and window.over(ends):
            over = True
            with crew.n_over.get_lock():
                crew.n_over.value += 1
    return ends
