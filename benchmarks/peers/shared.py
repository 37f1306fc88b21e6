"""What all peers have in common: data, space, model function, and the record of their scores.

The model is the project's network with Keras' own layers and optimizers, in float32, and is
trained by `model.fit`, as a user of the peer would write it.
"""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.augmentation import augment
from pipelines.graph import PREDICTION_BATCH
from pipelines.networks import build_network
from pipelines.optimizers import Schedule
from pipelines.splits import SearchData, Split
from pipelines.tasks import Task, find_task
from search.machine import Machine
from spaces.config import OPTIMIZER_DEFAULTS, Augmentation, Config
from spaces.domains import Value
from spaces.starts import known_configs

OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "nadam": keras.optimizers.Nadam,
}
AUC_THRESHOLDS = 1000
"""Keras' 200 are a few ten-thousandths off the exact area."""


@dataclass(frozen=True)
class Order:
    """What a peer is asked to do: search until its time is up.

    Attributes:
        presets: Try first what this project's search tries first: its starts, then the presets.
        project_training: Train by this project's session in place of `model.fit`.
        folder: For whatever the peer writes.
        began: When its process was started, as `time.time()` says.
        ends: When its time is up.
    """

    task_name: str
    seed: int
    presets: bool
    project_training: bool
    folder: Path
    began: float
    ends: float

    @property
    def task(self) -> Task:
        return find_task(self.task_name)

    @property
    def preset_values(self) -> list[dict[str, Value]]:
        """What the peer is to try first, as its flat hyperparameters."""
        space = self.task.space
        known = known_configs(self.task_name).values() if self.presets else []
        return [space.encode(config) for config in known if space.contains(config)]

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    def add_score(self, score: float, config: Config) -> None:
        """Writes down that a validation score is known now; several processes may do so."""
        seconds = time.time() - self.began
        chosen = config.model_dump(mode="json")
        self._add({"seconds": seconds, "score": score, "config": chosen})

    def add_failure(self, reason: str) -> None:
        self._add({"failure": reason})

    @contextlib.contextmanager
    def noting_failures(self, *expected: type[Exception]) -> Iterator[None]:
        """Writes down by what error a trial ends, but for the `expected` of a pruned one."""
        try:
            yield
        except expected:
            raise
        except Exception as error:
            self.add_failure(f"{type(error).__name__}: {error}")
            raise

    def _add(self, event: Mapping[str, object]) -> None:
        with self.events.open("a") as file:
            file.write(json.dumps(event) + "\n")


@dataclass(frozen=True)
class Given:
    """Stands for a trial whose values are known: `Space.sample` makes a config of them."""

    values: Mapping[str, Any]

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return int(self.values[name])

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        return float(self.values[name])

    def suggest_categorical(self, name: str, choices: Any) -> Any:  # noqa: ANN401 - Optuna's
        return self.values[name]


class ScoreEvents(keras.callbacks.Callback):  # type: ignore[misc] # untyped
    """Writes down the score of every epoch, whatever the early stopping makes of it."""

    def __init__(self, order: Order, config: Config) -> None:
        super().__init__()
        self._order, self._config = order, config
        self._diverged = False

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        known = logs or {}
        self._order.add_score(float(known[self._order.task.goal.metric]), self._config)
        if not self._diverged and not math.isfinite(known["loss"]):
            self._diverged = True
            self._order.add_failure("diverged")


def build_model(order: Order, data: SearchData, config: Config) -> keras.Model:
    """The config's network, compiled."""
    model = build_network(config, data.input_shape, order.task.n_classes)
    smoothing = config.regularization.label_smoothing
    if order.task.binary:
        loss = keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
    else:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    auc = keras.metrics.AUC(AUC_THRESHOLDS, name="auc")
    metric = auc if order.task.goal.metric == "val_auc" else "accuracy"
    model.compile(_optimizer(config, _steps_per_epoch(config, data)), loss, metrics=[metric])
    return model


def fit_model(
    order: Order,
    data: SearchData,
    config: Config,
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
    *,
    epochs: int | None = None,
    initial_epoch: int = 0,
) -> keras.callbacks.History:
    batch_size = config.optimization.batch_size
    own = [ScoreEvents(order, config), early_stopping(order.task, config)]
    if config.regularization.weight_averaging:
        own.insert(0, keras.callbacks.SwapEMAWeights())
    # KerasTuner goes on with stored weights, and would begin the schedule anew.
    model.optimizer.iterations.assign(initial_epoch * _steps_per_epoch(config, data))
    inputs, labels = _arrays(data.train, order.task.n_classes)
    if config.augmentation == Augmentation():
        training: dict[str, Any] = {"x": inputs, "y": labels, "batch_size": batch_size}
    else:
        training = {"x": _augmented(inputs, labels, config), "shuffle": False}
    return model.fit(
        **training,
        validation_data=_arrays(data.validation, order.task.n_classes),
        # As this project's; else it is that of the training, or 32 where images are augmented.
        validation_batch_size=PREDICTION_BATCH,
        class_weight=_class_weight(data.train, config),
        epochs=epochs or config.training.epochs,
        initial_epoch=initial_epoch,
        callbacks=[*own, *callbacks],
        verbose=0,
    )


def early_stopping(task: Task, config: Config) -> keras.callbacks.EarlyStopping:
    """Patience that begins when a session of this project's would begin to count it, in epochs.

    Scores of earlier epochs are no best to it, so that it ends no sooner than a session does; all
    peers take a trial's best from its whole history.
    """
    return keras.callbacks.EarlyStopping(
        task.goal.metric,
        mode=task.goal.mode,
        patience=config.training.patience,
        start_from_epoch=int(config.plateau_from),
    )


def project_scores(order: Order, data: SearchData, config: Config) -> Iterator[float]:
    """Trains by this project's session; yields the score of every epoch."""
    from pipelines.session import TrainingSession

    task, how = order.task, Machine.here().runtime(order.task)
    session = TrainingSession(task, data, config, seed=order.seed, how=how)
    while session.stop is None:
        (row,) = session.advance(session.epoch + 1)
        order.add_score(row[task.goal.metric], config)
        yield row[task.goal.metric]


def _optimizer(config: Config, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    name, average = config.optimization.optimizer, config.regularization.weight_averaging
    own = {parameter: getattr(config.optimization, parameter) for parameter in _own(name)}
    schedule = Schedule(config, config.training.epochs * steps_per_epoch)
    if not average:
        return OPTIMIZERS[name](learning_rate=schedule, **own)
    return WARMED_UP[name](learning_rate=schedule, use_ema=True, ema_momentum=average, **own)


def _own(optimizer: str) -> list[str]:
    return list(OPTIMIZER_DEFAULTS[optimizer])


def _warmed_up(base: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """The optimizer with a running mean that forgets fast at first, as this project's does.

    Keras' own would score nearly the first weights for an epoch or two, and a peer that stops
    trials early would lose every config with a long mean.
    """

    class WarmedUp(base):  # type: ignore[misc] # untyped
        @property
        def ema_momentum(self) -> Any:  # noqa: ANN401 - a number or a tensor
            step = tf.cast(self.iterations.value, tf.float32) + 1
            return tf.minimum(self._longest, (1 + step) / (10 + step))

        @ema_momentum.setter
        def ema_momentum(self, value: float) -> None:
            self._longest = value

    return WarmedUp


WARMED_UP = {name: _warmed_up(optimizer) for name, optimizer in OPTIMIZERS.items()}


def _steps_per_epoch(config: Config, data: SearchData) -> int:
    return math.ceil(len(data.train.labels) / config.optimization.batch_size)


@lru_cache
def _arrays(split: Split, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    labels = split.labels[:, None] if n_classes == 2 else np.eye(n_classes)[split.labels]
    return split.inputs.astype("float32"), labels.astype("float32")


def _augmented(inputs: np.ndarray, labels: np.ndarray, config: Config) -> tf.data.Dataset:
    def change(images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.random.uniform((2,), maxval=2**31 - 1, dtype=tf.int32)
        return augment(images, config.augmentation, seed), targets

    return (
        tf.data.Dataset.from_tensor_slices((inputs, labels))
        .shuffle(len(labels))
        .batch(config.optimization.batch_size, drop_remainder=True)  # `augment` wants the shape
        .map(change, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _class_weight(split: Split, config: Config) -> dict[int, float] | None:
    if config.regularization.class_weight == "none":
        return None
    counts = np.bincount(split.labels)
    return dict(enumerate(counts.sum() / (len(counts) * counts)))
