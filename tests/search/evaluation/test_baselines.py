"""Presets measured again: by scripted workers, and in earnest on iris and on the churn table."""

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipelines import sources
from pipelines.classical import CLASSICAL
from pipelines.segment import Segment, SegmentFailure, SegmentResult
from pipelines.tasks import TASKS
from search.engine import Job, WorkerLostError
from search.evaluation import baselines as module
from search.evaluation.baseline_training import BaselineTraining, duration_text, n_draws
from search.evaluation.baselines import baselines
from search.evaluation.ledger import openings
from search.evaluation.measurements import Measurement, Measurements, Spread
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import Tracker
from spaces.config import Config
from spaces.domains import Int
from spaces.errors import InputError
from spaces.presets import PRESETS, Preset

# Keras 3.15 saves a model by a call that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IRIS = TASKS["iris"]
MLP = PRESETS["iris_mlp_32"]
SHORT = replace(MLP, config=MLP.config.with_epochs(3))
OTHER = replace(SHORT, name="iris_other", config=SHORT.config.with_epochs(2))


class InlineJob:
    def __init__(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.work, self.arguments = work, arguments
        self._outcome: Any = None

    def do(self, work: Callable[..., Any]) -> None:
        try:
            self._outcome = work(*self.arguments)
        except WorkerLostError as error:
            self._outcome = error

    def result(self) -> Any:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


class InlineEngine:
    """Does the work in this process, or what a script says in its place.

    Attributes:
        segments: That were trained, in the order of their coming.
    """

    def __init__(self, script: Callable[[Segment], Any] | None = None, n_workers: int = 2) -> None:
        self.n_workers, self._script = n_workers, script
        self.segments: list[Segment] = []
        self.most_open = 0
        self._open: list[InlineJob] = []

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Job | None) -> InlineJob:
        job = InlineJob(work, arguments)
        if isinstance(arguments[0], Segment):
            self.segments.append(arguments[0])
        self._open.append(job)
        self.most_open = max(self.most_open, len(self._open))
        return job

    def wait(self, seconds: float) -> list[Job]:
        job = self._open.pop(0)
        of_segment = isinstance(job.arguments[0], Segment)
        job.do(self._script if self._script and of_segment else job.work)
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
        self, engine: InlineEngine, *presets: Preset, draws: int = 5, new: Any = blank
    ) -> list[Measurement]:
        console = Console(file=io.StringIO(), width=200)

        def log(preset: Preset, draw: int, record: Record) -> str:
            self.shown.append((preset.name, draw, record))
            return f"run-{preset.name}-{draw}"

        settings = Settings(runs_dir=self.folder)
        BaselineTraining(IRIS, settings, new, engine, self.store, log, console).run(presets, draws)
        self.text = console.file.getvalue()  # type: ignore[attr-defined]
        return [each for preset in presets for each in self.store.of(preset.name)]


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


# training


def test_every_draw_has_its_own_seed_and_fold(setting: Setting) -> None:
    engine = InlineEngine(trained)
    found = setting.train(engine, SHORT)
    assert [(m.draw, m.seed) for m in found] == [(n, n) for n in range(5)]
    assert {(s.seed, s.division) for s in engine.segments} == {(n, n) for n in range(5)}
    assert engine.most_open == 2


def test_the_last_row_counts_and_not_the_best(setting: Setting) -> None:
    (first, *_) = setting.train(InlineEngine(trained), SHORT)
    assert first.validation == {"val_loss": 0.4, "val_accuracy": 0.53}
    assert (first.epochs, first.n_parameters, first.train_seconds) == (3.0, 67, 3.0)
    assert first.config == SHORT.config.model_dump(mode="json")
    assert first.run_id == "run-iris_mlp_32-0"
    assert setting.shown[0][2].best["epoch"] == 3.0
    assert setting.store.network(first) == b"network"


def test_an_epoch_of_every_preset_comes_first_and_foretells_the_time(setting: Setting) -> None:
    engine = InlineEngine(lambda segment: trained(segment, seconds_an_epoch=60.0))
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
    found = setting.train(InlineEngine(lambda s: trained(s, seconds_an_epoch=201.0)), SHORT)
    assert [m.draw for m in found] == [0, 1, 2]
    assert "iris_mlp_32: 3 x" in setting.text


@pytest.mark.parametrize(
    ("seconds", "draws", "expected"), [(599, 5, 5), (601, 5, 3), (601, 2, 2), (601, 9, 3)]
)
def test_draws(seconds: float, draws: int, expected: int) -> None:
    assert n_draws(seconds, draws) == expected


def test_what_is_stored_is_not_trained_again(setting: Setting) -> None:
    setting.train(InlineEngine(trained), SHORT, draws=3)
    again = InlineEngine(trained)
    assert len(setting.train(again, SHORT, draws=5)) == 5
    assert sorted({s.seed for s in again.segments}) == [3, 4]
    assert "2 x at most 3 epochs" in setting.text
    nothing = InlineEngine(trained)
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

    engine = InlineEngine(stopping)
    if stop_at <= 6:
        with pytest.raises(KeyboardInterrupt):
            setting.train(engine, SHORT)
    else:
        setting.train(engine, SHORT)
    done = {m.draw for m in setting.store.of(SHORT.name)}
    again = InlineEngine(trained)
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
    setting.train(InlineEngine(trained), SHORT)
    engine = InlineEngine(trained)
    new = replace(SHORT, **changed)
    found = setting.train(engine, new, draws=2)
    assert [m.draw for m in found] == [0, 1]
    assert {m.epochs for m in found} == {float(new.config.training.epochs)}


@pytest.mark.parametrize("changed", [{"data_digest": "other"}, {"precision": "bfloat16"}])
def test_other_data_or_precision_are_measured_anew(
    setting: Setting, changed: dict[str, Any]
) -> None:
    setting.train(InlineEngine(trained), SHORT)
    found = setting.train(
        InlineEngine(trained), SHORT, draws=1, new=lambda m, d: replace(blank(m, d), **changed)
    )
    assert [m.draw for m in found] == [0]
    assert changed.items() <= vars(found[0]).items()


def test_a_diverged_training_is_a_measurement(setting: Setting) -> None:
    def diverging(segment: Segment) -> Any:
        return trained(segment, stop="diverged") if segment.seed == 1 else trained(segment)

    found = setting.train(InlineEngine(diverging), SHORT)
    assert [m.cause for m in found] == ["", "diverged", "", "", ""]
    assert found[1].validation == {}
    assert setting.store.network(found[1]) is None
    assert "seed 1: failed: the loss was no number at epoch 3" in setting.text


def test_a_network_that_does_not_fit_is_a_measurement(setting: Setting) -> None:
    def failing(segment: Segment) -> Any:
        return SegmentFailure("out of memory", "it did not fit"), b""

    found = setting.train(InlineEngine(failing), SHORT)
    assert {m.cause for m in found} == {"out of memory"}


def test_a_training_that_lost_its_worker_is_tried_again_by_the_next_call(setting: Setting) -> None:
    def losing(segment: Segment) -> Any:
        if segment.seed == 2:
            raise WorkerLostError(out_of_memory=False)
        return trained(segment)

    found = setting.train(InlineEngine(losing), SHORT)
    assert [m.draw for m in found] == [0, 1, 3, 4]
    assert "seed 2: the worker process died; the same command tries it again." in setting.text
    assert len(setting.train(InlineEngine(trained), SHORT)) == 5


def test_early_stopping_ends_a_training(setting: Setting) -> None:
    found = setting.train(InlineEngine(lambda s: trained(s, stop="plateau")), SHORT)
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


# storage


def test_measurements_are_one_line_each(tmp_path: Path) -> None:
    store = Measurements(tmp_path, "iris")
    for draw in range(3):
        store.put(replace(blank("a", draw), validation={"val_loss": 0.25}), b"network")
    lines = (tmp_path / "baselines" / "iris.jsonl").read_text().splitlines()
    assert [json.loads(line)["draw"] for line in lines] == [0, 1, 2]
    assert Measurements(tmp_path, "iris").of("a") == store.of("a")
    assert not Measurements(tmp_path, "mnist").of("a")


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


# whole


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[InlineEngine]:
    """The engines that were opened: they do their work in this process."""
    engines: list[InlineEngine] = []

    @contextmanager
    def open_engine(_: int) -> Iterator[InlineEngine]:
        engines.append(InlineEngine())
        yield engines[-1]

    monkeypatch.setattr(module, "local_engine", open_engine)
    return engines


def measure(folder: Path, task: str, **changes: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    settings = Settings(runs_dir=folder, trials=3)
    baselines(
        TASKS[task], settings, None, console=console, command="hpsearch baselines", **changes
    )
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.fixture
def short_iris(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, MLP.name, replace(MLP, config=MLP.config.with_epochs(40)))


@pytest.mark.usefixtures("short_iris")
def test_iris_is_trained_scored_and_tested(tmp_path: Path, in_process: list[InlineEngine]) -> None:
    said = measure(tmp_path, "iris", draws=3)
    found = Measurements(tmp_path, "iris").of("iris_mlp_32")
    assert [m.draw for m in found] == [0, 1, 2]
    assert all(m.validation["val_accuracy"] > 0.8 for m in found)
    assert all(0.7 < m.test["accuracy"] <= 1.0 for m in found)
    assert all(
        round(m.test["accuracy"] * 30) == pytest.approx(m.test["accuracy"] * 30) for m in found
    )
    assert len({m.test["loss"] for m in found}) == 3
    assert "Opening the sealed test rows for 3 trainings: they choose nothing." in said
    assert not list((tmp_path / "baselines" / "iris").glob("*.keras"))


@pytest.mark.usefixtures("short_iris", "in_process")
def test_the_opening_stands_in_the_ledger(tmp_path: Path) -> None:
    measure(tmp_path, "iris", draws=2)
    (opening,) = openings(tmp_path, "iris", "baselines iris_mlp_32")
    found = Measurements(tmp_path, "iris").of("iris_mlp_32")
    assert opening.seeds == (0, 1)
    assert opening.scores["accuracy"].values == tuple(m.test["accuracy"] for m in found)
    assert opening.promised == pytest.approx(
        np.mean([m.validation["val_accuracy"] for m in found])
    )


@pytest.mark.usefixtures("short_iris")
def test_a_second_call_opens_nothing(tmp_path: Path, in_process: list[InlineEngine]) -> None:
    measure(tmp_path, "iris", draws=2)
    assert measure(tmp_path, "iris", draws=2) == ""
    assert in_process[1].segments == []
    assert len(openings(tmp_path, "iris", "baselines iris_mlp_32")) == 1
    measure(tmp_path, "iris", draws=3)
    again = openings(tmp_path, "iris", "baselines iris_mlp_32")
    assert [len(each.seeds) for each in again] == [2, 3]


@pytest.mark.usefixtures("short_iris", "in_process")
def test_every_training_is_a_run_of_its_own(tmp_path: Path) -> None:
    measure(tmp_path, "iris", draws=1)
    (measured,) = Measurements(tmp_path, "iris").of("iris_mlp_32")
    run = Tracker.open(tmp_path, None)._client.get_run(measured.run_id)
    expected = {"stage": "baseline", "preset": "iris_mlp_32", "draw": "0", "state": "completed"}
    assert expected.items() <= run.data.tags.items()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_accuracy"] == measured.test["accuracy"]
    assert run.data.metrics["best_val_accuracy"] == measured.validation["val_accuracy"]


@pytest.mark.usefixtures("in_process")
def test_xor_has_no_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = PRESETS["xor_8_4"]
    monkeypatch.setitem(PRESETS, preset.name, replace(preset, config=preset.config.with_epochs(2)))
    assert "Opening" not in measure(tmp_path, "xor", draws=1)
    (measured,) = Measurements(tmp_path, "xor").of("xor_8_4")
    assert measured.test == {}


@pytest.mark.usefixtures("in_process")
def test_churn_stands_beside_the_models_of_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sources.find("churn", None) is None:
        pytest.skip(f"no churn table: name its folder in {sources.DATA_DIR_VARIABLE}")
    preset = PRESETS["churn_mlp_6_6"]
    quick = Config.model_validate({**preset.config.model_dump(), "training": {"epochs": 1}})
    monkeypatch.setitem(PRESETS, preset.name, replace(preset, config=quick))
    boosting, logistic = CLASSICAL["churn"]
    fast = replace(boosting, domains={**boosting.domains, "max_iter": Int(5, 20)})
    monkeypatch.setitem(CLASSICAL, "churn", (fast, logistic))
    said = measure(tmp_path, "churn", draws=2)
    store = Measurements(tmp_path, "churn")
    for name in ("boosting", "logistic"):
        found = store.of(name)
        assert [m.draw for m in found] == [0, 1]
        assert found[0].config == found[1].config
        assert found[0].config["tuned_trials"] == 3
        assert found[0].validation["val_auc"] != found[1].validation["val_auc"]  # other folds
        assert all(m.test["auc"] > 0.7 for m in found)
        assert len(openings(tmp_path, "churn", f"baselines {name}")) == 1
    assert store.of("boosting")[0].test["auc"] > store.of("logistic")[0].test["auc"]
    assert "Opening the sealed test rows for 6 trainings" in said
    assert "Tuning" not in measure(tmp_path, "churn", draws=3)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("task", "names", "said"),
    [
        ("digits", (), "There are no presets for digits"),
        ("iris", ("iris_mlp",), "Unknown preset 'iris_mlp'. Did you mean 'iris_mlp_32'"),
    ],
)
def test_what_cannot_be_measured_is_said(
    tmp_path: Path, task: str, names: tuple[str, ...], said: str
) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        measure(tmp_path, task, names=names)
    assert not list(tmp_path.iterdir())
