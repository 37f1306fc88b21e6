"""Trainings of configs that are not in the table: told by models fitted on its rows."""

import math

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import KFold, cross_val_predict

from benchmarks.replay_worlds import Curve, Floats, Values, World, encode
from pipelines.tasks import find_task

MARGIN = 0.003
"""Added to the gap to the best score, whose logarithm the surrogate learns: about the noise."""


class Surrogate:
    """Curves of configs that are not in the table, by models fitted on its rows.

    A config is worth what boosted trees say and the residual of a row that a forest finds
    like it. Part of that residual is a matter of the config, part is luck, which a search may
    climb: without it the curve's `expected` is what the trees say alone. The row lends the shape
    of its curve too, and the epochs until it stops. A forest of its own knows the time.
    """

    def __init__(self, world: World) -> None:
        self._space = find_task(world.task).space
        self._curves = world.curves
        self._worst = min(curve.true for curve in world.curves)
        inputs = inputs_of(world)
        self._top, gaps = _gaps(world)
        self._score = _boosted().fit(inputs, gaps)
        self._residuals = gaps - _predicted(inputs, gaps)
        self._likeness = _Forest(inputs, gaps)
        self._first_seconds = np.array([curve.seconds[0] for curve in world.curves])
        paces = [
            (c.seconds[-1] - c.seconds[0]) / max(c.epochs[-1] - c.epochs[0], 1.0)
            for c in world.curves
        ]
        self._log_paces = np.log(paces)
        self._time = _Forest(inputs, self._log_paces)

    def curve(self, values: Values, rng: np.random.Generator) -> Curve:
        inputs = np.array(encode(self._space, values))
        likeness, mates = self._likeness.weights(inputs), self._time.weights(inputs)
        donor = int(rng.choice(len(likeness), p=likeness))
        shape = self._curves[donor]
        gap = float(self._score.predict([inputs])[0])
        true = self._worth(gap + self._residuals[donor])
        pace = math.exp(float(mates @ self._log_paces))
        seconds = mates @ self._first_seconds + pace * (np.array(shape.epochs) - shape.epochs[0])
        return Curve(
            shape.epochs,
            (true - shape.true + np.array(shape.scores)).tolist(),
            seconds.tolist(),
            true=true,
            expected=self._worth(gap),
            diverged=shape.diverged,
        )

    def _worth(self, gap: float) -> float:
        return min(1.0, max(self._worst, self._top - math.exp(-gap)))


def inputs_of(world: World) -> Floats:
    space = find_task(world.task).space
    return np.array([encode(space, values) for values in world.values])


def _gaps(world: World) -> tuple[float, Floats]:
    """The score that no gap is left to, and minus the logarithm of each row's gap to it."""
    scores = np.array([curve.true for curve in world.curves])
    top = float(scores.max()) + MARGIN
    return top, -np.log(top - scores)


def _boosted() -> GradientBoostingRegressor:
    """Of what was tried on churn it ranks best: forests, splines, Gaussian processes."""
    return GradientBoostingRegressor(
        n_estimators=200,
        learning_rate=0.05,
        max_depth=3,
        subsample=0.6,
        max_features=0.5,
        min_samples_leaf=3,
        random_state=0,
    )


def _predicted(inputs: Floats, gaps: Floats) -> Floats:
    """What trees say of rows that they have not seen."""
    folds = KFold(5, shuffle=True, random_state=0)
    predicted: Floats = cross_val_predict(_boosted(), inputs, gaps, cv=folds)
    return predicted


class _Forest:
    """A fitted forest, as the weights that it gives the rows it was fitted on.

    Walks all trees at once: scikit-learn's own prediction takes milliseconds for a single row.
    """

    def __init__(self, inputs: Floats, targets: Floats) -> None:
        forest = RandomForestRegressor(100, min_samples_leaf=2, max_features=0.4, random_state=0)
        forest.fit(inputs, targets)
        trees = [each.tree_ for each in forest.estimators_]
        size = max(tree.node_count for tree in trees)

        def padded(name: str) -> Floats:
            return np.array([np.pad(getattr(t, name), (0, size - t.node_count)) for t in trees])

        self._feature, self._threshold = padded("feature"), padded("threshold")
        self._left, self._right = padded("children_left"), padded("children_right")
        self._each = np.arange(len(trees))
        self._leaves = forest.apply(inputs)

    def weights(self, inputs: Floats) -> Floats:
        """How much each row counts for one config; they sum to 1."""
        node, row, each = np.zeros(len(self._each), int), inputs.astype(np.float32), self._each
        while (inner := self._left[each, node] > 0).any():  # no node stands above the first
            feature = np.where(inner, self._feature[each, node], 0)
            goes_left = row[feature] <= self._threshold[each, node]
            down = np.where(goes_left, self._left[each, node], self._right[each, node])
            node = np.where(inner, down, node)
        same = self._leaves == node
        weights: Floats = (same / same.sum(axis=0)).mean(axis=1)
        weights /= weights.sum()
        return weights


def rank_correlations(world: World) -> dict[str, float]:
    """Spearman's, of true scores with those predicted for rows that were left out."""
    scores = np.array([curve.true for curve in world.curves])
    predicted = _predicted(inputs_of(world), _gaps(world)[1])
    kinds = {
        "all rows": np.ones(len(scores), bool),
        "random rows": np.array([source == "random" for source in world.sources]),
        "best quarter": scores >= np.quantile(scores, 0.75),
    }
    return {
        name: round(float(spearmanr(scores[rows], predicted[rows]).statistic), 2)
        for name, rows in kinds.items()
    }
