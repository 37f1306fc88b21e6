"""The models of scikit-learn, on two kinds of iris, and on the real table where it is."""

from dataclasses import replace

import numpy as np
import optuna
import pytest

from pipelines import sources
from pipelines.classical import CLASSICAL, Classical, score
from pipelines.splits import SearchData, Split
from pipelines.tasks import TASKS
from spaces.domains import Value

BOOSTING, LOGISTIC = CLASSICAL["churn"]
CHURN = TASKS["churn"]
EACH = pytest.mark.parametrize("model", CLASSICAL["churn"], ids=lambda model: model.name)


@pytest.fixture(scope="module")
def flowers() -> SearchData:
    """Versicolor and virginica, which overlap a little."""
    data = TASKS["iris"].load(None)

    def two(split: Split) -> Split:
        kept = split.labels > 0
        return Split(split.inputs[kept], split.labels[kept] - 1)

    return replace(data, train=two(data.train), validation=two(data.validation))


def drawn(model: Classical, seed: int = 0) -> dict[str, Value]:
    sampler = optuna.samplers.RandomSampler(seed=seed)
    return model.draw(optuna.create_study(sampler=sampler).ask())


@EACH
def test_every_draw_can_be_fitted(model: Classical, flowers: SearchData) -> None:
    for seed in range(3):
        fitted = model.fit(flowers, drawn(model, seed), seed)
        scores = score(fitted, flowers.validation, CHURN)
        assert set(scores) == {"loss", *CHURN.metrics}
        assert np.isfinite(list(scores.values())).all()


@EACH
def test_the_same_seed_gives_the_same_model(model: Classical, flowers: SearchData) -> None:
    values = drawn(model)
    once, again = (
        score(model.fit(flowers, values, 3), flowers.validation, CHURN) for _ in range(2)
    )
    assert once == again


def test_the_seed_counts_where_the_trees_see_a_part_of_the_columns(flowers: SearchData) -> None:
    values = {**drawn(BOOSTING), "max_features": 0.5, "min_samples_leaf": 5, "max_iter": 20}
    losses = {
        score(BOOSTING.fit(flowers, values, seed), flowers.validation, CHURN)["loss"]
        for seed in range(4)
    }
    assert len(losses) > 1


def test_scores_are_those_of_the_second_class(flowers: SearchData) -> None:
    fitted = LOGISTIC.fit(flowers, {"C": 1.0}, 0)
    scores = score(fitted, flowers.validation, CHURN)
    assert scores["accuracy"] == fitted.score(flowers.validation.inputs, flowers.validation.labels)
    assert scores["auc"] > 0.9


def test_on_the_real_table_the_boosting_is_ahead() -> None:
    if sources.find("churn", None) is None:
        pytest.skip(f"no churn table: name its folder in {sources.DATA_DIR_VARIABLE}")
    data = CHURN.load(None)
    plain = {"learning_rate": 0.05, "max_iter": 100, "max_leaf_nodes": 8}
    boosting = score(BOOSTING.fit(data, plain, 0), data.validation, CHURN)
    logistic = score(LOGISTIC.fit(data, {"C": 1.0}, 0), data.validation, CHURN)
    assert boosting["auc"] > logistic["auc"] + 0.05 > 0.75
