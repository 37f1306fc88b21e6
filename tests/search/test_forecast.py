"""How long a config would train: guessed from its size, corrected by what was seen."""

from dataclasses import replace
from typing import Any

import pytest

from search import forecast as forecasting
from search.forecast import UNSEEN, EpochGuess, Forecast
from search.layers import layers_of
from search.space_check import draws
from search.study import Record, State
from spaces.config import Training
from spaces.presets import PRESETS
from spaces.spaces import SPACES

SMALL, LARGE = PRESETS["fashion_dense_128"].config, PRESETS["mnist_conv_net"].config
GUESS = EpochGuess((28, 28, 1), 10, n_train=1000, n_validation=200, precision="float32")


def after(epochs: float, seconds: float) -> Record:
    return Record(config={}, seed=1, epoch=epochs, train_seconds=seconds)


def test_a_guess_grows_with_network_and_rows() -> None:
    usual = GUESS(SMALL)
    assert GUESS(LARGE) > usual
    assert replace(GUESS, n_train=2000)(SMALL) > usual
    assert replace(GUESS, n_validation=2000)(SMALL) > usual
    assert replace(GUESS, precision="bfloat16")(SMALL) < usual


def test_the_work_of_a_row_is_counted_by_layers() -> None:
    layers = layers_of(LARGE, (28, 28, 1), 10)
    expected = 26 * 26 * 32 * 9 + 11 * 11 * 64 * 288 + 3 * 3 * 64 * 576 + 576 * 64 + 64 * 10
    assert sum(map(forecasting._multiplications, layers.rows)) == expected
    embedded = layers_of(draws_with_embedding(), (11,), 2)
    (row,) = (row for row in embedded.rows if row.name == "embedding")
    assert forecasting._multiplications(row) == 11 * row.shape[-1]


def draws_with_embedding() -> Any:
    found = (draw.config for draw in draws(SPACES["churn"], Training(epochs=1), 20))
    return next(config for config in found if config.network.embedding)


def a_forecast() -> Forecast:
    return Forecast(GUESS, epochs=10)


def test_a_forecast_begins_with_a_slow_machine_and_learns_how_fast_it_is() -> None:
    forecast = a_forecast()
    assert forecast.seconds(LARGE) == pytest.approx(10 * UNSEEN * GUESS(LARGE))
    forecast.learn(0, SMALL, after(2.0, 2 * 3 * GUESS(SMALL)))
    assert forecast.seconds(LARGE) == pytest.approx(30 * GUESS(LARGE))
    forecast.learn(0, SMALL, after(4.0, 4 * 2 * GUESS(SMALL)))  # the same one, later
    assert forecast.seconds(LARGE) == pytest.approx(20 * GUESS(LARGE))


def test_one_training_that_was_slow_does_not_spoil_a_forecast() -> None:
    forecast = a_forecast()
    for number, times in enumerate((1.0, 1.2, 50.0)):
        forecast.learn(number, SMALL, after(1.0, times * GUESS(SMALL)))
    assert forecast.seconds(SMALL) == pytest.approx(12 * GUESS(SMALL))


def test_a_forecast_learns_when_plateaus_come() -> None:
    forecast = a_forecast()
    ended: list[tuple[float, State]] = [(4.0, "completed"), (6.0, "completed"), (1.0, "pruned")]
    for number, (epoch, state) in enumerate(ended):
        forecast.learn(number, SMALL, replace(after(epoch, epoch * GUESS(SMALL)), state=state))
    assert forecast.seconds(LARGE) == pytest.approx(5 * GUESS(LARGE))


def test_a_training_under_way_goes_on_at_its_own_pace() -> None:
    forecast = a_forecast()
    assert forecast.seconds_left(after(0.0, 0.0)) == 0.0
    assert forecast.seconds_left(after(4.0, 8.0)) == pytest.approx(12.0)
    forecast.learn(0, SMALL, replace(after(5.0, 1.0), state="completed"))
    assert forecast.seconds_left(after(4.0, 8.0)) == pytest.approx(2.0)
    assert forecast.seconds_left(after(7.0, 8.0)) == 0.0


@pytest.mark.parametrize("record", [after(0.0, 0.0), after(0.0, 9.0)])
def test_what_has_no_epoch_teaches_nothing(record: Record) -> None:
    forecast = a_forecast()
    forecast.learn(0, SMALL, record)
    assert forecast.seconds(SMALL) == 10 * UNSEEN * GUESS(SMALL)


def test_where_nothing_can_be_guessed_nothing_is_foretold() -> None:
    forecast = Forecast(lambda _: 0.0, epochs=10)
    forecast.learn(0, SMALL, after(1.0, 5.0))
    assert forecast.seconds(SMALL) == 0.0
