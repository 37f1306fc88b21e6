"""What a replayed search trains on: the curves of a task's table, by the configs they are of."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
from optuna.trial import FixedTrial

from benchmarks import table
from pipelines.tasks import find_task
from spaces.config import OPTIMIZER_DEFAULTS
from spaces.domains import Choice, Float, Value
from spaces.space import Space

Values = Mapping[str, Value]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

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
