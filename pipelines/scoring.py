"""Metrics of predictions, and the reports on a trained network."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

Metrics = Mapping[str, float]
Labels = NDArray[np.int64]
Counts = NDArray[np.int64]
Probabilities = NDArray[np.float32]
"""(n, classes) from a softmax, or (n, 1) with the probability of class 1 from a sigmoid."""

EPSILON = 1e-7
CALIBRATION_BINS = 15


def predicted(probabilities: Probabilities) -> Labels:
    if probabilities.shape[1] == 1:
        return np.asarray(probabilities[:, 0] > 0.5, dtype=np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def _accuracy(labels: Labels, probabilities: Probabilities) -> float:
    return float(np.mean(predicted(probabilities) == labels))


def _loss(labels: Labels, probabilities: Probabilities) -> float:
    """Mean cross entropy in nats, without penalties or smoothing."""
    if probabilities.shape[1] == 1:
        positive = probabilities[:, 0]
        of_label = np.where(labels == 1, positive, 1 - positive)
    else:
        of_label = probabilities[np.arange(len(labels)), labels]
    return float(-np.mean(np.log(np.clip(of_label, EPSILON, 1.0))))


def _auc(labels: Labels, probabilities: Probabilities) -> float:
    """Area under the ROC curve: how often a row of class 1 is above one of class 0."""
    right, wrong = _by_probability(labels, probabilities)
    below = np.cumsum(wrong) - wrong / 2  # of two equal ones each is above the other half the time
    return float((right * below).sum() / (right.sum() * wrong.sum()))


def _pr_auc(labels: Labels, probabilities: Probabilities) -> float:
    """Average precision: of all thresholds, weighted by the recall that each adds."""
    right, wrong = (counts[::-1] for counts in _by_probability(labels, probabilities))
    precision = np.cumsum(right) / np.cumsum(right + wrong)
    return float((right * precision).sum() / right.sum())


def _by_probability(labels: Labels, probabilities: Probabilities) -> tuple[Counts, Counts]:
    """Rows of class 1 and of class 0 at each probability that occurs, the lowest first.

    scikit-learn's own checks of its input take ten times as long as the scores.
    """
    levels, places = np.unique(probabilities[:, 0], return_inverse=True)
    right = np.bincount(places[labels == 1], minlength=len(levels))
    wrong = np.bincount(places[labels == 0], minlength=len(levels))
    return right, wrong


def _f1(labels: Labels, probabilities: Probabilities) -> float:
    return _f1_of(labels, predicted(probabilities) == 1)


def _macro_f1(labels: Labels, probabilities: Probabilities) -> float:
    """The mean of the classes' F1, each of the same weight; 0 for one that nobody is given."""
    n_classes = max(2, probabilities.shape[1])
    found = predicted(probabilities)
    right = np.bincount(labels[found == labels], minlength=n_classes)
    both = np.bincount(labels, minlength=n_classes) + np.bincount(found, minlength=n_classes)
    return float(np.mean(2 * right / np.maximum(both, 1)))


def _calibration_error(labels: Labels, probabilities: Probabilities) -> float:
    """Expected calibration error of the predicted class, in 15 bins of equal width.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, arxiv.org/abs/1706.04599,
    equation 3: the mean distance of accuracy and confidence, weighted by the rows of a bin.
    """
    positive = probabilities[:, 0]
    binary = probabilities.shape[1] == 1
    confidence = np.maximum(positive, 1 - positive) if binary else probabilities.max(axis=1)
    # Bins are open on the left, as theirs are.
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    distance = (predicted(probabilities) == labels) - confidence.astype(np.float64)
    of_bins = np.bincount(bins, weights=distance, minlength=CALIBRATION_BINS)
    return float(np.abs(of_bins).sum() / len(labels))


def _lift(labels: Labels, probabilities: Probabilities) -> float:
    """How many times the share of class 1 is among the likeliest tenth what it is among all."""
    n_top = max(1, round(len(labels) / 10))
    top = np.argsort(-probabilities[:, 0], kind="stable")[:n_top]
    return float(labels[top].mean() / labels.mean())


METRICS: dict[str, Callable[[Labels, Probabilities], float]] = {
    "loss": _loss,
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "calibration_error": _calibration_error,
    "auc": _auc,
    "pr_auc": _pr_auc,
    "f1": _f1,
    "lift": _lift,
}


def score(labels: Labels, probabilities: Probabilities, names: Sequence[str]) -> dict[str, float]:
    """The named metrics; all NaN where the network no longer answers with numbers."""
    if not np.isfinite(probabilities).all():
        return dict.fromkeys(names, float("nan"))
    return {name: METRICS[name](labels, probabilities) for name in names}


def f1_at(threshold: float, labels: Labels, probabilities: Probabilities) -> float:
    """F1 of class 1, which is given to all rows whose probability is at least the threshold."""
    return _f1_of(labels, probabilities[:, 0] >= threshold)


def _f1_of(labels: Labels, suspected: NDArray[np.bool_]) -> float:
    """0 where nobody is class 1 and nobody is suspected."""
    return float(2 * labels[suspected].sum() / max(1, labels.sum() + suspected.sum()))


def best_threshold(labels: Labels, probabilities: Probabilities) -> float:
    """The threshold of the best F1 on these rows, which must not be those it is used for."""
    precision, recall, thresholds = sk.precision_recall_curve(labels, probabilities[:, 0])
    total = precision[:-1] + recall[:-1]
    f1 = 2 * precision[:-1] * recall[:-1] / np.where(total > 0, total, 1.0)
    return float(thresholds[f1.argmax()])


def classification_report(
    labels: Labels, probabilities: Probabilities, class_names: Sequence[str]
) -> str:
    return str(
        sk.classification_report(
            labels,
            predicted(probabilities),
            labels=range(len(class_names)),
            target_names=class_names,
            digits=4,
            zero_division=0.0,
        )
    )


def confusion_matrix(
    labels: Labels, probabilities: Probabilities, n_classes: int
) -> NDArray[np.int64]:
    """(n_classes, n_classes): true classes in rows, predicted ones in columns."""
    matrix: NDArray[np.int64] = sk.confusion_matrix(
        labels, predicted(probabilities), labels=range(n_classes)
    )
    return matrix
