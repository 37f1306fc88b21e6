"""The verdict: means, intervals, ties and losers, from retrainings that were made up."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from scipy import stats

from search import study as studies
from search.finalists.comparison import UNKNOWN
from search.finalists.verdict import (
    Retraining,
    Verdict,
    best_in_wait,
    chosen,
    dropped,
    retrainings,
    store,
    verdict,
)
from search.study import Record
from spaces.errors import InputError
from spaces.presets import PRESETS
from tests.fakes import new_study

CONFIG = PRESETS["mnist_conv_net"].config.model_dump(mode="json", exclude_none=True)
METRIC = "val_accuracy"
Draws = Sequence[float | None]
"""Scores of a config's retrainings; None where one failed."""


def a_study(own: dict[int, float], task: str = "fake", **records: Any) -> optuna.Study:
    """A study of completed trials with these scores, numbered from 0."""
    study = new_study()
    study.set_user_attr("task", task)
    for number, score in own.items():
        record = Record(
            CONFIG,
            seed=number,
            state="completed",
            best={"epoch": 3.0, METRIC: score},
            n_parameters=records.get("n_parameters", {}).get(number, 1000),
        )
        studies.write(study, study.ask(), record)
    return study


def retrain(
    study: optuna.Study, number: int, scores: Draws, first: int = 0, seconds: float = 10.0
) -> None:
    for draw, score in enumerate(scores, first):
        best = {} if score is None else {"epoch": 4.0, METRIC: score}
        cause = "diverged" if score is None else ""
        store(study, Retraining(number, draw, 100 + draw, best, 5.0, seconds, cause=cause))


def judged(
    *draws: Draws,
    own: list[float] | None = None,
    task: str = "fake",
    seconds: Sequence[float] = (),
    **records: Any,
) -> Verdict:
    """The verdict on trials from 0 on."""
    study = a_study(dict(enumerate(own or [0.9] * len(draws))), task, **records)
    for number, scores in enumerate(draws):
        retrain(study, number, scores, seconds=seconds[number] if seconds else 10.0)
    found = verdict(study)
    assert found is not None
    return found


def numbers(found: Verdict) -> list[int]:
    return [standing.number for standing in found.standings]


def test_without_a_retraining_there_is_no_verdict_and_the_best_trial_is_chosen() -> None:
    study = a_study({0: 0.8, 1: 0.9})
    assert verdict(study) is None
    number, record, standing = chosen(study)
    assert (number, record.seed, standing) == (1, 1, None)


def test_of_nothing_nothing_can_be_chosen() -> None:
    with pytest.raises(InputError, match="No trial of fake-study has completed yet: run"):
        chosen(new_study())


def test_what_is_stored_is_read_back() -> None:
    study = a_study({0: 0.9, 1: 0.9})
    kept = Retraining(1, 0, 7, {METRIC: 0.5}, 9.0, 3.5, run_id="a run")
    lost = Retraining(0, 2, 9, {}, 1.0, 0.5, cause="diverged")
    store(study, kept)
    store(study, lost)
    assert retrainings(study) == [lost, kept]


def test_a_clear_winner() -> None:
    draws: list[Draws] = [[0.80, 0.81, 0.82], [0.90, 0.91, 0.921], [0.70, 0.71, 0.72]]
    found = judged(*draws, own=[0.9, 0.95, 0.8])
    assert numbers(found) == [1, 0, 2]
    assert not found.tied
    assert found.winner.number == 1
    assert found.runner_up is not None
    assert found.runner_up.number == 0
    assert found.difference == pytest.approx(0.301 / 3)
    assert found.difference_interval is not None
    assert found.difference_interval[0] > 0
    assert found.optimism == pytest.approx(0.95 - 2.731 / 3)
    assert found.winner.std == pytest.approx(np.std([0.90, 0.91, 0.921], ddof=1))


def test_the_promise_is_the_studys_best_though_it_waits_for_its_retraining() -> None:
    study = a_study({0: 0.9, 1: 0.8, 2: 0.95})
    retrain(study, 0, [0.80, 0.81])
    retrain(study, 1, [0.70, 0.72])
    found = verdict(study)
    assert found is not None
    assert (found.promised.number, found.promised.n_scored) == (2, 0)
    assert math.isnan(found.optimism)
    assert numbers(found) == [0, 1]


def test_a_trial_that_did_not_complete_promises_nothing() -> None:
    study = a_study({0: 0.9, 1: 0.8})
    pruned = Record(CONFIG, seed=2, state="pruned", best={"epoch": 1.0, METRIC: 0.99})
    studies.write(study, study.ask(), pruned)
    retrain(study, 0, [0.80, 0.81])
    retrain(study, 2, [0.70, 0.72])
    found = verdict(study)
    assert found is not None
    assert found.promised.number == 0


@pytest.mark.parametrize(
    ("draws", "waits"),
    [
        ([[], [], []], None),
        ([[0.8], [0.7], []], 2),
        ([[0.8, 0.9], [0.7, 0.8], [0.9]], 2),
        ([[0.8], [0.7], [0.6]], None),
        ([[0.8, 0.9], [0.7, 0.8], [None]], None),
        ([[], [], [0.9]], None),
    ],
    ids=["none yet", "it has none", "one of two", "one each", "it failed", "it alone"],
)
def test_whether_the_searchs_best_waits_for_retrainings(
    draws: list[Draws], waits: int | None
) -> None:
    study = a_study({0: 0.9, 1: 0.8, 2: 0.95})
    for number, own in enumerate(draws):
        retrain(study, number, own)
    assert best_in_wait(study) == waits


def test_the_winner_is_chosen_with_its_standing() -> None:
    study = a_study({0: 0.99, 1: 0.9})
    retrain(study, 0, [0.80, 0.81, 0.82])
    retrain(study, 1, [0.90, 0.91, 0.921])
    number, record, standing = chosen(study)
    assert (number, record.seed) == (1, 1)
    assert standing is not None
    assert len(standing.retrainings) == 3


@pytest.mark.parametrize(
    ("parameters", "seconds", "winner"),
    [
        ({0: 500, 1: 1000}, (30, 10), 0),
        ({0: 2000, 1: 1000}, (10, 30), 1),
        ({0: 990, 1: 1000}, (10, 10), 1),
        ({0: 1010, 1: 1000}, (10, 13), 0),
        ({0: 1000, 1: 1000}, (10, 13), 0),
        ({0: 1000, 1: 1000}, (10, 11), 1),
        ({0: 1000, 1: 1000}, (11, 10), 1),
    ],
    ids=[
        "the worse is smaller",
        "the better is smaller",
        "the worse is hardly smaller",
        "the worse is hardly larger and clearly faster",
        "the worse is clearly faster",
        "the worse is hardly faster",
        "the better is faster",
    ],
)
def test_of_two_that_are_tied_the_cheaper_wins(
    parameters: dict[int, int], seconds: tuple[float, float], winner: int
) -> None:
    found = judged(
        [0.90, 0.91, 0.92], [0.93, 0.90, 0.92], n_parameters=parameters, seconds=seconds
    )
    assert found.tied
    assert found.winner.number == winner
    assert numbers(found) == [1, 0]
    assert found.difference is not None
    assert found.difference * (1 if winner else -1) > 0
    assert found.difference_interval is not None
    low, high = found.difference_interval
    assert low < 0 < high
    assert (low + high) / 2 == pytest.approx(found.difference)


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


def test_one_lucky_draw_does_not_beat_two() -> None:
    found = judged([0.90, 0.91], [0.89, 0.93], [0.95], [0.80])
    assert found.winner.number == 1
    assert found.runner_up is not None
    assert found.runner_up.number == 0
    assert numbers(found) == [1, 0, 2, 3]
    assert [found.has_too_few(each) for each in found.standings] == [False, False, True, True]


def test_who_alone_has_two_draws_leads_without_a_runner_up() -> None:
    found = judged([0.90, 0.91], [0.95])
    assert (found.winner.number, found.runner_up, found.tied) == (0, None, False)
    assert numbers(found) == [0, 1]


def test_where_nobody_has_two_draws_nobody_has_too_few() -> None:
    found = judged([0.90], [0.95])
    assert found.winner.number == 1
    assert not any(found.has_too_few(each) for each in found.standings)


def test_who_failed_is_out_for_that_and_not_for_its_few_draws() -> None:
    found = judged([0.90, 0.91], [0.99, None], [None])
    assert found.winner.number == 0
    assert not any(found.has_too_few(each) for each in found.standings)


def test_configs_without_a_draw_in_common_cannot_be_compared() -> None:
    study = a_study({0: 0.9, 1: 0.9})
    retrain(study, 0, [0.9, 0.91], first=0)
    retrain(study, 1, [0.5, 0.51], first=2)
    found = verdict(study)
    assert found is not None
    assert found.winner.mean == pytest.approx(0.905)
    assert found.difference == pytest.approx(0.4)
    assert found.difference_interval == UNKNOWN
    assert not found.tied


def test_who_fails_on_a_fresh_seed_cannot_win() -> None:
    found = judged([0.99, 0.99, None], [0.90, 0.91, 0.90])
    assert found.winner.number == 1
    (failed,) = (s for s in found.standings if s.number == 0)
    assert failed.dropped
    assert failed.causes == ["diverged"]
    assert failed.n_scored == 2
    assert found.runner_up is None


def test_where_all_fail_somewhere_the_scores_that_are_there_decide() -> None:
    found = judged([0.99, None, 0.98], [0.90, None, 0.91])
    assert found.winner.number == 0
    assert not any(standing.dropped for standing in found.standings)


def test_where_nothing_was_scored_the_first_of_the_search_stays_first() -> None:
    found = judged([None], [None], own=[0.8, 0.9])
    assert math.isnan(found.winner.mean)
    assert found.winner.interval == UNKNOWN
    assert found.runner_up is None
    assert math.isnan(found.optimism)
    assert numbers(found) == [1, 0]
    assert found.winner.number == 1


def test_equal_scores_are_tied_and_not_apart_by_a_rounding() -> None:
    found = judged(*[[1.0, 1.0, 1.0]] * 3, n_parameters={0: 9, 1: 5, 2: 7})
    assert found.tied
    assert found.winner.number == 1
    assert found.difference_interval == pytest.approx((0, 0), abs=1e-9)
    assert not any(standing.dropped for standing in found.standings)


def test_a_loss_is_better_when_it_is_smaller() -> None:
    study = optuna.create_study(direction="minimize")
    study.set_user_attr("metric", "val_loss")
    study.set_user_attr("task", "fake")
    for number, score in enumerate((0.5, 0.1)):
        best = {"epoch": 1.0, "val_loss": score}
        record = Record(CONFIG, seed=number, state="completed", best=best)
        studies.write(study, study.ask(), record)
        for draw in range(3):
            again = {"epoch": 1.0, "val_loss": score + 0.01 * draw + 0.001 * number * draw}
            store(study, Retraining(number, draw, draw, again, 1.0, 1.0))
    found = verdict(study)
    assert found is not None
    assert numbers(found) == [1, 0]
    assert found.winner.number == 1
    assert found.difference is not None
    assert found.difference < 0
    assert found.optimism < 0


CLOSE = [0.900, 0.903, 0.899]
CLOSE_TOO = [0.902, 0.901, 0.902]
FAR = [0.700, 0.704, 0.701]


@pytest.mark.parametrize(
    ("draws", "out"),
    [
        ([CLOSE[:1], FAR[:1]], set()),
        ([CLOSE[:2], CLOSE_TOO[:2], FAR[:2]], {2}),
        ([CLOSE, CLOSE_TOO, FAR[:2]], {2}),
        ([CLOSE, CLOSE_TOO], set()),
        ([CLOSE[:2], CLOSE_TOO[:1], FAR[:2]], set()),  # the second round is not over
        ([[None], CLOSE[:1]], {0}),
        ([[None], [None]], set()),
        ([[None], []], set()),
    ],
    ids=[
        "one draw says nothing",
        "a clear loser",
        "the loser was trained no further",
        "none is clear",
        "an open round",
        "failed",
        "all failed",
        "failed in an open round",
    ],
)
def test_clear_losers_are_dropped_round_by_round(draws: list[Draws], out: set[int]) -> None:
    study = a_study(dict.fromkeys(range(len(draws)), 0.9))
    for number, scores in enumerate(draws):
        retrain(study, number, scores)
    assert dropped(study, range(len(draws))) == out


def test_who_is_dropped_stays_so_whatever_the_later_draws_say() -> None:
    study = a_study(dict.fromkeys(range(3), 0.9))
    retrain(study, 0, [*CLOSE[:2], 0.1])
    retrain(study, 1, [*CLOSE_TOO[:2], 0.95])
    retrain(study, 2, FAR)
    assert dropped(study, range(3)) == {2}


def test_the_best_is_hardly_ever_dropped() -> None:
    rng = np.random.default_rng(0)
    n_wrong = 0
    for _ in range(100):
        scores = rng.normal(0.9, 0.01, (5, 3))
        scores[0] += 0.01
        study = a_study(dict.fromkeys(range(5), 0.9))
        for number, own in enumerate(scores.tolist()):
            retrain(study, number, own)
        n_wrong += 0 in dropped(study, range(5))
    assert n_wrong <= 2


def test_a_dropped_config_is_last_and_cannot_tie() -> None:
    found = judged(CLOSE, FAR[:2], n_parameters={0: 5000, 1: 10})
    assert [standing.dropped for standing in found.standings] == [False, True]
    assert found.winner.number == 0
    assert not found.tied
    assert found.runner_up is not None
    assert found.runner_up.number == 1
