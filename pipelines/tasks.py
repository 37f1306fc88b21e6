"""Task: a data set with its splits, metrics, goal and space. TASKS is the list of them.

Loaders import scikit-learn and pandas when they are called: this module must not, for the
command line reads it before it answers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.images import DIGIT_CLASSES, FASHION_CLASSES, load_digits, load_fashion, load_mnist
from pipelines.splits import Division, SearchData
from pipelines.tabular import (
    CHURN_CLASSES,
    IRIS_CLASSES,
    XOR_CLASSES,
    load_churn,
    load_iris,
    load_xor,
)
from spaces.config import Training
from spaces.errors import unknown
from spaces.space import Space
from spaces.spaces import SPACES


@dataclass(frozen=True)
class Goal:
    """What a search optimizes.

    Attributes:
        metric: A name of the epoch history, such as `val_accuracy`.
        mode: Keras' word for which way is better.
    """

    metric: str
    mode: Literal["max", "min"]

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's word for the mode."""
        return "maximize" if self.mode == "max" else "minimize"

    @property
    def worst(self) -> float:
        """The score that every other is better than."""
        return -math.inf if self.mode == "max" else math.inf

    def better(self, score: float, than: float) -> bool:
        return score > than if self.mode == "max" else score < than


@dataclass(frozen=True)
class Task:
    """A data set with all that a search must know of it.

    Attributes:
        title: Its name for people.
        metrics: Names scored on validation, beside the loss.
        training: How long a trial trains unless the settings say otherwise.
        first_rung: The first epoch at which a trial is judged; see docs/efficiency.md.
        folds: Whether finalists are compared on folds of the rows: where rows are few, the luck
            of a split is larger than that of a seed.
        load_division: Reads the data, from the folder that the user named, if any.
    """

    name: str
    title: str
    space: Space
    goal: Goal
    class_names: tuple[str, ...]
    metrics: tuple[str, ...]
    training: Training
    first_rung: float
    load_division: Callable[[Path | None, Division], SearchData]
    folds: bool = False

    def load(self, data_dir: Path | None, division: Division = "search") -> SearchData:
        """The rows that a search may see, in the division that all trials share or another."""
        return self.load_division(data_dir, division)

    def training_for(self, epochs: int | None) -> Training:
        """How long a trial trains, with the user's number of epochs if there is one."""
        return self.training.model_copy(update={"epochs": epochs}) if epochs else self.training

    @property
    def has_images(self) -> bool:
        """Whether its inputs are images; else they are rows of a table."""
        return self.space.image_side is not None

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def binary(self) -> bool:
        return self.n_classes == 2


ACCURACY = Goal("val_accuracy", "max")
AUC = Goal("val_auc", "max")

TASKS = {
    "fashion": Task(
        name="fashion",
        title="Fashion-MNIST",
        space=SPACES["fashion"],
        goal=ACCURACY,
        class_names=FASHION_CLASSES,
        metrics=("accuracy",),
        training=Training(epochs=20, patience=5, final_decay=0.25),
        first_rung=2,
        load_division=load_fashion,
    ),
    "mnist": Task(
        name="mnist",
        title="MNIST",
        space=SPACES["mnist"],
        goal=ACCURACY,
        class_names=DIGIT_CLASSES,
        metrics=("accuracy",),
        training=Training(epochs=15, patience=4, final_decay=0.25),
        first_rung=2,
        load_division=load_mnist,
    ),
    "churn": Task(
        name="churn",
        title="Bank customer churn",
        space=SPACES["churn"],
        goal=AUC,
        class_names=CHURN_CLASSES,
        metrics=("accuracy", "auc", "pr_auc", "f1"),
        training=Training(epochs=60, patience=12, final_decay=0.25),
        first_rung=9,
        load_division=load_churn,
        folds=True,
    ),
    "digits": Task(
        name="digits",
        title="Digits of scikit-learn, 8x8",
        space=SPACES["digits"],
        goal=ACCURACY,
        class_names=DIGIT_CLASSES,
        metrics=("accuracy",),
        training=Training(epochs=40, patience=10, final_decay=0.25),
        first_rung=5,
        load_division=load_digits,
        folds=True,
    ),
    "iris": Task(
        name="iris",
        title="Iris",
        space=SPACES["iris"],
        goal=ACCURACY,
        class_names=IRIS_CLASSES,
        metrics=("accuracy",),
        training=Training(epochs=100, patience=30, final_decay=0.25),
        first_rung=15,
        load_division=load_iris,
        folds=True,
    ),
    "xor": Task(
        name="xor",
        title="XOR, four rows that are train and validation at once",
        space=SPACES["xor"],
        goal=ACCURACY,
        class_names=XOR_CLASSES,
        metrics=("accuracy",),
        training=Training(epochs=300),
        first_rung=50,
        load_division=load_xor,
    ),
}


def find_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        InputError: there is none; it lists them.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]
