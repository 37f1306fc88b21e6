"""Studies with a winner to export, and what an export of it says."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna

from pipelines.tasks import TASKS
from search import study as studies
from search.finalists.verdict import Retraining
from search.study import Record
from spaces.presets import PRESETS
from tests.fakes import new_study

MLP = PRESETS["iris_mlp_32"].config
Export = Callable[..., dict[str, bytes]]


def add(study: optuna.Study, score: float | None, **changes: Any) -> None:
    trial = study.ask()
    record = Record(
        MLP.model_dump(mode="json", exclude_none=True),
        seed=trial.number,
        state="completed",
        run_id=f"run-{trial.number}",
        epoch=float(MLP.training.epochs),
        best={} if score is None else {"epoch": 3.0, "val_accuracy": score, "val_loss": 0.25},
        n_parameters=4371,
    )
    studies.write(study, trial, replace(record, **changes))


def retrain(study: optuna.Study, number: int, *scores: float, **changes: Any) -> None:
    """Stores one retraining of a trial for each score."""
    for draw, score in enumerate(scores):
        retraining = Retraining(
            number=number,
            draw=draw,
            seed=100 + draw,
            last={"epoch": 4.0, "val_accuracy": score, "val_loss": 0.3},
            epochs=9.0,
            train_seconds=1.0,
            run_id=f"again-{number}-{draw}",
        )
        fields = {**vars(retraining), **changes} if draw == 0 else vars(retraining)
        study.set_user_attr(f"retraining_{number}_{draw}", fields)


def in_study(task: str) -> optuna.Study:
    """Three completed trials, the best in the middle, one pruned and one failed."""
    found = new_study()
    found.set_user_attr("task", task)
    found.set_user_attr("data_digest", TASKS[task].load(None).digest)
    add(found, 0.91)
    add(found, 0.98, preset="iris_mlp_32")
    add(found, 0.9)
    add(found, 0.99, state="pruned")
    add(found, None, state="failed")
    return found


def scores(files: dict[str, bytes]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files["scores.json"])
    return content


def card(files: dict[str, bytes]) -> str:
    return files["MODEL_CARD.md"].decode()
