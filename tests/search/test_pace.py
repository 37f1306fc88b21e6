"""How long a trial takes: measured on a study, or guessed."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from search.finalists.verdict import Retraining, store
from search.forecast import EpochGuess
from search.pace import Pace, guessed, measured
from search.space_check import draws
from search.study import rungs
from spaces.config import Config
from spaces.spaces import SPACES
from tests.fakes import new_study
from tests.search.timed_trials import DIGITS, NOON, a_study, in_turn


def paced(study: optuna.Study) -> Pace:
    found = measured(study, DIGITS.training.epochs)
    assert found is not None
    return found


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_the_pace_is_that_of_a_worker_with_what_lies_between_trials(n_workers: int) -> None:
    found = paced(a_study(in_turn(n_workers, 100)))
    assert found.seconds == pytest.approx(5.0, rel=0.03)
    assert found.n_trials == 100
    assert found.states == {"pruned": 66, "completed": 34}


def test_a_pause_between_two_searches_is_no_work() -> None:
    first = in_turn(2, 20)
    later = [(begin + 3600, end + 3600) for begin, end in first]
    assert paced(a_study(first + later)).seconds == pytest.approx(5.0, rel=0.1)


def test_a_trial_that_was_interrupted_does_not_count() -> None:
    study = a_study(in_turn(1, 20))
    record = study.get_trials()[0].user_attrs["record"]
    trial = optuna.trial.create_trial(
        state=TrialState.PRUNED, user_attrs={"record": {**record, "worker_seconds": 4.0}}
    )
    trial.datetime_start, trial.datetime_complete = NOON, NOON + dt.timedelta(hours=8)
    study.add_trial(trial)
    assert paced(study).seconds == pytest.approx(5.0, rel=0.05)


def test_few_trials_or_trials_of_another_length_say_nothing() -> None:
    assert measured(a_study(in_turn(1, 4)), DIGITS.training.epochs) is None
    assert measured(a_study(in_turn(1, 9), epochs=3), DIGITS.training.epochs) is None
    assert measured(new_study(), DIGITS.training.epochs) is None


def test_finalists_take_as_long_as_those_that_were_trained_again() -> None:
    study = a_study(in_turn(1, 9))
    assert paced(study).retraining_seconds == pytest.approx(3.6)
    store(study, Retraining(0, 0, 0, {"val_accuracy": 0.9}, 9.0, 20.0))
    assert paced(study).retraining_seconds == pytest.approx(20.4)


def test_what_fits_has_chance_around_it() -> None:
    pace = replace(paced(a_study(in_turn(1, 100))), seconds=5.0, spread=0.5)
    low, high = pace.fitting(500.0)
    assert low < 100 < high
    assert high / low < 1.4
    few = replace(pace, n_trials=6).fitting(500.0)
    assert few[0] < low
    assert few[1] > high
    assert replace(pace, spread=0.0).fitting(500.0) == (100.0, 100.0)
    assert replace(pace, n_trials=0).fitting(500.0) == (100.0, 100.0)


def test_a_guess_grows_with_rungs_and_with_the_dearest_of_the_starting_points() -> None:
    configs = [draw.config for draw in draws(SPACES["digits"], DIGITS.training, 50)]
    an_epoch = EpochGuess((8, 8, 1), 10, n_train=1000, n_validation=200, precision="float32")

    def guessing(levels: Sequence[float] = rungs(5, 40), *, starts: Sequence[Config] = ()) -> Pace:
        return guessed(configs, starts, [], levels, an_epoch)

    usual = guessing().seconds
    assert guessing(rungs(5, 80)).seconds > usual
    assert guessing([40.0]).seconds > usual
    small, *_, large = sorted(configs, key=an_epoch)
    assert guessing(starts=[large]).seconds > usual
    both = guessing(starts=[small, large])
    assert both.retraining_seconds == guessing(starts=[large]).retraining_seconds
