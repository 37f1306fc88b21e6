"""What the user sees of a running search: a line a trial, and the live panel in 80 columns."""

import io
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from search.coordinator import Coordinator
from search.finalists.training import FinalistTraining
from search.progress import finalists_status
from search.settings import Settings
from search.study import Record
from search.view import SearchView, ended_line
from search.worker_time import WorkerTime
from spaces.config import Config
from spaces.presets import PRESETS
from tests.fake_engine import FakeClock, FakeEngine, flat
from tests.fakes import SPACE, TASK, FakeLog, an_active, new_study
from tests.search.conftest import Searched

METRIC = TASK.goal.metric
WIDEST = Config.model_validate(
    {
        "network": {
            "blocks": [{"filters": 128}] * 4,
            "layers": [{"units": 1024}] * 3,
        },
        "optimization": {"optimizer": "rmsprop", "learning_rate": 0.1, "batch_size": 32},
        "training": {"epochs": 300},
    }
)


class Seen(Console):
    """A terminal of 80 columns whose text can be read."""

    def __init__(self, *, terminal: bool = False) -> None:
        self.text = io.StringIO()
        super().__init__(
            file=self.text, width=80, height=40, force_terminal=terminal, color_system=None
        )

    def lines(self) -> list[str]:
        return self.text.getvalue().splitlines()


def shown(what: RenderableType) -> list[str]:
    console = Seen()
    console.print(what)
    return console.lines()


def a_record(**changes: Any) -> Record:
    config = changes.pop("config", PRESETS["mnist_conv_net"].config)
    return Record(config.model_dump(mode="json", exclude_none=True), seed=1, **changes)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            a_record(state="completed", epoch=15.0, best={METRIC: 0.98765}),
            "t007 completed  0.9877 at epoch 15   cnn 3x32-64-64 d64 adam",
        ),
        (
            a_record(state="pruned", epoch=1 / 3, best={METRIC: 0.5}, preset="mnist_conv_net"),
            "t007 pruned     0.5000 at epoch 0.33 cnn 3x32-64-64 d64 adam [mnist_conv_net]",
        ),
        (
            a_record(state="failed", cause="out of memory", note="too large"),
            "t007 failed (out of memory)    -   at epoch 0    cnn 3x32-64-64 d64 adam: too large",
        ),
        (
            a_record(state="completed", epoch=300.0, best={METRIC: 1.0}),
            "t007 completed  1.0000 at epoch 300  cnn 3x32-64-64 d64 adam",
        ),
        (
            a_record(state="completed", epoch=9.0, best={METRIC: 0.5}, audited_from=2.0),
            (
                "t007 completed  0.5000 at epoch 9    cnn 3x32-64-64 d64 adam"
                " (audit: would have been pruned at epoch 2)"
            ),
        ),
        (
            a_record(state="interrupted", epoch=1.0, best={METRIC: 0.5}, note="too long"),
            "t007 set aside  0.5000 at epoch 1    cnn 3x32-64-64 d64 adam: too long",
        ),
    ],
    ids=["completed", "pruned", "failed", "many epochs", "audited", "set aside"],
)
def test_the_line_of_a_trial_that_ended(record: Record, expected: str) -> None:
    assert ended_line(7, record, METRIC).plain == expected


def test_without_a_terminal_a_trial_is_one_line_and_nothing_moves() -> None:
    console = Seen()
    view = SearchView(console, METRIC)
    with view.live():
        view.ended(0, a_record(config=WIDEST, state="failed", cause="crashed", note="long " * 30))
        view.update(None)  # type: ignore[arg-type] # not looked at
    assert len(console.lines()) == 1


def test_the_live_panel_bears_trials_that_diverge(tmp_path: Path) -> None:
    console = Seen(terminal=True)
    view = SearchView(console, METRIC)
    bad = {1: [math.nan], 4: [0.5, math.nan]}
    clock = FakeClock()
    engine = FakeEngine(
        lambda number: bad.get(number, [0.123456] * 9),
        n_workers=3,
        rows_per_segment=1,
        clock=clock,
    )
    coordinator = Coordinator(
        TASK,
        SPACE,
        new_study(),
        engine,
        Settings(runs_dir=tmp_path, trials=6, budget_seconds=7200),
        training=TASK.training,
        data_digest="abc",
        log=FakeLog(),
        view=view,
        clock=clock,
    )
    with view.live():
        coordinator.run()
    assert "t000" in console.text.getvalue()
    assert coordinator.book.counts["failed"] == 2


def test_the_widest_values_fit_in_80_columns(searched: Searched) -> None:
    coordinator = searched()
    rows = [{METRIC: n / 100} for n in range(100)]
    record = a_record(config=WIDEST, epoch=299.0, best={METRIC: -1.23456}, rows=rows)
    coordinator.active[1234] = an_active(record, number=1234)
    coordinator.book.best = (1234, record)
    lines = shown(SearchView(Seen(), METRIC)._panel(coordinator))
    assert max(len(line) for line in lines) <= 80
    assert any("t1234" in line and "299/300" in line and "-1.2346" in line for line in lines)


def test_the_panel_keeps_its_size_whatever_is_in_work(searched: Searched) -> None:
    coordinator, view = searched(), SearchView(Seen(), METRIC)
    sizes = [len(shown(view._panel(coordinator)))]
    records = [a_record(rows=[], epoch=0.0), a_record(config=WIDEST, epoch=299.0)]
    edges = set()
    for number, record in enumerate(records, 7):
        coordinator.active[number] = an_active(record, number=number)
        lines = shown(view._panel(coordinator))
        sizes.append(len(lines))
        edges |= {line.index("so far") for line in lines if "so far" in line}
    coordinator.active[9] = an_active(a_record(state="completed"), number=9)
    lines = shown(view._panel(coordinator))
    assert "1 saving" in "\n".join(lines)
    assert {*sizes, len(lines)} == {sizes[0]}
    assert len(edges) == 1


def test_the_panel_shows_what_is_being_stored(searched: Searched) -> None:
    coordinator = searched(stop_at=3)
    panel = "\n".join(shown(SearchView(Seen(), METRIC)._panel(coordinator)))
    assert all(word in panel for word in ("trial", "config", "epoch", "accuracy", "so far"))
    assert panel.count(f"/{TASK.training.epochs}") == 2
    for active in coordinator.active.values():
        active.record = a_record(state="pruned")
    assert "saving" in "\n".join(shown(SearchView(Seen(), METRIC)._panel(coordinator)))


def finalists(view: SearchView, study: optuna.Study, engine: FakeEngine) -> FinalistTraining:
    log: Any = SimpleNamespace(finalist=lambda *_: "")
    return FinalistTraining(
        TASK,
        study,
        engine,
        Settings(),
        data_digest="abc",
        log=log,
        view=view,
        spent=WorkerTime(),
        stopped=lambda: False,
        started=0.0,
        clock=FakeClock(),
    )


def test_finalists_are_shown_live_and_a_line_each(searched: Searched) -> None:
    study = searched().book._study
    console = Seen(terminal=True)
    view = SearchView(console, METRIC)
    training = finalists(view, study, FakeEngine(flat(dict.fromkeys(range(4), 0.9)), n_workers=2))
    assert finalists_status(training).plain.startswith("finalists: 0 retrainings done, ")
    with view.live():
        training.run()
    text = console.text.getvalue()
    assert "finalist t000 seed 3  0.9000 at epoch 9" in text
    assert "t000 seed 1" in text
    assert "/9" in text
    done = finalists_status(training).plain
    assert done == f"finalists: {training.n_trained} retrainings done, 0 left, 0:00, 0/2 busy"


def test_finalists_that_crash_or_are_dropped_are_a_line(searched: Searched) -> None:
    study = searched().book._study
    console = Seen()
    view = SearchView(console, METRIC)
    with view.live():
        finalists(view, study, FakeEngine(faults={(0, 0): "lost", (0, 1): "lost"})).run()
    view.dropped(3)
    lines = console.lines()
    assert any("crashed: the worker process died; the same command tries" in x for x in lines)
    assert "finalist t003 is out of the running: it is trained no further." in lines


def test_square_brackets_are_shown_as_they_are() -> None:
    line = ended_line(1, a_record(state="pruned", preset="a_preset"), METRIC)
    assert isinstance(line, Text)
    assert "[a_preset]" in shown(line)[0]
