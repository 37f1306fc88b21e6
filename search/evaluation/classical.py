"""The models of scikit-learn, tuned and measured as the networks are."""

import time
from collections.abc import Mapping
from dataclasses import replace

import optuna

from pipelines.classical import Classical, score
from pipelines.splits import SearchData, Split
from pipelines.tasks import Task
from search.evaluation.measurements import Measurement, plain
from spaces.domains import Value

TRIALS = "tuned_trials"
"""Stands beside the hyperparameters in the config of a measurement."""


def values_of(config: Mapping[str, object]) -> dict[str, Value]:
    """The hyperparameters in the config of a measurement."""
    return {
        name: value
        for name, value in config.items()
        if name != TRIALS and isinstance(value, str | int | float | bool)
    }


def n_trials(config: Mapping[str, object]) -> int:
    """With how many trials a measured model was tuned."""
    return int(str(config[TRIALS]))


def tune(
    model: Classical, task: Task, data: SearchData, trials: int, seed: int
) -> dict[str, Value]:
    """The best values of so many trials, by the task's goal on its validation rows."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction=task.goal.direction, sampler=optuna.samplers.TPESampler(seed=seed)
    )

    def objective(trial: optuna.Trial) -> float:
        values = model.draw(trial)
        trial.set_user_attr("values", values)
        scores = score(model.fit(data, values, seed), data.validation, task)
        return scores[plain(task.goal.metric)]

    study.optimize(objective, n_trials=trials)
    found: dict[str, Value] = study.best_trial.user_attrs["values"]
    return found


def validated(
    model: Classical, values: Mapping[str, Value], task: Task, data: SearchData, new: Measurement
) -> Measurement:
    """The measurement with its scores on the validation rows of `data`."""
    started = time.perf_counter()
    fitted = model.fit(data, values, new.seed)
    seconds = time.perf_counter() - started
    scores = score(fitted, data.validation, task)
    validation = {f"val_{name}": value for name, value in scores.items()}
    return replace(new, validation=validation, train_seconds=seconds)


def tested(
    model: Classical, measured: Measurement, task: Task, data: SearchData, sealed: Split
) -> Measurement:
    """The measurement with its scores on the sealed rows, of a model fitted on `data.train`."""
    fitted = model.fit(data, values_of(measured.config), measured.seed)
    return replace(measured, test=score(fitted, sealed, task))
