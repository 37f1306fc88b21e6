"""How the throughput of `model.fit` and of our workers is timed. Nothing is trained."""

from unittest import mock

import keras
import pytest
from rich.console import Console

from benchmarks import throughput
from benchmarks.throughput_cases import CASES
from benchmarks.throughput_ways import StopByClock, Window, rate


def test_the_first_epoch_begins_the_window_and_does_not_count() -> None:
    clock, model = StopByClock(Window(epochs=2, seconds=5.0)), keras.Model()
    clock.set_model(model)
    with mock.patch("time.monotonic", side_effect=[100.0, 102.0, 104.0, 106.0]):
        for epoch in range(4):
            clock.on_epoch_end(epoch)
            assert model.stop_training == (epoch == 3)
    assert rate([clock.ends], n_rows=10) == 5.0


def test_a_window_lasts_for_the_epochs_asked_for_however_long_they_take() -> None:
    window = Window(epochs=2, seconds=5.0)
    assert not window.over([0.0, 60.0])
    assert window.over([0.0, 60.0, 120.0])


@pytest.mark.parametrize(
    ("ends", "epochs_a_second"),
    [
        ([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]], 2.0),
        ([[0, 1, 2, 3, 4], [0, 4]], 1.25),
        # The first trains from 1 to 5 beside the other, and then alone.
        ([[0, 2, 4, 6, 8], [1, 3, 5]], 1.0),
    ],
)
def test_workers_count_for_as_long_as_all_of_them_train(
    ends: list[list[float]], epochs_a_second: float
) -> None:
    assert rate(ends, n_rows=10) == pytest.approx(10 * epochs_a_second)


def test_the_parts_of_a_gain_are_those_that_there_are() -> None:
    apart = {case.task: case for case in CASES if case.apart}
    images = throughput.ways_of(apart["fashion"], "bfloat16")
    assert list(images) == ["fit", "fit, tuned", "ours, float32", "ours"]
    assert images["fit"].precision == images["ours, float32"].precision == "float32"
    assert images["fit, tuned"].precision == images["ours"].precision == "bfloat16"
    assert list(throughput.ways_of(apart["churn"], "float32")) == ["fit", "fit, tuned", "ours"]
    assert list(throughput.ways_of(CASES[1], "bfloat16")) == ["fit", "ours"]


def test_a_factor_is_of_rates_that_were_measured_beside_each_other() -> None:
    rates = {"fit": [100.0, 200.0, 100.0], "ours": [300.0, 800.0, 200.0]}
    case = {"task": "churn", "network": "MLP", "batch_size": 10, "precision": "float32"}
    console = Console(width=throughput.WIDTH)
    with console.capture() as captured:
        console.print(throughput.show([{**case, "rates": rates}]))
    assert "3 (2 to 4)" in captured.get()
