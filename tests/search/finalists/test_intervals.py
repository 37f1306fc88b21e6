"""How sure the means of finalists are: intervals from retrainings that were made up."""

import math

import numpy as np
import pytest
from scipy import stats

from search.finalists.comparison import UNKNOWN
from search.finalists.verdict import (
    verdict,
)
from tests.search.finalists.made_up import Draws, a_study, judged, numbers, retrain


def test_two_configs_on_the_same_draws_are_a_paired_t_test() -> None:
    one, other = [0.91, 0.94, 0.90, 0.95, 0.92], [0.90, 0.92, 0.90, 0.93, 0.89]
    found = judged(one, other)
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert found.difference_interval == pytest.approx((expected.low, expected.high))


def test_the_interval_of_one_config_is_students() -> None:
    scores = [0.91, 0.94, 0.90]
    found = judged(scores)
    expected = stats.t.interval(0.95, 2, np.mean(scores), stats.sem(scores))
    assert found.winner.interval == pytest.approx(expected)
    assert (found.runner_up, found.difference, found.difference_interval) == (None, None, None)
    assert not found.tied


def test_the_deviation_is_pooled_over_all_finalists() -> None:
    """The others tell how much luck there is: far more than three scores do on their own."""
    rng = np.random.default_rng(3)
    scores = rng.normal(0.9, 0.01, (6, 3))
    alone, together = judged(scores[0].tolist()), judged(*scores.tolist())
    (own,) = (s for s in together.standings if s.number == 0)
    pooled = math.sqrt(np.mean(np.var(scores, axis=1, ddof=1)) / 3)
    half = (own.interval[1] - own.interval[0]) / 2
    assert stats.t.ppf(0.975, 12) * pooled <= half < stats.t.ppf(0.975, 4) * pooled
    assert own.mean == pytest.approx(alone.winner.mean)


def test_what_all_configs_share_counts_once_in_the_interval_of_a_mean() -> None:
    """Hard draws move all configs at once: ten configs know no more of them than one."""
    draws = np.array([0.80, 0.90, 0.85])
    rng = np.random.default_rng(0)
    found = judged(*[(draws + rng.normal(0, 1e-6, 3)).tolist() for _ in range(10)])
    low, high = found.standings[0].interval
    expected = stats.t.ppf(0.975, 2) * stats.sem(draws)
    assert (high - low) / 2 == pytest.approx(expected, rel=1e-3)


def test_folds_that_overlap_widen_the_intervals() -> None:
    one, other = [0.91, 0.94, 0.90, 0.95, 0.92], [0.90, 0.92, 0.90, 0.93, 0.89]
    seeds, folds = judged(one, other), judged(one, other, task="churn")
    assert folds.difference == seeds.difference
    for plain, corrected in (
        (seeds.difference_interval, folds.difference_interval),
        (seeds.winner.interval, folds.winner.interval),
    ):
        assert plain is not None
        assert corrected is not None
        # Nadeau and Bengio: 1/5 + 1/4 in the place of 1/5.
        widened = (plain[1] - plain[0]) * math.sqrt((1 / 5 + 1 / 4) / (1 / 5))
        assert corrected[1] - corrected[0] == pytest.approx(widened)


@pytest.mark.parametrize("draws", [[[0.9]], [[0.9], [0.8]], [[0.9], [0.8], [0.7]]])
def test_one_score_each_says_nothing_of_luck(draws: list[Draws]) -> None:
    found = judged(*draws)
    assert found.winner.interval == UNKNOWN
    assert math.isnan(found.winner.std)
    assert not any(standing.dropped for standing in found.standings)
    assert not found.tied
    if found.runner_up:
        assert found.winner.mean >= found.runner_up.mean
        assert found.difference_interval == UNKNOWN


def test_a_missing_draw_is_made_up_for_by_what_the_others_say_of_it() -> None:
    """The second draw is a hard one, which the last config was spared."""
    study = a_study(dict.fromkeys(range(3), 0.9))
    retrain(study, 0, [0.90, 0.80, 0.91])
    retrain(study, 1, [0.88, 0.78, 0.89])
    retrain(study, 2, [0.89])
    retrain(study, 2, [0.90], first=2)
    found = verdict(study)
    assert found is not None
    assert numbers(found) == [0, 2, 1]
    means = {standing.number: standing.mean for standing in found.standings}
    assert means[0] - means[2] == pytest.approx(0.01)
    assert means[0] - means[1] == pytest.approx(0.02)


def test_an_unbalanced_comparison_is_the_textbooks_least_squares() -> None:
    """Against the normal equations of config and draw, solved by hand for the one gap."""
    found = judged([0.91, 0.94, 0.90], [0.90, 0.92], own=[0.9, 0.8])
    # Two pairs share draws 0 and 1; the third score of the first config fits perfectly.
    pairs = np.array([0.01, 0.02])
    assert found.difference == pytest.approx(pairs.mean())
    expected = stats.t.interval(0.95, 1, pairs.mean(), stats.sem(pairs))
    assert found.difference_interval == pytest.approx(expected)
