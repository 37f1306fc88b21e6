"""Who ends at a rung: halving, but for those that keep up with the best."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner

from search.pruner import REDUCTION, SparingHalving

Direction = Literal["maximize", "minimize"]
SIGNS = {"maximize": 1.0, "minimize": -1.0}
FAST = [0.70, 0.75, 0.80]
SLOW = [0.50, 0.76, 0.90]


class Search:
    """Trials by their scores at each rung, the last of them in the end."""

    def __init__(self, direction: Direction = "maximize") -> None:
        self._sign = SIGNS[direction]
        self.study = optuna.create_study(direction=direction, pruner=SparingHalving())

    def completes(self, scores: Sequence[float]) -> None:
        """Whatever the pruner says."""
        trial = self._train(scores[:-1])[0]
        self.study.tell(trial, self._sign * scores[-1])

    def is_pruned(self, *scores: float) -> bool:
        """Whether a trial ends at the last of these rungs."""
        return self._train(scores)[1]

    def _train(self, scores: Sequence[float]) -> tuple[optuna.Trial, bool]:
        trial, pruned = self.study.ask(), False
        for rung, score in enumerate(scores):
            trial.report(self._sign * score, 2**rung)
            pruned = trial.should_prune()
        return trial, pruned


@pytest.mark.parametrize("direction", SIGNS)
def test_who_is_ahead_of_where_the_best_stood_goes_on(direction: Direction) -> None:
    search = Search(direction)
    for scores in (FAST, FAST, FAST, SLOW):
        search.completes(scores)
    assert not search.is_pruned(0.51)
    assert not search.is_pruned(0.50)
    assert search.is_pruned(0.49)
    assert search.is_pruned(float("nan"))


def test_it_is_asked_again_at_the_next_rung() -> None:
    search = Search()
    for scores in (FAST, FAST, FAST, SLOW):
        search.completes(scores)
    assert not search.is_pruned(0.51, 0.77)
    assert search.is_pruned(0.51, 0.74)


def test_without_a_completed_trial_halves_are_all() -> None:
    search = Search()
    assert [search.is_pruned(score) for score in (0.5, 0.6, 0.4, 0.7)] == [
        False,
        False,
        True,
        False,
    ]


def test_the_best_need_not_have_come_to_that_rung() -> None:
    """Early stopping may end it before."""
    search = Search()
    for scores in (FAST, FAST, FAST, [0.5, 0.9]):
        search.completes(scores)
    assert not search.is_pruned(0.55)
    assert search.is_pruned(0.55, 0.6)


@pytest.mark.parametrize("direction", SIGNS)
def test_halves_are_those_of_optunas_own_pruner(direction: Direction) -> None:
    ours = optuna.create_study(direction=direction, pruner=SparingHalving())
    theirs = optuna.create_study(
        direction=direction,
        pruner=SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION),
    )
    random = np.random.default_rng(0)
    verdicts = []
    for _ in range(200):  # none completes, so that nobody is spared
        one, other = ours.ask(), theirs.ask()
        for step in (1, 2, 4, 8):
            score = float(random.choice(20))  # with ties
            for trial in (one, other):
                trial.report(score, step)
            verdicts.append(one.should_prune())
            assert verdicts[-1] == other.should_prune()
            if verdicts[-1]:
                break
    assert 0 < sum(verdicts) < len(verdicts)


def test_a_verdict_that_was_lost_is_given_again() -> None:
    """As by a search that died between judging and storing it."""
    search = Search()
    for scores in (FAST, FAST, FAST, SLOW):
        search.completes(scores)
    trial = search.study.ask()
    trial.report(0.49, 1)
    assert [trial.should_prune() for _ in range(3)] == [True] * 3
