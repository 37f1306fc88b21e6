"""The training session on its way: going on, order, seeds, and the ways to stop."""

import gc
import io
import json
import math
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from pipelines import scoring
from pipelines.optimizers import Schedule
from pipelines.session import Row, TrainingSession
from pipelines.splits import SearchData
from pipelines.tasks import TASKS, Goal
from spaces.config import (
    OPTIMIZER_DEFAULTS,
    Augmentation,
    Config,
    ConvBlock,
    DenseLayer,
    Network,
    Regularization,
    Training,
)
from tests.configs import SMALL

MakeConfig = Callable[..., Config]
Start = Callable[..., TrainingSession]

ACTIVATIONS = get_args(Network.model_fields["activation"].annotation)
DIGITS, IRIS = TASKS["digits"], TASKS["iris"]
LINEAR = Network()
CNN = Network(blocks=(ConvBlock(filters=4, batch_norm="before", dropout=0.2),))


def without_seconds(rows: list[Row]) -> list[Row]:
    return [{k: v for k, v in row.items() if k != "epoch_seconds"} for row in rows]


def whole_epochs(rows: list[Row]) -> list[Row]:
    return [row for row in without_seconds(rows) if row["epoch"].is_integer()]


def assert_same(rows: list[Row], others: list[Row]) -> None:
    """To the last bit, but for the train sums, whose parts are added up in another order."""
    assert len(rows) == len(others) > 0
    for row, other in zip(rows, others, strict=True):
        assert row == pytest.approx(other, rel=1e-6)
        validation = {name for name in row if name.startswith("val_")}
        assert {name: row[name] for name in validation} == {n: other[n] for n in validation}


def state_of(checkpoint: bytes) -> dict[str, np.ndarray[Any, Any]]:
    with np.load(io.BytesIO(checkpoint)) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "meta"}


GOING_ON = {
    "cnn, nadam, everything": {
        "network": CNN,
        "optimizer": "nadam",
        "schedule": "one_cycle",
        "regularization": Regularization(weight_averaging=0.99, l2=1e-4, label_smoothing=0.1),
        "augmentation": Augmentation(shift=0.1, rotation=10, zoom=0.1, flip=True, erasing=0.3),
    },
    "mlp, sgd with momentum": {
        "network": Network(layers=(DenseLayer(units=16, dropout=0.3),)),
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "schedule": "cosine",
    },
    "mlp, rmsprop with momentum": {"optimizer": "rmsprop", "momentum": 0.5},
    "mlp, adamw": {
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "regularization": Regularization(weight_averaging=0.9, class_weight="balanced"),
    },
}


@pytest.mark.parametrize("name", GOING_ON)
def test_training_in_pieces_or_restored_is_training_in_one_go(
    name: str, start: Start, config: MakeConfig
) -> None:
    configured = config(**GOING_ON[name])
    at_once = start(configured).advance(3)

    in_pieces = start(configured)
    rows = [row for until in (0.4, 1, 2.3, 3) for row in in_pieces.advance(until)]
    assert_same(whole_epochs(rows), whole_epochs(at_once))
    # An epoch has 18 steps, of which 7 are nearest to 0.4 of it.
    assert [row["epoch"] for row in rows] == [7 / 18, 1, 2, 41 / 18, 3]

    checkpoint, restored_rows = b"", []
    for life in ([0.4, 1, 2.3], [3]):
        restored = start(configured)
        if checkpoint:
            restored.restore(checkpoint)
        restored_rows += [row for until in life for row in restored.advance(until)]
        checkpoint = restored.save()
    assert without_seconds(restored_rows) == without_seconds(rows)
    assert restored.stop == in_pieces.stop == "finished"
    assert without_seconds([restored.best]) == without_seconds([in_pieces.best])
    assert np.array_equal(restored.predict(), in_pieces.predict())
    last, expected = state_of(checkpoint), state_of(in_pieces.save())
    assert last.keys() == expected.keys()
    assert all(np.array_equal(last[key], expected[key]) for key in expected)


def test_the_seconds_of_an_epoch_count_all_its_pieces(start: Start) -> None:
    session = start()
    first, second = session.advance(0.5) + session.advance(1)
    again = start()
    again.restore(session.save())
    (third,) = again.advance(2)
    assert second["epoch_seconds"] > first["epoch_seconds"] > 0
    assert third["epoch_seconds"] > 0
    assert third["train_loss"] < second["train_loss"]  # the sums of the last epoch are gone


def test_the_seed_decides_everything(start: Start, config: MakeConfig) -> None:
    network = Network(layers=(DenseLayer(units=16, dropout=0.3),))
    configured = config(network, augmentation=Augmentation(shift=0.1))
    first, again, other = (
        without_seconds(start(configured, seed=seed).advance(1)) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("batch_size", [64, 383, 1149, 2000])
def test_an_epoch_shows_every_row_and_fills_the_last_batch_from_its_start(
    batch_size: int, start: Start, config: MakeConfig, digits: SearchData
) -> None:
    session = start(config(LINEAR, batch_size=batch_size))
    n_train = len(digits.train.labels)
    order = session._order(0)
    assert np.array_equal(np.sort(order[:n_train]), np.arange(n_train))
    assert np.array_equal(order[n_train:], order[: len(order) - n_train])
    assert len(order) == math.ceil(n_train / min(batch_size, n_train)) * min(batch_size, n_train)
    assert not np.array_equal(session._order(1), order)
    (row,) = session.advance(1)
    assert row["epoch"] == 1
    assert 0 <= row["train_accuracy"] <= 1


def test_a_row_says_all_there_is_to_know(start: Start, config: MakeConfig) -> None:
    configured = config(schedule="one_cycle", training=Training(epochs=2))
    rows = start(configured).advance(0.5) + start(configured).advance(2)
    names = {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"}
    schedule = Schedule(configured, 2 * 18)
    for row, steps in zip(rows, (9, 18, 36), strict=True):
        assert set(row) == names | {"learning_rate", "epoch_seconds"}
        assert all(type(value) is float and math.isfinite(value) for value in row.values())
        assert row["epoch"] == steps / 18
        assert row["learning_rate"] == pytest.approx(schedule.at(steps - 1))


@pytest.mark.parametrize("goal", [Goal("val_accuracy", "max"), Goal("val_loss", "min")], ids=str)
@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_a_plateau_stops_the_training_and_the_best_weights_are_kept(
    goal: Goal, averaging: float, start: Start, config: MakeConfig, digits: SearchData
) -> None:
    configured = config(
        Network(layers=(DenseLayer(units=64),)),
        learning_rate=0.05,
        training=Training(epochs=60, patience=2),
        regularization=Regularization(weight_averaging=averaging),
    )
    task = replace(DIGITS, goal=goal)
    session = start(configured, task=task)
    rows = session.advance(60)
    assert session.stop == "plateau"
    assert len(rows) < 60
    pick = max if goal.mode == "max" else min
    assert session.best == pick(rows, key=lambda row: row[goal.metric])
    assert rows[-1]["epoch"] == session.best["epoch"] + 2
    assert rows[-1]["val_loss"] != session.best["val_loss"]
    again = start(configured, task=task)
    again.restore(session.save())
    # What was kept from the best epoch, and what the restored weights say.
    for probabilities in (session.predict(), again.predict()):
        scored = scoring.score(digits.validation.labels, probabilities, ("loss", "accuracy"))
        assert scored["loss"] == pytest.approx(session.best["val_loss"], rel=1e-6)
        assert scored["accuracy"] == session.best["val_accuracy"]
    assert session.advance(60) == []


def test_a_gain_below_the_least_that_counts_is_none(start: Start, config: MakeConfig) -> None:
    training = Training(epochs=20, patience=3, min_delta=0.9)
    session = start(config(training=training))
    rows = session.advance(20)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["val_accuracy"] > rows[0]["val_accuracy"]
    assert session.best == rows[0]


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_plateau_ends_no_falling_schedule_before_its_second_half(
    schedule: str, start: Start, config: MakeConfig
) -> None:
    training = Training(epochs=20, patience=3, min_delta=0.9)
    session = start(config(schedule=schedule, training=training))
    rows = session.advance(20)
    assert session.stop == "plateau"
    assert session.best == rows[0]
    assert [row["epoch"] for row in rows] == list(range(1, 14))  # half of 20, and 3


def test_without_patience_it_trains_to_the_end(start: Start, config: MakeConfig) -> None:
    session = start(config(learning_rate=1e-9, training=Training(epochs=5)))
    assert [row["epoch"] for row in session.advance(99)] == [1, 2, 3, 4, 5]
    assert session.stop == "finished"


@pytest.mark.parametrize("averaging", [0.0, 0.9])
def test_without_patience_the_last_weights_count(
    averaging: float,
    start: Start,
    config: MakeConfig,
    digits: SearchData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worse = iter(range(12, 0, -1))

    def falling(*args: Any) -> dict[str, float]:
        return {**scored(*args), "accuracy": next(worse) / 12}

    scored = scoring.score
    monkeypatch.setattr(scoring, "score", falling)
    configured = config(
        Network(layers=(DenseLayer(units=64),)),
        learning_rate=0.05,
        training=Training(epochs=12),
        regularization=Regularization(weight_averaging=averaging),
    )
    session = start(configured)
    rows = session.advance(12)
    assert session.best == rows[-1]
    again = start(configured)
    again.restore(session.save())
    for probabilities in (session.predict(), again.predict()):
        loss = scored(digits.validation.labels, probabilities, ("loss",))["loss"]
        assert loss == pytest.approx(rows[-1]["val_loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("learning_rate", "l2", "lengths"),
    [(10, 1, range(1, 2)), (0.5, 2.5, range(2, 20))],
    ids=["soon", "late"],
)
def test_a_loss_that_is_no_number_is_divergence(
    learning_rate: float, l2: float, lengths: range, start: Start, config: MakeConfig
) -> None:
    # Each step takes more off the weights than there is: they grow with alternating signs.
    configured = config(
        optimizer="sgd",
        learning_rate=learning_rate,
        regularization=Regularization(l2=l2),
        training=Training(epochs=20),
    )
    session = start(configured)
    rows = session.advance(20)
    assert session.stop == "diverged"
    assert not math.isfinite(rows[-1]["train_loss"])
    assert all(math.isfinite(row["train_loss"]) for row in rows[:-1])
    assert len(rows) in lengths
    assert session.best == (rows[-2] if len(rows) > 1 else {})
    assert session.advance(20) == []
    again = start(configured)
    again.restore(session.save())
    assert again.stop == "diverged"
    assert again.advance(20) == []


def test_the_time_limit_ends_a_segment_after_one_row(start: Start) -> None:
    session = start()
    assert [row["epoch"] for row in session.advance(2, seconds=0)] == [1]
    assert session.stop is None
    assert not session.reached(2)
    assert [row["epoch"] for row in session.advance(2, seconds=0)] == [2]
    assert session.reached(2)
    assert session.reached(0.3)
    assert session.advance(2) == []


def test_the_smallest_rung_is_one_step(start: Start, config: MakeConfig, iris: SearchData) -> None:
    session = start(config(batch_size=64), task=IRIS, data=iris)
    assert [row["epoch"] for row in session.advance(0.01)] == [0.5]
    assert session.reached(0.01)


def test_a_checkpoint_is_plain_arrays_without_pickle(start: Start) -> None:
    session = start()
    session.advance(1)
    with np.load(io.BytesIO(session.save()), allow_pickle=False) as arrays:
        state = json.loads(arrays["meta"].tobytes())
        assert {arrays[name].dtype.kind for name in arrays.files} <= set("fiu")
    assert state["step"] == 18
    assert state["best"] == session.best


@pytest.mark.parametrize(
    ("activation", "optimizer"),
    [
        *[("relu", name) for name in OPTIMIZER_DEFAULTS],
        *[(name, "adam") for name in ACTIVATIONS],
    ],
)
def test_a_session_leaves_memory_when_the_next_is_made(
    activation: str, optimizer: str, start: Start, config: MakeConfig
) -> None:
    network = SMALL.model_copy(update={"activation": activation})
    session = start(config(network, optimizer=optimizer))
    session.advance(1)
    graph = session._graph
    kept = [session, graph, graph.model, graph._run_steps.graph, graph._optimizer]
    gone = [weakref.ref(thing) for thing in kept]
    del session, graph, kept
    start()
    gc.collect()
    assert [thing() for thing in gone] == [None] * len(gone)
