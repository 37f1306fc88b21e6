"""How long a config would train on this machine, told before it begins."""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from pipelines.runtime import Precision
from pipelines.splits import SearchData
from pipelines.tasks import Task
from search.layers import Layer, Shape, layers_of
from search.study import Record
from spaces.config import Config

SECONDS_AN_EPOCH = 0.01
"""These are of one machine: after docs/speed.md, and a churn study."""
SECONDS_A_LAYER = 35e-6
"""And step, if it has weights."""
SECONDS_A_WEIGHT = 0.9e-9
"""And step: the optimizer's work."""
SECONDS_A_ROW = 1e-6
SECONDS_A_MULTIPLICATION = {"bfloat16": 1 / 165e9, "float32": 1 / 80e9}
SECONDS_A_VALUE = 1e-9
"""That a convolution or a normalization gives, and row."""
SECONDS_A_PIXEL = 30e-9
"""Of an image that is turned or sheared; what moves, scales or mirrors it costs a quarter."""
PASSES = 3
"""Of the network for a training row, forward and twice backward; a validation row has one."""
UNSEEN = 2.0
"""How many times as slow another machine may be, until a training was seen on it."""


@dataclass(frozen=True)
class EpochGuess:
    """Seconds of an epoch with its validation on one core, guessed from the size of the network.

    Attributes:
        shape: Of one row: (side, side, channels), or (features,).
    """

    shape: Shape
    n_classes: int
    n_train: int
    n_validation: int
    precision: Precision

    @classmethod
    def of(cls, task: Task, data: SearchData, precision: Precision) -> Self:
        n_train, n_validation = len(data.train.labels), len(data.validation.labels)
        return cls(data.input_shape, task.n_classes, n_train, n_validation, precision)

    def __call__(self, config: Config) -> float:
        layers = layers_of(config, self.shape, self.n_classes)
        multiplications = sum(map(_multiplications, layers.rows))
        values = sum(math.prod(row.shape) for row in layers.rows if _gives_values(row))
        a_row = SECONDS_A_ROW + SECONDS_A_VALUE * values
        own = config.augmentation
        if own.rotation or own.shear:
            a_row += SECONDS_A_PIXEL * math.prod(self.shape)
        a_pass = multiplications * SECONDS_A_MULTIPLICATION[self.precision]
        n_layers = sum(row.weights > 0 for row in layers.rows)
        a_step = n_layers * SECONDS_A_LAYER + layers.weights * SECONDS_A_WEIGHT
        steps = math.ceil(self.n_train / min(config.optimization.batch_size, self.n_train))
        rows = self.n_train * (a_row + PASSES * a_pass) + self.n_validation * a_pass
        return SECONDS_AN_EPOCH + steps * a_step + rows


class Forecast:
    """What a training will take: a guess, corrected by what those of this search took."""

    def __init__(self, an_epoch: Callable[[Config], float], epochs: int) -> None:
        """The forecast.

        Args:
            an_epoch: Guessed seconds of an epoch; 0 where nothing can be said.
            epochs: Of a training that no plateau ends.
        """
        self._an_epoch, self._epochs = an_epoch, epochs
        self._ratios: dict[int, float] = {}
        self._lengths: list[float] = []

    def learn(self, number: int, config: Config, record: Record) -> None:
        """Takes in what a trial has taken so far."""
        guess = self._an_epoch(config)
        if guess and record.epoch:
            self._ratios[number] = record.train_seconds / record.epoch / guess
        if record.state == "completed":
            self._lengths.append(record.epoch)

    def seconds(self, config: Config) -> float:
        """Of a worker, for a training that has not begun."""
        ratio = statistics.median(self._ratios.values()) if self._ratios else UNSEEN
        return self._length * self._an_epoch(config) * ratio

    def seconds_left(self, record: Record) -> float:
        """Of a worker, for a training at its pace so far; 0 before its first epoch's end."""
        if not record.epoch:
            return 0.0
        return max(0.0, self._length - record.epoch) * record.train_seconds / record.epoch

    @property
    def _length(self) -> float:
        """Epochs after which every second one was over."""
        return statistics.median(self._lengths) if self._lengths else self._epochs


def _gives_values(layer: Layer) -> bool:
    return bool(layer.weights) and (len(layer.shape) == 3 or "norm" in layer.name)


def _multiplications(layer: Layer) -> int:
    """For one row: each weight but the biases, at each place that it is used at."""
    if not layer.weights or "norm" in layer.name:
        return 0
    if layer.name == "embedding":
        return layer.weights // 2
    return (layer.weights - layer.shape[-1]) * math.prod(layer.shape[:-1])
