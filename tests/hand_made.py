"""Trials with records that were made up, for what only looks at them."""

from dataclasses import replace
from typing import Any

import optuna

from search import study as studies
from search.study import Record
from spaces.config import Config
from spaces.presets import PRESETS

METRIC = "val_accuracy"
CNN = PRESETS["mnist_conv_net"].config


def rows(*scores: float) -> list[dict[str, float]]:
    return [
        {
            "epoch": float(epoch),
            "train_loss": 1 - score,
            "train_accuracy": score + 0.01,
            "val_loss": 1 - score,
            METRIC: score,
            "learning_rate": 0.001,
            "epoch_seconds": 2.0,
        }
        for epoch, score in enumerate(scores, 1)
    ]


def a_record(*scores: float, config: Config = CNN, **changes: Any) -> Record:
    own = rows(*scores)
    record = Record(
        config.model_dump(mode="json", exclude_none=True),
        seed=11,
        state="completed",
        epoch=float(len(own)),
        rows=own,
        best=max(own, key=lambda row: row[METRIC]) if own else {},
        n_parameters=93_322,
        note="early stopping: no better for 4 epochs",
        worker_seconds=2.5 * len(own),
        train_seconds=2.0 * len(own),
    )
    return replace(record, **changes)


def add(study: optuna.Study, record: Record, judged: dict[int, float] | None = None) -> int:
    """A trial with this record, ended if it has."""
    trial = study.ask()
    studies.write(study, trial, record)
    for step, score in (judged or {}).items():
        trial.report(score, step)
    if record.ended:
        studies.tell(study, trial, record)
    return trial.number
