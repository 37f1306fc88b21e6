"""How the throughput of `model.fit` and of a session is timed. Nothing is trained."""

from unittest import mock

import keras

from benchmarks.throughput import Clock, StopByClock


def test_the_first_epoch_begins_the_window_and_does_not_count() -> None:
    clock, model = Clock(5.0), keras.Model()
    callback = StopByClock(clock)
    callback.set_model(model)
    with mock.patch("time.perf_counter", side_effect=[100.0, 102.0, 104.0, 106.0]):
        for epoch in range(4):
            callback.on_epoch_end(epoch)
            assert model.stop_training == (epoch == 3)
    assert clock.rate(n_rows=10) == 5.0
