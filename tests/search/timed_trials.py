"""Studies whose trials were in work from one second to another."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import optuna
from optuna.trial import TrialState

from pipelines.tasks import TASKS
from search.study import Record
from spaces.presets import PRESETS
from tests.fakes import new_study

DIGITS = TASKS["digits"]
NOON = dt.datetime(2026, 11, 21, 12)  # noqa: DTZ001 - as Optuna stores it
CONFIG = PRESETS["mnist_conv_net"].config.with_epochs(DIGITS.training.epochs)


def a_study(
    spans: Sequence[tuple[float, float]], *, epochs: int = DIGITS.training.epochs, **record: Any
) -> optuna.Study:
    """A study of trials in work from one second to another, a third of them completed."""
    study = new_study(name=record.pop("name", "fake-study"))
    config = CONFIG.with_epochs(epochs).model_dump(mode="json", exclude_none=True)
    for number, (begin, end) in enumerate(spans):
        completed = number % 3 == 0
        own = Record(
            config,
            seed=number,
            state="completed" if completed else "pruned",
            epoch=9.0,
            worker_seconds=(end - begin) * 0.9,
            train_seconds=(end - begin) * 0.8,
        )
        trial = optuna.trial.create_trial(
            state=TrialState.COMPLETE if completed else TrialState.PRUNED,
            value=0.9 if completed else None,
            user_attrs={"record": dict(vars(replace(own, **record)))},
        )
        trial.datetime_start = NOON + dt.timedelta(seconds=begin)
        trial.datetime_complete = NOON + dt.timedelta(seconds=end)
        study.add_trial(trial)
    return study


def in_turn(n_workers: int, n_trials: int, seconds: float = 4.0) -> list[tuple[float, float]]:
    """Begin and end of trials that workers do one after the other, a second between two."""
    return [
        ((n // n_workers) * (seconds + 1), (n // n_workers) * (seconds + 1) + seconds)
        for n in range(n_trials)
    ]
