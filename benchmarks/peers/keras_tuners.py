"""KerasTuner as its guides use it: a HyperModel with `build` and `fit`, one trial at a time.

`BayesianOptimization` draws its first trials at random, three times as many as the space has
dimensions unless `num_initial_points` says otherwise, which no guide does: on these spaces of two
to four dozen dimensions it hardly gets further in the time of a case.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner

from benchmarks.peers.shared import Order, build_model, fit_model
from pipelines.splits import SearchData
from spaces.config import Config

ENDLESS = 1_000_000
"""The search goes on until its time is up."""


@dataclass(frozen=True)
class KerasTunerTrial:
    """KerasTuner's hyperparameters behind the calls by which a space asks for values."""

    hp: keras_tuner.HyperParameters

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        return int(self.hp.Int(name, low, high, sampling=_sampling(log=log)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        return float(self.hp.Float(name, low, high, step=step, sampling=_sampling(log=log)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:  # noqa: ANN401 - as Optuna's
        if isinstance(choices[0], bool):
            return self.hp.Boolean(name)
        return self.hp.Choice(name, list(choices))


class Network(keras_tuner.HyperModel):  # type: ignore[misc] # untyped
    """The shared model function as a HyperModel."""

    def __init__(self, order: Order, data: SearchData) -> None:
        super().__init__()
        self._order, self._data = order, data

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        with self._order.noting_failures():
            return build_model(self._order, self._data, self._config(hp))

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *,
        callbacks: Sequence[keras.callbacks.Callback],
        epochs: int | None = None,
        initial_epoch: int = 0,
    ) -> keras.callbacks.History:
        with self._order.noting_failures():
            return fit_model(
                self._order,
                self._data,
                self._config(hp),
                model,
                callbacks,
                epochs=epochs,
                initial_epoch=initial_epoch,
            )

    def _config(self, hp: keras_tuner.HyperParameters) -> Config:
        task = self._order.task
        return task.space.sample(KerasTunerTrial(hp), task.training)


def hyperband(order: Order) -> None:
    epochs = order.task.training.epochs
    _search(order, keras_tuner.Hyperband, max_epochs=epochs, hyperband_iterations=ENDLESS)


def bayesian(order: Order) -> None:
    _search(order, keras_tuner.BayesianOptimization, max_trials=ENDLESS)


def _search(order: Order, tuner: Callable[..., keras_tuner.Tuner], **own: int) -> None:
    keras.utils.set_random_seed(order.seed)
    goal = order.task.goal
    tuner(
        Network(order, order.task.load(None)),
        objective=keras_tuner.Objective(goal.metric, goal.mode),
        seed=order.seed,
        directory=str(order.folder),
        **own,
    ).search()


def _sampling(*, log: bool) -> str:
    return "log" if log else "linear"
