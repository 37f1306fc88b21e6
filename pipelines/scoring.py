"""Metrics of predictions, and the reports on a trained network."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

Metrics = Mapping[str, float]
Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]
"""(n, classes) from a softmax, or (n, 1) with the probability of class 1 from a sigmoid."""

EPSILON = 1e-7


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
    return float(sk.roc_auc_score(labels, probabilities[:, 0]))


def _pr_auc(labels: Labels, probabilities: Probabilities) -> float:
    return float(sk.average_precision_score(labels, probabilities[:, 0]))


def _f1(labels: Labels, probabilities: Probabilities) -> float:
    return float(sk.f1_score(labels, predicted(probabilities), zero_division=0.0))


METRICS: dict[str, Callable[[Labels, Probabilities], float]] = {
    "loss": _loss,
    "accuracy": _accuracy,
    "auc": _auc,
    "pr_auc": _pr_auc,
    "f1": _f1,
}


def score(labels: Labels, probabilities: Probabilities, names: Sequence[str]) -> dict[str, float]:
    """The named metrics; all NaN where the network no longer answers with numbers."""
    if not np.isfinite(probabilities).all():
        return dict.fromkeys(names, float("nan"))
    return {name: METRICS[name](labels, probabilities) for name in names}


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
