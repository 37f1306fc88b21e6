"""Small studies to evaluate, on workers that are the test's own process."""

import contextlib
import io
from typing import Any

import optuna
import pytest
from rich.console import Console

from pipelines.segment import Segment, train_segment
from pipelines.tasks import TASKS, Task
from search import study as studies
from search.evaluation import evaluate as evaluations
from search.evaluation.evaluate import Evaluation, evaluate
from search.settings import Settings
from search.study import Record
from spaces.config import Config
from tests.inline import InlineEngine

CONFIG = Config.model_validate(
    {
        "network": {"layers": [{"units": 8}]},
        "optimization": {"optimizer": "adam", "learning_rate": 0.02, "batch_size": 16},
        "training": {"epochs": 20, "patience": 1, "final_decay": 0.5},
    }
)


def installed(monkeypatch: pytest.MonkeyPatch, engine: InlineEngine) -> InlineEngine:
    monkeypatch.setattr(evaluations, "local_engine", lambda _: contextlib.nullcontext(engine))
    return engine


def new_study(
    task: str = "iris", name: str = "", config: Config = CONFIG, **fields: Any
) -> optuna.Study:
    """A study of two completed trials, of which the second is the best with `config`.

    Args:
        fields: More of their records.
    """
    goal = TASKS[task].goal
    study = optuna.create_study(study_name=name or f"{task}-1", direction=goal.direction)
    digest = TASKS[task].load(None).digest
    for key, value in (("task", task), ("metric", goal.metric), ("data_digest", digest)):
        study.set_user_attr(key, value)
    for score, each in ((0.8, CONFIG), (0.9, config)):
        trial = study.ask()
        record = Record(
            each.model_dump(mode="json"),
            seed=trial.number,
            state="completed",
            best={"epoch": 7.0, goal.metric: score},
            **fields,
        )
        studies.write(study, trial, record)
    return study


def run(
    settings: Settings, study: optuna.Study, draws: int = 2, task: Task | None = None
) -> tuple[Evaluation, str]:
    """The evaluation, and what it printed on 80 columns."""
    console = Console(width=80, file=io.StringIO(), record=True)
    found = evaluate(
        task or TASKS[study.user_attrs["task"]],
        settings,
        study,
        draws=draws,
        console=console,
        command="hpsearch evaluate iris",
    )
    return found, console.export_text()


def segments(engine: InlineEngine) -> list[Segment]:
    return [given[0] for work, given in engine.sent if work is train_segment]
