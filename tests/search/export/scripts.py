"""Configs, and the train.py that is written for each."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna

from pipelines.tabular import CATEGORIES, NUMBERS, TARGET
from pipelines.tasks import TASKS
from search.export.script import training_script
from spaces.config import Config
from spaces.presets import PRESETS

DRAWS = 30


def drawn(task: str) -> list[Config]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space, training = TASKS[task].space, TASKS[task].training
    return [space.sample(study.ask(), training) for _ in range(DRAWS)]


def configs(task: str) -> list[Config]:
    return drawn(task) + [p.config for p in PRESETS.values() if p.task == task]


def script(task: str, config: Config) -> str:
    return training_script(TASKS[task], config, "t000 of a study")


def module(task: str, config: Config) -> SimpleNamespace:
    """What the script defines."""
    names: dict[str, Any] = {"__name__": "train"}
    exec(compile(script(task, config), "train.py", "exec"), names)
    return SimpleNamespace(**names)


def write_customers(folder: Path, count: int = 300) -> None:
    """A table in which the young and the poor leave more often."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    names = ["RowNumber", *CATEGORIES, *NUMBERS, TARGET]
    lines = [",".join(names)]
    for row in range(count):
        numbers = generator.uniform(0, 1, len(NUMBERS))
        leaves = int(numbers[:2].sum() + generator.normal(0, 0.3) < 0.7)
        words = [("France", "Spain", "Germany")[row % 3], ("Female", "Male")[row % 2]]
        lines.append(",".join([str(row), *words, *(f"{n:.4f}" for n in numbers), str(leaves)]))
    folder.joinpath("Churn_Modelling.csv").write_text("\n".join(lines) + "\n")
