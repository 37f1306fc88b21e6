"""Retrainings that were made up, and the verdict on them."""

from collections.abc import Sequence
from typing import Any

import optuna

from search import study as studies
from search.finalists.verdict import (
    Retraining,
    Verdict,
    store,
    verdict,
)
from search.study import Record
from spaces.presets import PRESETS
from tests.fakes import new_study

CONFIG = PRESETS["mnist_conv_net"].config.model_dump(mode="json", exclude_none=True)
METRIC = "val_accuracy"
Draws = Sequence[float | None]
"""Scores of a config's retrainings; None where one failed."""


def a_study(own: dict[int, float], task: str = "fake", **records: Any) -> optuna.Study:
    """A study of completed trials with these scores, numbered from 0."""
    study = new_study()
    study.set_user_attr("task", task)
    for number, score in own.items():
        record = Record(
            CONFIG,
            seed=number,
            state="completed",
            best={"epoch": 3.0, METRIC: score},
            n_parameters=records.get("n_parameters", {}).get(number, 1000),
        )
        studies.write(study, study.ask(), record)
    return study


def retrain(
    study: optuna.Study, number: int, scores: Draws, first: int = 0, seconds: float = 10.0
) -> None:
    for draw, score in enumerate(scores, first):
        best = {} if score is None else {"epoch": 4.0, METRIC: score}
        cause = "diverged" if score is None else ""
        store(study, Retraining(number, draw, 100 + draw, best, 5.0, seconds, cause=cause))


def judged(
    *draws: Draws,
    own: list[float] | None = None,
    task: str = "fake",
    seconds: Sequence[float] = (),
    **records: Any,
) -> Verdict:
    """The verdict on trials from 0 on."""
    study = a_study(dict(enumerate(own or [0.9] * len(draws))), task, **records)
    for number, scores in enumerate(draws):
        retrain(study, number, scores, seconds=seconds[number] if seconds else 10.0)
    found = verdict(study)
    assert found is not None
    return found


def numbers(found: Verdict) -> list[int]:
    return [standing.number for standing in found.standings]
