"""Segments, as a worker runs them: held sessions, checkpoints, failures and artifacts."""

import io
import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines import graph
from pipelines import segment as segment_module
from pipelines.runtime import Runtime
from pipelines.segment import (
    Row,
    Segment,
    SegmentFailure,
    SegmentResult,
    SessionLostError,
    finish_trial,
    has_artifacts,
    load_data,
    train_segment,
)
from pipelines.session import TrainingSession
from pipelines.splits import SearchData
from spaces.config import Config, ConvBlock, DenseLayer, Network, Training
from spaces.errors import InputError

# Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NETWORK = Network(layers=(DenseLayer(units=16, dropout=0.2),))
PICTURES = {
    "curves.png",
    "confusion_matrix.png",
    "calibration.png",
    "layers.png",
    "mistakes.png",
}
ARTIFACTS = {*PICTURES, "model.keras", "classification_report.txt", "mistakes.json"}


@pytest.fixture(autouse=True)
def _new_worker() -> Iterator[None]:
    """A worker that holds no session."""
    segment_module._held.clear()
    yield
    segment_module._held.clear()


@pytest.fixture
def first(how: Runtime, digits: SearchData, config: Callable[..., Config]) -> Segment:
    return Segment(
        key="study/0",
        task="digits",
        config=config(NETWORK, training=Training(epochs=3)),
        seed=7,
        how=how,
        data_dir=None,
        data_digest=digits.digest,
        begin=0.0,
        until=1.0,
        seconds=600.0,
    )


def trained(segment: Segment) -> SegmentResult:
    result = train_segment(segment)
    assert isinstance(result, SegmentResult)
    return result


def failed(segment: Segment) -> SegmentFailure:
    result = train_segment(segment)
    assert isinstance(result, SegmentFailure)
    return result


def without_seconds(rows: list[Row]) -> list[Row]:
    return [{k: v for k, v in row.items() if k != "epoch_seconds"} for row in rows]


def test_the_first_segment_builds_and_the_next_goes_on_with_what_is_held(first: Segment) -> None:
    result = trained(first)
    assert [row["epoch"] for row in result.rows] == [1]
    assert result.reached
    assert result.stop is None
    assert result.n_parameters == 64 * 16 + 16 + 16 * 10 + 10
    assert "dense_1 (Dense)" in result.summary
    assert result.best == result.rows[0]
    assert result.total_seconds > result.build_seconds + result.train_seconds > 0

    end = trained(replace(first, begin=1.0, until=3.0))
    assert [row["epoch"] for row in end.rows] == [2, 3]
    assert end.stop == "finished"
    assert end.build_seconds == 0
    assert end.summary == ""


def test_another_worker_goes_on_from_the_checkpoint_as_this_one_would(first: Segment) -> None:
    begun = trained(replace(first, until=0.4))
    rest = replace(first, begin=begun.rows[-1]["epoch"], until=3.0)
    here = trained(rest)
    segment_module._held.clear()
    elsewhere = trained(replace(rest, checkpoint=begun.checkpoint))
    assert without_seconds(elsewhere.rows) == without_seconds(here.rows)
    assert without_seconds([elsewhere.best]) == without_seconds([here.best])
    assert elsewhere.build_seconds > 0


def test_a_held_session_that_went_further_is_not_used(first: Segment) -> None:
    begun = trained(first)
    lost = replace(first, begin=1.0, until=2.0, checkpoint=begun.checkpoint)
    answer = trained(lost)  # which never arrived
    again = trained(lost)
    assert without_seconds(again.rows) == without_seconds(answer.rows)
    assert again.build_seconds > 0


def test_a_segment_sent_again_from_the_start_starts_again(first: Segment) -> None:
    assert without_seconds(trained(first).rows) == without_seconds(trained(first).rows)


def test_without_session_and_checkpoint_it_asks_for_one(first: Segment) -> None:
    with pytest.raises(SessionLostError, match="No session of study/0 at epoch 1"):
        train_segment(replace(first, begin=1.0, until=2.0))
    trained(first)
    with pytest.raises(SessionLostError, match="study/1"):
        train_segment(replace(first, key="study/1", begin=1.0, until=2.0))


def test_a_worker_holds_one_session_only(first: Segment) -> None:
    trained(first)
    trained(replace(first, key="study/1", seed=8))
    assert set(segment_module._held) == {"study/1"}


def test_time_that_is_up_ends_a_segment_before_its_rung(first: Segment) -> None:
    result = trained(replace(first, until=3.0, seconds=0.0))
    assert [row["epoch"] for row in result.rows] == [1]
    assert not result.reached
    assert result.stop is None


def test_other_data_than_the_study_was_made_for_are_refused(first: Segment) -> None:
    with pytest.raises(InputError, match=r"have the digest [0-9a-f]{36}, the study needs 123:"):
        train_segment(replace(first, data_digest="123"))


def test_a_network_that_does_not_fit_fails_with_its_cause(
    first: Segment, config: Callable[..., Config]
) -> None:
    too_large = config(Network(blocks=(ConvBlock(filters=2, kernel_size=9),)))
    failure = failed(replace(first, config=too_large))
    assert failure == SegmentFailure(
        "invalid shape", "block 1 has a kernel of 9 pixels on an image of 8"
    )
    assert trained(first).reached  # the worker is as good as new


@pytest.mark.parametrize(
    "error", [MemoryError(), tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")]
)
def test_memory_that_runs_out_fails_with_its_cause_and_frees_the_session(
    error: Exception, first: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def advance(*_: object, **__: object) -> list[Row]:
        raise error

    monkeypatch.setattr(TrainingSession, "advance", advance)
    assert failed(first).cause == "out of memory"
    assert segment_module._held == {}


def test_a_bug_is_not_taken_for_a_failed_config(
    first: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_network(*_: object, **__: object) -> None:
        raise KeyError("no such layer")

    monkeypatch.setattr(graph, "build_network", build_network)
    with pytest.raises(KeyError, match="no such layer"):
        train_segment(first)


def test_a_completed_trial_leaves_its_model_and_reports(first: Segment, tmp_path: Path) -> None:
    result = trained(replace(first, until=3.0))
    end = replace(first, begin=3.0, until=3.0)
    artifacts = finish_trial(end, result.rows, "completed")
    assert set(artifacts) == ARTIFACTS
    assert segment_module._held == {}

    data = load_data("digits", None)
    path = tmp_path / "model.keras"
    path.write_bytes(artifacts["model.keras"])
    outputs = keras.models.load_model(path).predict(data.validation.inputs, verbose=0)
    accuracy = float(np.mean(outputs.argmax(axis=1) == data.validation.labels))
    assert accuracy == pytest.approx(result.best["val_accuracy"])
    report = artifacts["classification_report.txt"].decode()
    assert f"{accuracy:.4f}" in report
    assert report.split()[-1] == str(len(data.validation.labels))
    for name in PICTURES:
        assert artifacts[name].startswith(b"\x89PNG")
    found = json.loads(artifacts["mistakes.json"])
    assert found["n_wrong"] == round((1 - accuracy) * len(data.validation.labels))

    # And so does another worker, which has the checkpoint alone.
    elsewhere = finish_trial(replace(end, checkpoint=result.checkpoint), result.rows, "completed")
    assert elsewhere["classification_report.txt"] == artifacts["classification_report.txt"]


@pytest.mark.parametrize("state", ["pruned", "failed", "interrupted"])
def test_any_other_trial_leaves_its_curves(state: str, first: Segment) -> None:
    (row,) = trained(first).rows
    assert finish_trial(first, [row], state) == {}  # one evaluation is no curve
    assert set(finish_trial(first, [row, row | {"epoch": 2.0}], state)) == {"curves.png"}
    assert [has_artifacts(state, [row] * count) for count in range(3)] == [False, False, True]
    assert segment_module._held == {}


def test_a_trial_without_a_row_leaves_nothing(first: Segment) -> None:
    assert finish_trial(first, [], "failed") == {}


def test_what_travels_can_be_pickled_and_a_checkpoint_needs_no_pickle(first: Segment) -> None:
    result = trained(first)
    assert pickle.loads(pickle.dumps(result)) == result
    assert pickle.loads(pickle.dumps(first)) == first
    with np.load(io.BytesIO(result.checkpoint), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)
