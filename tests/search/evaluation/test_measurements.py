"""Measurements as they are stored, and the spread of their scores."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.evaluation.measurements import Measurement, Measurements, Spread


def blank(model: str, draw: int) -> Measurement:
    return Measurement(model, draw, draw, {}, data_digest="abc", precision="float32")


def test_measurements_are_one_line_each(tmp_path: Path) -> None:
    store = Measurements(tmp_path, "iris")
    for draw in range(3):
        store.put(replace(blank("a", draw), validation={"val_loss": 0.25}), b"network")
    lines = (tmp_path / "baselines" / "iris.jsonl").read_text().splitlines()
    assert [json.loads(line)["draw"] for line in lines] == [0, 1, 2]
    assert Measurements(tmp_path, "iris").of("a") == store.of("a")
    assert not Measurements(tmp_path, "mnist").of("a")


def test_two_commands_at_once_keep_what_the_other_measured(tmp_path: Path) -> None:
    one, other = Measurements(tmp_path, "iris"), Measurements(tmp_path, "iris")
    tested = replace(blank("a", 0), test={"accuracy": 1.0})
    other.put(tested)
    one.put(blank("b", 0))
    assert Measurements(tmp_path, "iris").of("a") == one.of("a") == [tested]


def test_a_network_is_kept_until_its_test(tmp_path: Path) -> None:
    store = Measurements(tmp_path, "iris")
    measured = blank("a", 0)
    store.put(measured, b"network")
    assert Measurements(tmp_path, "iris").network(measured) == b"network"
    store.put(replace(measured, test={"accuracy": 1.0}))
    assert store.network(measured) is None


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([], None), ([1.0, 3.0], Spread(2.0, 2**0.5, 2))],
)
def test_spreads(scores: list[float], expected: Spread | None) -> None:
    assert Spread.of(scores) == expected


def test_one_score_has_no_spread() -> None:
    spread = Spread.of([2.0])
    assert spread is not None
    assert (spread.mean, spread.count) == (2.0, 1)
    assert np.isnan(spread.std)
