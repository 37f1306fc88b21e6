"""Who wins, and who is tied: retrainings that were made up."""

import math

import numpy as np
import optuna
import pytest

from search import study as studies
from search.finalists.comparison import UNKNOWN
from search.finalists.verdict import (
    Retraining,
    best_in_wait,
    chosen,
    retrainings,
    store,
    verdict,
)
from search.study import Record
from spaces.errors import InputError
from tests.fakes import new_study
from tests.search.finalists.made_up import CONFIG, METRIC, Draws, a_study, judged, numbers, retrain


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
