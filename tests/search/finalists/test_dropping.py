"""Who is clearly behind, and trained no further: retrainings that were made up."""

import numpy as np
import pytest

from search.finalists.verdict import (
    dropped,
)
from tests.search.finalists.made_up import Draws, a_study, judged, retrain

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
