"""What the guide's pictures are made of: lines, curves and rows of dots over seeds."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.guide_results import Outcome

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b5b5b")
"""Okabe and Ito's, which colour-blind people can tell apart."""
MARKERS = "osD^vP*"
TRAIN = "#8a8f98"

Measure = Callable[[Outcome], float]
Curve = Callable[[Outcome], list[float]]
Point = tuple[float, Sequence[Outcome]]


def panels(count: int, height: float = 3.4, *, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(4.6 * count, height), layout="constrained")
    axes: list[Axes] = list(figure.subplots(1, count, squeeze=False, sharey=share_y).flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes


def end(outcome: Outcome) -> float:
    return 100 * outcome.end


def train_end(outcome: Outcome) -> float:
    return math.nan if outcome.train_score is None else 100 * outcome.train_score


def finite(outcomes: Sequence[Outcome], measure: Measure) -> list[float]:
    return [value for value in map(measure, outcomes) if math.isfinite(value)]


def mean(outcomes: Sequence[Outcome], measure: Measure) -> float:
    """Of those that did not diverge; NaN if all did."""
    values = finite(outcomes, measure)
    return statistics.mean(values) if values else math.nan


def line(
    axis: Axes,
    points: Sequence[Point],
    measure: Measure,
    *,
    colour: str,
    marker: str = "o",
    label: str | None = None,
) -> None:
    """Means over seeds, joined, and the range of the seeds; what diverged is left out."""
    values = [(x, finite(outcomes, measure)) for x, outcomes in points]
    values = [(x, each) for x, each in values if each]
    xs = [x for x, _ in values]
    means = [statistics.mean(each) for _, each in values]
    axis.plot(xs, means, color=colour, marker=marker, label=label)
    low, high = [min(each) for _, each in values], [max(each) for _, each in values]
    axis.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)


def curve(
    axis: Axes,
    outcomes: Sequence[Outcome],
    values: Curve,
    *,
    colour: str,
    style: str = "-",
    label: str | None = None,
) -> None:
    """Means over seeds by epoch, and the range of the seeds, up to where one diverged."""
    length = min(len(values(each)) for each in outcomes)
    block = np.array([values(each)[:length] for each in outcomes]).reshape(len(outcomes), length)
    epochs = np.arange(1, length + 1)
    axis.plot(epochs, block.mean(axis=0), color=colour, linestyle=style, label=label)
    low, high = block.min(axis=0), block.max(axis=0)
    axis.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
    axis.set_xlabel("epoch")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def scores(outcome: Outcome) -> list[float]:
    return [100 * value for value in outcome.score]


def train_losses(outcome: Outcome) -> list[float]:
    return outcome.train_loss


def val_losses(outcome: Outcome) -> list[float]:
    return outcome.val_loss


def epoch_seconds(outcome: Outcome) -> float:
    return outcome.epoch_seconds


def dots(axis: Axes, rows: Mapping[str, Sequence[Outcome]], measure: Measure) -> None:
    """A dot for every seed and a bar at their mean, one row a label, the first on top."""
    for position, outcomes in enumerate(rows.values()):
        values = finite(outcomes, measure)
        axis.plot(values, [position] * len(values), "o", color=COLOURS[0], alpha=0.6, ms=6)
        if values:
            axis.plot(statistics.mean(values), position, "|", color="black", ms=16, mew=2)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set_ylim(len(rows) - 0.5, -0.5)
