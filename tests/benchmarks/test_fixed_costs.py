"""What a trial costs beside training, told from scripted times."""

import pytest

from benchmarks.fixed_costs import Timed, floors


def test_with_one_worker_a_floor_lasts_from_start_to_start() -> None:
    trials = [Timed(start, start + 8.0, train_seconds=7.0) for start in (0.0, 30.0, 40.0, 50.0)]
    assert floors([*trials, Timed(58.5, 66.0, train_seconds=7.0)]) == [3.0, 1.5]


def test_with_two_workers_a_trial_is_followed_by_one_drawn_after_its_end() -> None:
    long = [Timed(20.0 * n, 20.0 * n + 19, train_seconds=17.0) for n in range(5)]
    short = [Timed(10.0 * n + 0.5, 10.0 * n + 9, train_seconds=9.0) for n in range(10)]
    found = floors([*long, *short])
    assert len(found) == len(long) + len(short) - 2 - 2 * 2
    assert {round(each) for each in found} == {1, 3}


@pytest.mark.parametrize("n_trials", [0, 1, 3])
def test_too_few_trials_have_no_floor(n_trials: int) -> None:
    assert floors([Timed(10.0 * n, 10.0 * n + 9, 8.0) for n in range(n_trials)]) == []
