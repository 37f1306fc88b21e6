"""Optimizers and learning-rate schedules."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf

from pipelines.updates import FusedAdam, FusedAdamW, FusedRMSprop, FusedSGD, LocalNadam
from spaces.config import OPTIMIZER_DEFAULTS, Config

OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": FusedSGD,
    "rmsprop": FusedRMSprop,
    "adam": FusedAdam,
    "adamw": FusedAdamW,
    "nadam": LocalNadam,
}

WARM_UP = 0.3
"""Share of the steps in which one_cycle rises (Smith, 2018, arxiv.org/abs/1803.09820)."""
START = 25.0
"""one_cycle starts at the learning rate divided by this."""


class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc] # untyped
    """The learning rate at each step, from the first of `total_steps` to the last."""

    def __init__(self, config: Config, total_steps: int) -> None:
        self._peak = config.optimization.learning_rate
        self._shape = SHAPES[config.optimization.schedule]
        self._final_decay = config.training.final_decay
        self._total_steps = total_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        progress = tf.cast(step, "float32") / self._total_steps
        return self._peak * self._shape(progress, self._final_decay)

    def at(self, step: int) -> float:
        return float(self(tf.constant(step)))


class WeightAverage:
    """The running mean of the weights, which is scored and saved in place of the last ones.

    Early on it forgets faster than `decay` says, as TensorFlow's ExponentialMovingAverage does;
    else the first rungs would score the initial weights. Without `decay` it does nothing.
    """

    def __init__(self, decay: float, variables: Sequence[keras.Variable]) -> None:
        self._decay = decay
        self._variables = variables if decay else ()
        self.means = [tf.Variable(variable.value) for variable in self._variables]

    def update(self, step: tf.Tensor) -> None:
        """Takes the weights in after the given step, counted from 1."""
        if not self.means:
            return
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1 + step) / (10 + step))
        for mean, variable in zip(self.means, self._variables, strict=True):
            mean.assign_sub((1 - decay) * (mean - variable.value))

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the network computes with the mean."""
        last = [variable.numpy() for variable in self._variables]
        for variable, mean in zip(self._variables, self.means, strict=True):
            variable.assign(mean)
        try:
            yield
        finally:
            for variable, value in zip(self._variables, last, strict=True):
                variable.assign(value)


def build_optimizer(config: Config, schedule: Schedule) -> keras.optimizers.Optimizer:
    name = config.optimization.optimizer
    own = {
        parameter: getattr(config.optimization, parameter)
        for parameter in OPTIMIZER_DEFAULTS[name]
    }
    return OPTIMIZERS[name](learning_rate=schedule, **own)


def _constant(progress: tf.Tensor, final_decay: float) -> tf.Tensor:
    if not final_decay:
        return tf.ones_like(progress)
    return tf.clip_by_value((1 - progress) / final_decay, 0.0, 1.0)


def _cosine(progress: tf.Tensor, _: float) -> tf.Tensor:
    return 0.5 * (1 + tf.cos(math.pi * tf.minimum(progress, 1.0)))


def _one_cycle(progress: tf.Tensor, _: float) -> tf.Tensor:
    rise = 1 / START + (1 - 1 / START) * progress / WARM_UP
    return tf.where(progress < WARM_UP, rise, _cosine((progress - WARM_UP) / (1 - WARM_UP), 0.0))


SHAPES = {"constant": _constant, "cosine": _cosine, "one_cycle": _one_cycle}
"""Factor on the learning rate by progress in [0, 1]."""
