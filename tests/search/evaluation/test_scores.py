"""Scores with the uncertainty of the seed and that of the rows."""

import numpy as np
import pytest
from scipy import stats

from pipelines import scoring
from pipelines.tasks import TASKS
from search.evaluation.scores import NAMES, mean_interval, scored, scored_together

RANDOM = np.random.default_rng(5)
N = 400
LABELS = RANDOM.integers(0, 3, N)
TRAININGS = [
    (0.5 * np.eye(3)[LABELS] + 0.5 * RANDOM.dirichlet(np.ones(3), N)).astype(np.float32)
    for _ in range(3)
]
NOBODY = [None, None, None]


@pytest.fixture(autouse=True)
def _hard_rows() -> None:
    """A tenth of the rows that every training gets wrong."""
    for probabilities in TRAININGS:
        probabilities[:40] = np.roll(np.eye(3, dtype=np.float32)[LABELS[:40]], 1, axis=1)


def test_each_score_has_a_value_a_training_and_both_intervals() -> None:
    found = scored(TASKS["iris"], LABELS, TRAININGS, NOBODY)
    assert list(found) == list(NAMES)
    for name, score in found.items():
        values = [scoring.METRICS[name](LABELS, p) for p in TRAININGS]
        assert score.values == pytest.approx(values)
        assert score.interval == mean_interval(values)
        if name != "calibration_error":
            assert score.sampling is not None
            assert score.sampling[0] < score.mean < score.sampling[1]
    assert found["calibration_error"].sampling is None


def test_the_sampling_interval_is_that_of_a_share_of_so_many_rows() -> None:
    accuracy = scored(TASKS["iris"], LABELS, TRAININGS, NOBODY)["accuracy"]
    assert accuracy.sampling is not None
    half = 1.96 * (accuracy.mean * (1 - accuracy.mean) / N) ** 0.5
    assert accuracy.sampling[1] - accuracy.sampling[0] == pytest.approx(2 * half, rel=0.15)


def test_the_sampling_interval_is_always_the_same() -> None:
    twice = [scored(TASKS["iris"], LABELS, TRAININGS[:1], [None]) for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0]["accuracy"].interval is None


def test_two_classes_have_their_own_scores_with_each_training_at_its_threshold() -> None:
    labels = (LABELS == 0).astype(np.int64)
    trainings = [p[:, :1] for p in TRAININGS[:2]]
    found = scored(TASKS["churn"], labels, trainings, [0.3, 0.6])
    assert set(found) == {*NAMES, "auc", "pr_auc", "lift", "f1_at_threshold"}
    expected = [scoring.f1_at(t, labels, p) for t, p in zip((0.3, 0.6), trainings, strict=True)]
    assert found["f1_at_threshold"].values == pytest.approx(expected)
    assert expected[0] != expected[1]


def test_the_interval_of_the_mean_is_that_of_student() -> None:
    values = [0.9, 0.91, 0.93, 0.92, 0.9]
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)
    assert mean_interval(values[:1]) is None


def test_networks_that_err_on_different_rows_are_better_together() -> None:
    right = np.eye(3, dtype=np.float32)[LABELS] * 0.9 + 0.1 / 3
    networks = []
    for n in range(3):
        mistaken = right.copy()
        mistaken[n::3] = np.roll(right[n::3], 1, axis=1)
        networks.append(mistaken)
    assert scored(TASKS["iris"], LABELS, networks, NOBODY)["accuracy"].mean == pytest.approx(2 / 3)
    together = scored_together(TASKS["iris"], LABELS, networks)
    assert together["accuracy"].values == (1.0,)
    assert together["accuracy"].interval is None
    assert scored_together(TASKS["iris"], LABELS, networks[:1]) == {}
