"""Presets trained again, by scripted workers: which, how often, and what is kept of each."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipelines.segment import Segment, SegmentFailure, SegmentResult
from pipelines.tasks import TASKS
from search.engine import Job, WorkerLostError
from search.evaluation.baseline_training import BaselineTraining, duration_text, n_draws
from search.evaluation.measurements import Measurement, Measurements
from search.settings import Settings
from search.study import Record
from spaces.presets import PRESETS, Preset

IRIS = TASKS["iris"]
MLP = PRESETS["iris_mlp_32"]
SHORT = replace(MLP, config=MLP.config.with_epochs(3))
OTHER = replace(SHORT, name="iris_other", config=SHORT.config.with_epochs(2))


class ScriptedJob:
    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.outcome: Any = None

    def result(self) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class ScriptedEngine:
    """Answers what a script says to a segment, one after the other.

    Attributes:
        segments: That were sent, in the order of their coming.
        open: That wait for their answer.
        most_open: The most of them at one time.
    """

    n_workers = 2

    def __init__(self, script: Callable[[Segment], Any]) -> None:
        self.segments: list[Segment] = []
        self.most_open = 0
        self._script = script
        self.open: list[ScriptedJob] = []

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Job | None) -> ScriptedJob:
        job = ScriptedJob(arguments[0])
        self.segments.append(job.segment)
        self.open.append(job)
        self.most_open = max(self.most_open, len(self.open))
        return job

    def wait(self, seconds: float) -> list[Job]:
        job = self.open.pop(0)
        try:
            job.outcome = self._script(job.segment)
        except WorkerLostError as error:
            job.outcome = error
        return [job]

    def kill(self, job: Job) -> None:
        raise AssertionError("nothing is killed here")


def trained(segment: Segment, seconds_an_epoch: float = 1.0, **changes: Any) -> Any:
    """What a worker answers that has trained the segment."""
    last = min(segment.until, segment.config.training.epochs)
    rows = [
        {"epoch": epoch, "train_loss": 0.5, "val_loss": 0.4, "val_accuracy": 0.5 + epoch / 100}
        for epoch in np.arange(segment.begin + 1, last + 1).tolist()
    ]
    result = SegmentResult(
        rows=rows,
        best=rows[0],
        reached=True,
        stop="finished" if last >= segment.config.training.epochs else None,
        checkpoint=b"checkpoint",
        summary="a network" if segment.begin == 0 else "",
        n_parameters=67,
        build_seconds=1.0,
        train_seconds=seconds_an_epoch * len(rows),
        total_seconds=2.0,
    )
    result = replace(result, **changes)
    return result, b"network" if result.stop in ("finished", "plateau") else b""


def blank(model: str, draw: int) -> Measurement:
    return Measurement(model, draw, draw, {}, data_digest="abc", precision="float32")


class Setting:
    """A folder to train in, with what was said and shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shown: list[tuple[str, int, Record]] = []
        self.text = ""

    @property
    def store(self) -> Measurements:
        return Measurements(self.folder, "iris")

    def train(
        self, engine: ScriptedEngine, *presets: Preset, draws: int = 5, new: Any = blank
    ) -> list[Measurement]:
        said = io.StringIO()
        console = Console(file=said, width=200)

        def log(preset: Preset, draw: int, record: Record) -> str:
            self.shown.append((preset.name, draw, record))
            return f"run-{preset.name}-{draw}"

        settings = Settings(runs_dir=self.folder)
        BaselineTraining(IRIS, settings, new, engine, self.store, log, console).run(presets, draws)
        self.text = said.getvalue()
        return [each for preset in presets for each in self.store.of(preset.name)]


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def test_every_draw_has_its_own_seed_and_fold(setting: Setting) -> None:
    engine = ScriptedEngine(trained)
    found = setting.train(engine, SHORT)
    assert [(m.draw, m.seed) for m in found] == [(n, n) for n in range(5)]
    assert {(s.seed, s.division) for s in engine.segments} == {(n, n) for n in range(5)}
    assert engine.most_open == 2


def test_the_last_row_counts_and_not_the_best(setting: Setting) -> None:
    (first, *_) = setting.train(ScriptedEngine(trained), SHORT)
    assert first.validation == {"val_loss": 0.4, "val_accuracy": 0.53}
    assert (first.epochs, first.n_parameters, first.train_seconds) == (3.0, 67, 3.0)
    assert first.config == SHORT.config.model_dump(mode="json")
    assert first.run_id == "run-iris_mlp_32-0"
    assert setting.shown[0][2].best["epoch"] == 3.0
    assert setting.store.network(first) == b"network"


def test_an_epoch_of_every_preset_comes_first_and_foretells_the_time(setting: Setting) -> None:
    engine = ScriptedEngine(lambda segment: trained(segment, seconds_an_epoch=60.0))
    setting.train(engine, SHORT, OTHER)
    assert [(s.key, s.begin, s.until) for s in engine.segments[:4]] == [
        ("iris_mlp_32/0", 0.0, 1.0),
        ("iris_other/0", 0.0, 1.0),
        ("iris_mlp_32/0", 1.0, 3.0),
        ("iris_other/0", 1.0, 2.0),
    ]
    assert engine.segments[2].checkpoint == b"checkpoint"
    assert "iris_mlp_32: 5 x at most 3 epochs, about 3 min each" in setting.text
    assert "All of it takes about 12 min;" in setting.text  # (5 x 3 + 5 x 2) / 2 workers


def test_a_model_that_takes_long_gets_three_trainings(setting: Setting) -> None:
    found = setting.train(ScriptedEngine(lambda s: trained(s, seconds_an_epoch=201.0)), SHORT)
    assert [m.draw for m in found] == [0, 1, 2]
    assert "iris_mlp_32: 3 x" in setting.text


@pytest.mark.parametrize(
    ("seconds", "draws", "expected"), [(599, 5, 5), (601, 5, 3), (601, 2, 2), (601, 9, 3)]
)
def test_draws(seconds: float, draws: int, expected: int) -> None:
    assert n_draws(seconds, draws) == expected


def test_no_worker_waits_for_the_first_training_of_a_model(setting: Setting) -> None:
    beside: list[list[int]] = []

    def watched(segment: Segment) -> Any:
        if segment.begin:
            beside.append([job.segment.seed for job in engine.open])
        return trained(segment, seconds_an_epoch=300)

    engine = ScriptedEngine(watched)
    found = setting.train(engine, SHORT)
    assert beside == [[1]]
    assert [m.draw for m in found] == [0, 1, 2]
    assert [s.seed for s in engine.segments] == [0, 0, 1, 2]


def test_what_is_stored_is_not_trained_again(setting: Setting) -> None:
    setting.train(ScriptedEngine(trained), SHORT, draws=3)
    again = ScriptedEngine(trained)
    assert len(setting.train(again, SHORT, draws=5)) == 5
    assert sorted({s.seed for s in again.segments}) == [3, 4]
    assert "2 x at most 3 epochs" in setting.text
    nothing = ScriptedEngine(trained)
    setting.train(nothing, SHORT, draws=5)
    assert (nothing.segments, setting.text) == ([], "")


@pytest.mark.parametrize("stop_at", range(1, 8))
def test_a_run_that_was_stopped_goes_on(setting: Setting, stop_at: int) -> None:
    n_done = 0

    def stopping(segment: Segment) -> Any:
        nonlocal n_done
        n_done += 1
        if n_done == stop_at:
            raise KeyboardInterrupt
        return trained(segment)

    engine = ScriptedEngine(stopping)
    if stop_at <= 6:
        with pytest.raises(KeyboardInterrupt):
            setting.train(engine, SHORT)
    else:
        setting.train(engine, SHORT)
    done = {m.draw for m in setting.store.of(SHORT.name)}
    again = ScriptedEngine(trained)
    found = setting.train(again, SHORT)
    assert {s.seed for s in again.segments} == set(range(5)) - done
    assert [m.draw for m in found] == list(range(5))


@pytest.mark.parametrize(
    "changed",
    [
        {"config": SHORT.config.with_epochs(4)},
        {"name": "iris_mlp_32", "config": OTHER.config},
    ],
)
def test_a_preset_that_was_changed_is_measured_anew(
    setting: Setting, changed: dict[str, Any]
) -> None:
    setting.train(ScriptedEngine(trained), SHORT)
    engine = ScriptedEngine(trained)
    new = replace(SHORT, **changed)
    found = setting.train(engine, new, draws=2)
    assert [m.draw for m in found] == [0, 1]
    assert {m.epochs for m in found} == {float(new.config.training.epochs)}


@pytest.mark.parametrize("changed", [{"data_digest": "other"}, {"precision": "bfloat16"}])
def test_other_data_or_precision_are_measured_anew(
    setting: Setting, changed: dict[str, Any]
) -> None:
    setting.train(ScriptedEngine(trained), SHORT)
    found = setting.train(
        ScriptedEngine(trained), SHORT, draws=1, new=lambda m, d: replace(blank(m, d), **changed)
    )
    assert [m.draw for m in found] == [0]
    assert changed.items() <= vars(found[0]).items()


def test_a_diverged_training_is_a_measurement(setting: Setting) -> None:
    def diverging(segment: Segment) -> Any:
        return trained(segment, stop="diverged") if segment.seed == 1 else trained(segment)

    found = setting.train(ScriptedEngine(diverging), SHORT)
    assert [m.cause for m in found] == ["", "diverged", "", "", ""]
    assert found[1].validation == {}
    assert setting.store.network(found[1]) is None
    assert "seed 1: failed: the loss was no number at epoch 3" in setting.text


def test_a_network_that_does_not_fit_is_a_measurement(setting: Setting) -> None:
    def failing(segment: Segment) -> Any:
        return SegmentFailure("out of memory", "it did not fit"), b""

    found = setting.train(ScriptedEngine(failing), SHORT)
    assert {m.cause for m in found} == {"out of memory"}


def test_a_training_that_lost_its_worker_is_tried_again_by_the_next_call(setting: Setting) -> None:
    def losing(segment: Segment) -> Any:
        if segment.seed == 2:
            raise WorkerLostError(out_of_memory=False)
        return trained(segment)

    found = setting.train(ScriptedEngine(losing), SHORT)
    assert [m.draw for m in found] == [0, 1, 3, 4]
    assert "seed 2: the worker process died; the same command tries it again." in setting.text
    assert len(setting.train(ScriptedEngine(trained), SHORT)) == 5


def test_early_stopping_ends_a_training(setting: Setting) -> None:
    found = setting.train(ScriptedEngine(lambda s: trained(s, stop="plateau")), SHORT)
    assert {m.epochs for m in found} == {1.0, 3.0}
    assert {record.note for _, _, record in setting.shown} == {"early stopping"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (9.6, "10 s"),
        (99, "99 s"),
        (100, "2 min"),
        (3599, "1 h 00 min"),
        (11100, "3 h 05 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
