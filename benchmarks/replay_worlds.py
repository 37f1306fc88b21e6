"""What a replayed search trains on: curves of the table, or of a surrogate fitted on it."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
from optuna.trial import FixedTrial
from scipy.stats import spearmanr
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import KFold, cross_val_predict

from benchmarks import table
from pipelines.tasks import find_task
from spaces.config import OPTIMIZER_DEFAULTS
from spaces.domains import Choice, Float, Value
from spaces.space import Space

Values = Mapping[str, Value]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

MARGIN = 0.003
"""Added to the gap to the best score, whose logarithm the surrogate learns: about the noise."""
_CNN_ONLY = frozenset(
    {"blocks", "kernel_size", "convolutions", "residual", "padding", "pooling", "conv_dropout"}
    | {"head"}
)
_OPTIMIZER_OWN = frozenset(name for own in OPTIMIZER_DEFAULTS.values() for name in own)


@dataclass(frozen=True)
class Curve:
    """What a training shows at its points.

    Attributes:
        scores: The best so far, higher is better.
        seconds: CPU time since the trial began, its building included.
        true: What the config is worth in full.
        expected: The same without the luck of this training, so far as that can be told apart.
    """

    epochs: Sequence[float]
    scores: Sequence[float]
    seconds: Sequence[float]
    true: float
    expected: float
    diverged: bool = False

    def point_at(self, epoch: float) -> int:
        """Index of the first point at or after `epoch`, else of the last one."""
        return min(bisect_left(self.epochs, epoch - 1e-3), len(self.epochs) - 1)

    def point_after(self, seconds: float) -> int:
        """Index of the first point that took so many seconds, else of the last one."""
        return min(bisect_left(self.seconds, seconds), len(self.seconds) - 1)


@dataclass(frozen=True)
class World:
    """A task's table, ready to be replayed.

    Attributes:
        epochs: Of a full training.
        epoch_seconds: Mean CPU time of an epoch.
        full_seconds: Mean CPU time to build a network and train it for all epochs.
    """

    task: str
    epochs: int
    curves: list[Curve]
    values: list[Values]
    sources: list[str]
    epoch_seconds: float
    full_seconds: float


@lru_cache
def load(task_name: str) -> World:
    task, rows = find_task(task_name), table.read(task_name)
    if task.goal.mode != "max":
        raise ValueError("the replay takes a higher score for a better one")
    worst = min((score for row in rows if (score := table.score_of(row)) is not None), default=0.0)
    curves = [_curve(row, worst) for row in rows]
    paces = [_pace(curve, _build(row)) for curve, row in zip(curves, rows, strict=True)]
    builds = [_build(row) for row in rows]
    return World(
        task=task_name,
        epochs=task.training.epochs,
        curves=curves,
        values=[_values(task.space, row) for row in rows],
        sources=[str(row["source"]) for row in rows],
        epoch_seconds=float(np.mean(paces)),
        full_seconds=float(np.mean(builds) + task.training.epochs * np.mean(paces)),
    )


def _build(row: table.Row) -> float:
    return float(cast("float", row["build_seconds"]))


def _pace(curve: Curve, build_seconds: float) -> float:
    return (curve.seconds[-1] - build_seconds) / curve.epochs[-1]


def _curve(row: table.Row, worst: float) -> Curve:
    points = cast("list[list[float]]", row["curve"]) or [[1.0, worst, 0.0]]
    epochs, scores, seconds = (np.array(column, float) for column in zip(*points, strict=True))
    best = np.maximum.accumulate(np.nan_to_num(scores, nan=worst))
    score = table.score_of(row)
    true = worst if score is None else score
    return Curve(
        epochs.tolist(),
        best.tolist(),
        (_build(row) + seconds).tolist(),
        true=true,
        expected=true,
        diverged=score is None,
    )


def _values(space: Space, row: table.Row) -> Values:
    """What the row was drawn with, be it that the space has it no more.

    Of a name newer than the row it is the first, which adds nothing.
    """
    first = {
        name: domain.stored(domain.values[0] if isinstance(domain, Choice) else domain.low)
        for name, domain in space.domains.items()
    }
    drawn = {**first, **cast("dict[str, Any]", row["params"])}
    gone = {
        name
        for name, domain in space.domains.items()
        if isinstance(domain, Choice) and not domain.contains(drawn[name])
    }
    trial = FixedTrial(drawn)
    return {
        name: drawn[name] if name in gone else domain.suggest(trial, name)
        for name, domain in space.domains.items()
    }


def is_used(name: str, values: Values) -> bool:
    """Whether a config makes use of `name`, given the values of what stands before it."""
    cnn = values.get("family", "mlp") == "cnn"
    blocks, layers = (int(values.get("blocks", 0)) if cnn else 0), int(values.get("layers", 0))
    stem, _, number = name.rpartition("_")
    if stem in ("filters", "units"):
        return int(number) <= (blocks if stem == "filters" else layers)
    if name in _OPTIMIZER_OWN:
        return name in OPTIMIZER_DEFAULTS[str(values["optimizer"])]
    needed = {"dropout": layers > 0, "batch_norm": blocks + layers > 0}
    return cnn if name in _CNN_ONLY else needed.get(name, True)


def encode(space: Space, values: Values) -> list[float]:
    """Numbers between 0 and 1, a column a choice; -1 where the config has no use for a name."""
    columns: list[float] = []
    for name, domain in space.domains.items():
        used, value = is_used(name, values), values.get(name)
        if isinstance(domain, Choice):
            columns += [float(value == each) if used else -1.0 for each in domain.values]
        elif not used or value is None:
            columns.append(-1.0)
        else:
            zero = isinstance(domain, Float) and domain.zero
            number = float(domain.stored(value))
            low = float(domain.low) / 10 if zero else float(domain.low)
            if domain.log:
                number, low, high = (
                    math.log(max(number, low)),
                    math.log(low),
                    math.log(domain.high),
                )
            else:
                high = float(domain.high)
            columns.append((number - low) / (high - low))
    return columns


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
