"""Metrics and reports, against scikit-learn and Keras on random predictions."""

import math

import keras
import numpy as np
import pytest
from sklearn import metrics as sk

from pipelines import scoring
from pipelines.tasks import TASKS

NAMES = ("loss", "accuracy", "auc", "pr_auc", "f1")
RANDOM = np.random.default_rng(11)
N = 500

LABELS_2 = (RANDOM.random(N) < 0.2).astype(np.int64)
POSITIVE = np.clip(0.35 * LABELS_2 + 0.65 * RANDOM.random(N), 0.001, 0.999).astype(np.float32)
SIGMOID = POSITIVE[:, None]

LABELS_4 = RANDOM.integers(0, 4, N)
SOFTMAX = RANDOM.dirichlet(np.ones(4), N).astype(np.float32)
SOFTMAX_64 = SOFTMAX.astype(np.float64) / SOFTMAX.astype(np.float64).sum(axis=1, keepdims=True)


def test_two_classes_are_scored_as_scikit_learn_does() -> None:
    guessed = POSITIVE > 0.5
    assert scoring.score(LABELS_2, SIGMOID, NAMES) == pytest.approx(
        {
            "loss": sk.log_loss(LABELS_2, POSITIVE.astype(np.float64)),
            "accuracy": sk.accuracy_score(LABELS_2, guessed),
            "auc": sk.roc_auc_score(LABELS_2, POSITIVE),
            "pr_auc": sk.average_precision_score(LABELS_2, POSITIVE),
            "f1": sk.f1_score(LABELS_2, guessed),
        },
        rel=1e-5,
    )


def test_many_classes_are_scored_as_scikit_learn_does() -> None:
    assert scoring.score(LABELS_4, SOFTMAX, ("loss", "accuracy")) == pytest.approx(
        {
            "loss": sk.log_loss(LABELS_4, SOFTMAX_64, labels=range(4)),
            "accuracy": sk.accuracy_score(LABELS_4, SOFTMAX.argmax(axis=1)),
        },
        rel=1e-5,
    )


def test_the_loss_is_that_of_keras() -> None:
    binary = keras.losses.BinaryCrossentropy()(LABELS_2[:, None], SIGMOID)
    sparse = keras.losses.SparseCategoricalCrossentropy()(LABELS_4, SOFTMAX)
    assert scoring.score(LABELS_2, SIGMOID, ["loss"])["loss"] == pytest.approx(float(binary))
    assert scoring.score(LABELS_4, SOFTMAX, ["loss"])["loss"] == pytest.approx(float(sparse))


@pytest.mark.parametrize(
    ("label", "loss"), [(0, 0.0), (1, -math.log(1e-7))], ids=["right", "wrong"]
)
def test_certainty_costs_nothing_or_much_but_never_infinity(label: int, loss: float) -> None:
    labels = np.array([label], np.int64)
    for certain in ([[0.0]], [[1.0, 0.0]]):
        scored = scoring.score(labels, np.array(certain, np.float32), ["loss"])
        assert scored["loss"] == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("labels", "outputs"), [(LABELS_2, SIGMOID), (LABELS_4, SOFTMAX)])
def test_what_is_no_number_scores_as_none(
    bad: float, labels: np.ndarray, outputs: np.ndarray
) -> None:
    broken = outputs.copy()
    broken[3, 0] = bad
    scored = scoring.score(labels, broken, NAMES)
    assert list(scored) == list(NAMES)
    assert all(math.isnan(value) for value in scored.values())


def test_f1_is_zero_where_nobody_is_suspected() -> None:
    nobody = np.full((N, 1), 0.1, np.float32)
    assert scoring.score(LABELS_2, nobody, ["f1"]) == {"f1": 0.0}


@pytest.mark.parametrize(
    ("outputs", "classes"),
    [([[0.5], [0.51], [0.0]], [0, 1, 0]), ([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]], [1, 0])],
)
def test_the_predicted_class_is_the_likeliest(
    outputs: list[list[float]], classes: list[int]
) -> None:
    predicted = scoring.predicted(np.array(outputs, np.float32))
    assert predicted.tolist() == classes
    assert predicted.dtype == np.int64


def test_the_confusion_matrix_has_true_classes_in_rows_and_keeps_empty_ones() -> None:
    labels = np.array([0, 0, 1, 1, 1], np.int64)
    outputs = np.eye(4, dtype=np.float32)[[0, 1, 1, 1, 3]]
    expected = [[1, 1, 0, 0], [0, 2, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert scoring.confusion_matrix(labels, outputs, 4).tolist() == expected


def test_the_confusion_matrix_of_two_classes_counts_every_row_once() -> None:
    matrix = scoring.confusion_matrix(LABELS_2, SIGMOID, 2)
    missed = int(((POSITIVE <= 0.5) & (LABELS_2 == 1)).sum())
    assert matrix.sum() == N
    assert matrix[1, 0] == missed > 0


def test_the_report_lists_the_classes_in_their_order() -> None:
    class_names = TASKS["fashion"].class_names
    outputs = np.eye(10, dtype=np.float32)[[0, 1, 1, 1]]
    report = scoring.classification_report(np.array([0, 0, 1, 1]), outputs, class_names)
    lines = [line for line in report.splitlines() if line.strip()]
    assert [line.strip().rsplit(maxsplit=4)[0] for line in lines[1:11]] == list(class_names)
    assert lines[1].split()[-4:] == ["1.0000", "0.5000", "0.6667", "2"]
    assert lines[2].split()[-4:] == ["0.6667", "1.0000", "0.8000", "2"]


def test_the_tasks_ask_for_metrics_that_exist() -> None:
    assert {name for task in TASKS.values() for name in task.metrics} <= set(scoring.METRICS)


def test_macro_f1_is_that_of_scikit_learn_also_where_a_class_is_never_given() -> None:
    never = SOFTMAX.copy()
    never[:, 3] = 0.0
    for outputs in (SOFTMAX, never):
        expected = sk.f1_score(
            LABELS_4, outputs.argmax(axis=1), average="macro", zero_division=0.0
        )
        assert scoring.METRICS["macro_f1"](LABELS_4, outputs) == pytest.approx(expected)
    expected = sk.f1_score(LABELS_2, POSITIVE > 0.5, average="macro")
    assert scoring.METRICS["macro_f1"](LABELS_2, SIGMOID) == pytest.approx(expected)


def test_areas_are_those_of_scikit_learn_where_probabilities_repeat() -> None:
    rounded = np.round(SIGMOID, 1)
    scored = scoring.score(LABELS_2, rounded, ("auc", "pr_auc"))
    assert scored == pytest.approx(
        {
            "auc": sk.roc_auc_score(LABELS_2, rounded[:, 0]),
            "pr_auc": sk.average_precision_score(LABELS_2, rounded[:, 0]),
        }
    )


@pytest.mark.parametrize(
    ("confidences", "right", "error"),
    [
        ([0.9, 0.9, 0.9, 0.9], [1, 1, 1, 0], 0.15),  # one bin: 3 of 4 right at 0.9
        ([1.0, 1.0, 0.6, 0.6], [1, 1, 1, 0], 0.05),  # half of the rows in a bin that is 0.1 off
        ([0.66, 0.67], [1, 0], 0.505),  # the border of bins at 2/3 lies between them
        ([1.0, 1.0], [1, 1], 0.0),
    ],
)
def test_the_calibration_error_is_the_weighted_distance_of_the_bins(
    confidences: list[float], right: list[int], error: float
) -> None:
    chosen = np.array(confidences, np.float32)
    labels = np.array(right, np.int64)
    of_two = np.stack([1 - chosen, chosen], axis=1)
    for outputs in (chosen[:, None], of_two):
        found = scoring.METRICS["calibration_error"](labels, outputs)
        assert found == pytest.approx(error, abs=1e-6)


def test_the_lift_compares_the_likeliest_tenth_with_all() -> None:
    labels = np.array([1, 1, 0, 0, 0] * 8, np.int64)  # 40 %
    outputs = np.linspace(1, 0, 40, dtype=np.float32)[:, None]
    assert scoring.METRICS["lift"](labels, outputs) == pytest.approx((2 / 4) / 0.4)
    assert scoring.METRICS["lift"](labels, 1 - outputs) == pytest.approx((1 / 4) / 0.4)


def test_no_threshold_is_better_than_the_best_one() -> None:
    best = scoring.best_threshold(LABELS_2, SIGMOID)
    expected = max(sk.f1_score(LABELS_2, value <= POSITIVE) for value in POSITIVE)
    assert scoring.f1_at(best, LABELS_2, SIGMOID) == pytest.approx(expected)
    assert expected > sk.f1_score(LABELS_2, POSITIVE > 0.5)


def test_a_threshold_of_f1_that_nobody_reaches_gives_zero() -> None:
    assert scoring.f1_at(2.0, LABELS_2, SIGMOID) == 0.0
