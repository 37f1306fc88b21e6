"""Scores on the test rows with both of their uncertainties: of the seed, and of the rows."""

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pipelines import scoring
from pipelines.scoring import Labels, Probabilities
from pipelines.tasks import Task
from search.evaluation.ledger import Interval, Score

NAMES = ("accuracy", "loss", "macro_f1", "calibration_error")
NAMES_OF_TWO_CLASSES = ("auc", "pr_auc", "lift")
AT_THRESHOLD = "f1_at_threshold"
RESAMPLES = 1000
RESAMPLING_SEED = 0
BIASED = frozenset({"calibration_error"})
"""Resampled rows repeat one another and look worse calibrated than they are: no interval."""

Metric = Callable[[Labels, Probabilities], float]


def scored(
    task: Task,
    labels: Labels,
    probabilities: Sequence[Probabilities],
    thresholds: Sequence[float | None],
) -> dict[str, Score]:
    """The scores of the trainings of one config, by name.

    Args:
        probabilities: Of the test rows, one array a training.
        thresholds: Of F1, one a training, chosen on other rows; None for more than two classes.
    """
    metrics = [_metrics(task, threshold) for threshold in thresholds]
    each = [_values(own, labels, p) for own, p in zip(metrics, probabilities, strict=True)]
    resampled = _resampled(metrics, labels, probabilities)
    return {
        name: Score(
            values=(values := tuple(one[name] for one in each)),
            interval=mean_interval(values),
            sampling=None if name in BIASED else _middle(resampled[name]),
        )
        for name in each[0]
    }


def scored_together(
    task: Task, labels: Labels, probabilities: Sequence[Probabilities]
) -> dict[str, Score]:
    """The scores of the ensemble, which says the mean of what its networks say; none of one."""
    if len(probabilities) < 2:
        return {}
    return scored(task, labels, [np.mean(probabilities, axis=0)], [None])


def mean_interval(values: Sequence[float]) -> Interval | None:
    """95 % interval of the mean by Student's t; None for a single value."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit  # late: a quarter of a second

    mean, error = statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5
    half = float(stdtrit(len(values) - 1, 0.975)) * error
    return mean - half, mean + half


def _metrics(task: Task, threshold: float | None) -> dict[str, Metric]:
    names = (*NAMES, *NAMES_OF_TWO_CLASSES) if task.binary else NAMES
    found: dict[str, Metric] = {name: scoring.METRICS[name] for name in names}
    if threshold is not None:
        found[AT_THRESHOLD] = functools.partial(scoring.f1_at, threshold)
    return found


def _values(
    metrics: Mapping[str, Metric], labels: Labels, probabilities: Probabilities
) -> dict[str, float]:
    return {name: metric(labels, probabilities) for name, metric in metrics.items()}


def _resampled(
    metrics: Sequence[Mapping[str, Metric]], labels: Labels, probabilities: Sequence[Probabilities]
) -> dict[str, list[float]]:
    """Means over the trainings on rows drawn with replacement, as if the test set were another."""
    chance = np.random.default_rng(RESAMPLING_SEED)
    found: dict[str, list[float]] = {name: [] for name in metrics[0] if name not in BIASED}
    for _ in range(RESAMPLES):
        rows = chance.integers(0, len(labels), len(labels))
        drawn = labels[rows]
        parts = [p[rows] for p in probabilities]
        for name, means in found.items():
            values = [own[name](drawn, p) for own, p in zip(metrics, parts, strict=True)]
            means.append(statistics.fmean(values))
    return found


def _middle(means: Sequence[float]) -> Interval:
    """The middle 95 %."""
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
