"""What a table's networks must be compared with: boosted trees and logistic regression."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines import scoring
from pipelines.scoring import Probabilities
from pipelines.splits import SearchData, Split
from pipelines.tasks import Task
from spaces.domains import Domain, Float, Int, Suggester, Value

Values = Mapping[str, Value]


@dataclass(frozen=True)
class Classical:
    """A model of scikit-learn with what may vary in it.

    Attributes:
        make: The estimator from a seed and the drawn values.
    """

    name: str
    title: str
    domains: Mapping[str, Domain]
    make: Callable[[int, Values], Any]

    def draw(self, trial: Suggester) -> dict[str, Value]:
        return {name: domain.suggest(trial, name) for name, domain in self.domains.items()}

    def fit(self, data: SearchData, values: Values, seed: int) -> Any:  # noqa: ANN401 - scikit-learn
        return self.make(seed, values).fit(data.train.inputs, data.train.labels)


def _boosting(seed: int, values: Values) -> Any:  # noqa: ANN401 - scikit-learn has no types
    from sklearn.ensemble import HistGradientBoostingClassifier  # late: it takes a second

    # All iterations are trained: their number is tuned, and no rows are held back for stopping.
    return HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **values)


def _logistic(seed: int, values: Values) -> Any:  # noqa: ANN401 - as above
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, random_state=seed, **values)


CLASSICAL = {
    "churn": (
        Classical(
            name="boosting",
            title="HistGradientBoostingClassifier of scikit-learn, tuned",
            domains={
                "learning_rate": Float(0.01, 0.3, log=True),
                "max_iter": Int(20, 400, log=True),
                "max_leaf_nodes": Int(3, 31, log=True),
                "min_samples_leaf": Int(5, 200, log=True),
                "l2_regularization": Float(1e-3, 100.0, log=True, zero=True),
                "max_features": Float(0.3, 1.0, step=0.1),
            },
            make=_boosting,
        ),
        Classical(
            name="logistic",
            title="LogisticRegression of scikit-learn, tuned",
            domains={"C": Float(1e-4, 1e3, log=True)},
            make=_logistic,
        ),
    ),
}
"""By task. They get what the networks get: scaled numbers and one-hot categories."""


def score(model: Any, split: Split, task: Task) -> dict[str, float]:  # noqa: ANN401 - as above
    """The loss and the task's metrics on rows that the model has not seen."""
    probabilities: Probabilities = model.predict_proba(split.inputs)[:, 1:].astype(np.float32)
    return scoring.score(split.labels, probabilities, ("loss", *task.metrics))
