"""What the user sees: lines that say what happened, in the width of a terminal."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from pipelines.splits import SearchData
from pipelines.tasks import TASKS
from search.coordinator import Coordinator
from search.finalists.training import FinalistTraining
from search.finalists.verdict import Retraining, store
from search.progress import best_line, finalists_status, seconds_left, status
from search.settings import Settings
from search.study import Record, tell, write
from search.texts import sparkline
from search.view import SearchView, already_complete, beginning, ended_line, ending
from search.worker_time import WorkerTime
from spaces.config import Config, Training
from spaces.presets import PRESETS
from tests.fakes import (
    SPACE,
    TASK,
    FakeClock,
    FakeEngine,
    FakeLog,
    SilentView,
    an_active,
    flat,
    new_study,
    rising,
)

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


@pytest.fixture
def searched(tmp_path: Path) -> Callable[..., Coordinator]:
    """A coordinator that has run."""

    def run(
        curve: Callable[[int], Any] = rising, stop_at: int | None = None, **settings: Any
    ) -> Coordinator:
        clock = FakeClock()
        engine = FakeEngine(
            curve, n_workers=2, clock=clock, seconds_per_job=10, rows_per_segment=1
        )
        coordinator = Coordinator(
            TASK,
            SPACE,
            new_study(),
            engine,
            Settings(runs_dir=tmp_path, **{"trials": 4, **settings}),
            training=TASK.training,
            data_digest="abc",
            log=FakeLog(),
            view=SilentView(stop_at),
            clock=clock,
        )
        coordinator.run()
        return coordinator

    return run


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([0.5], "▁"),
        ([0.5, 0.5, 0.5], "▁▁▁"),
        ([0, 1], "▁█"),
        ([0, 0.5, 1], "▁▅█"),
        ([-1, -2, -3], "█▅▁"),
        (range(8), "▁▂▃▄▅▆▇█"),
        ([1e-12, 2e-12], "▁█"),
    ],
)
def test_sparkline(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars


def test_a_score_that_is_no_number_does_not_break_the_sparkline() -> None:
    assert sparkline([0.0, 1.0, math.nan]).startswith("▁█")
    assert len(sparkline([math.nan])) <= 1


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
    ],
    ids=["completed", "pruned", "failed", "many epochs", "audited"],
)
def test_the_line_of_a_trial_that_ended(record: Record, expected: str) -> None:
    assert ended_line(7, record, METRIC).plain == expected


def test_without_a_terminal_a_trial_is_one_line_and_nothing_moves() -> None:
    console = Seen()
    view = SearchView(console, METRIC)
    with view.live():
        view.ended(0, a_record(config=WIDEST, state="failed", cause="crashed", note="long " * 30))
        view.update(None)  # type: ignore[arg-type]
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


def test_the_widest_values_fit_in_80_columns(searched: Callable[..., Coordinator]) -> None:
    coordinator = searched()
    rows = [{METRIC: n / 100} for n in range(100)]
    record = a_record(config=WIDEST, epoch=299.0, best={METRIC: -1.23456}, rows=rows)
    coordinator.active[1234] = an_active(record, number=1234)
    coordinator.book.best = (1234, record)
    lines = shown(SearchView(Seen(), METRIC)._panel(coordinator))
    assert max(len(line) for line in lines) <= 80
    assert any("t1234" in line and "299/300" in line and "-1.2346" in line for line in lines)


def test_the_panel_keeps_its_size_whatever_is_in_work(
    searched: Callable[..., Coordinator],
) -> None:
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


def test_the_panel_shows_what_is_being_stored(searched: Callable[..., Coordinator]) -> None:
    coordinator = searched(stop_at=3)
    panel = "\n".join(shown(SearchView(Seen(), METRIC)._panel(coordinator)))
    assert all(word in panel for word in ("trial", "config", "epoch", "accuracy", "so far"))
    assert panel.count(f"/{TASK.training.epochs}") == 2
    for active in coordinator.active.values():
        active.record = a_record(state="pruned")
    assert "saving" in "\n".join(shown(SearchView(Seen(), METRIC)._panel(coordinator)))


def test_the_status_counts_and_names_the_best(searched: Callable[..., Coordinator]) -> None:
    coordinator = searched(flat({0: 0.9, 1: 0.1, 2: math.nan, 3: 0.95}), trials=4)
    counts, time, best = status(coordinator)
    assert counts.plain == "4 of 4 trials (2 completed, 1 pruned, 1 failed)"
    assert time.plain.endswith(", 0/2 busy")
    assert best.plain.startswith(f"best {METRIC} 0.9500 by t003 ")


def test_before_a_trial_has_completed_there_is_no_best(
    searched: Callable[..., Coordinator],
) -> None:
    assert best_line(searched(stop_at=1).book.best, METRIC).plain == "no trial has completed yet"


@pytest.mark.parametrize(
    ("elapsed", "ended", "finished", "budget", "expected"),
    [
        (100, 0, 0, None, None),
        (100, 4, 4, None, 150),
        (100, 4, 8, None, 50),
        (100, 4, 10, None, 0),
        (100, 0, 0, 300, 200),
        (100, 4, 4, 300, 150),
        (100, 4, 4, 110, 10),
        (100, 4, 4, 90, 0),
    ],
)
def test_seconds_left(
    elapsed: float, ended: int, finished: int, budget: float | None, expected: float | None
) -> None:
    coordinator: Any = SimpleNamespace(
        elapsed=elapsed,
        seconds_left=None if budget is None else budget - elapsed,
        settings=SimpleNamespace(trials=10),
        book=SimpleNamespace(n_ended_here=ended, n_finished=finished),
    )
    assert seconds_left(coordinator) == expected


def data() -> SearchData:
    split: Any = SimpleNamespace(labels=np.zeros(1200, np.int64))
    return SimpleNamespace(train=split, validation=split)  # type: ignore[return-value]


def begun(task: str, epochs: int, *, fresh: bool, **settings: Any) -> str:
    study = new_study()
    for origin in ("mnist t004", "start_plain", "fashion_dense_128", "fashion_cnn_he"):
        study.enqueue_trial({}, user_attrs={"preset": origin})
    plain = Settings(**{"workers": 2, **settings})
    found = TASKS[task]
    lines = beginning(found, data(), study, plain, Training(epochs=epochs), fresh=fresh)
    return "\n".join(str(line) for line in lines)


def test_the_beginning_says_what_is_about_to_happen() -> None:
    text = begun("fashion", 15, fresh=True, budget_seconds=1800.0, trials=40, warm_start="mnist")
    assert "Fashion-MNIST: 1,200 rows to train on" in text
    assert "up to 40 trials of at most 15 epochs, judged at 2, 4, 8;" in text
    assert "2 workers, float32, 30:00 at most" in text
    assert "It begins with 1 config of mnist, 1 starting point, 2 presets." in text


def test_the_beginning_says_that_it_goes_on() -> None:
    text = begun("digits", 9, fresh=False)
    assert "It goes on: 0 trials finished, 0 taken up again." in text


@pytest.mark.parametrize(
    ("task", "settings", "said"),
    [
        (
            "fashion",
            {},
            "The best 5 configs and the best preset are then trained again on 3 fresh seeds.",
        ),
        (
            "churn",
            {"finalists": 1, "budget_seconds": 60.0},
            (
                "The best 1 config and the best preset are then trained again on 10 folds;"
                " 25% of the time or more is kept for that."
            ),
        ),
    ],
)
def test_the_beginning_says_who_is_trained_again(
    task: str, settings: dict[str, Any], said: str
) -> None:
    assert said in begun(task, 9, fresh=True, **settings)
    assert "trained again" not in begun(task, 9, fresh=True, finalists=0)


def test_a_search_of_one_epoch_is_judged_nowhere() -> None:
    assert "judged at ;" not in begun("digits", 1, fresh=True)


@pytest.mark.parametrize(("task", "settings"), [("digits", {}), ("fashion", {"presets": False})])
def test_without_presets_none_is_promised(task: str, settings: dict[str, Any]) -> None:
    text = begun(task, 9, fresh=True, finalists=1, **settings)
    assert "The best 1 config is then trained again on" in text


def test_rungs_beyond_a_hundred_epochs_are_readable() -> None:
    assert "e+" not in begun("xor", 300, fresh=True)


def test_the_ending_says_what_came_of_it(searched: Callable[..., Coordinator]) -> None:
    coordinator = searched()
    text = "\n".join(str(line) for line in ending(coordinator, 3.0))
    assert text.startswith("Done after ")
    assert "4 of 4 trials" in text
    assert f"best {METRIC}" in text
    assert "hpsearch export fake" in text
    assert "unfinished" not in text


def test_the_ending_of_a_stopped_search_says_how_to_go_on(
    searched: Callable[..., Coordinator],
) -> None:
    lines = [str(line) for line in ending(searched(stop_at=3), 0.0)]
    assert lines[0].startswith("Stopped after ")
    assert "2 trials unfinished: the same command goes on with what is left." in lines
    assert not any("export" in line for line in lines)


def test_the_ending_has_the_verdict_and_counts_what_is_left(
    searched: Callable[..., Coordinator],
) -> None:
    lines = ending(searched(), 0.0, finalists=["t001 is the best."], n_retrainings_left=1)
    assert lines[3:5] == [
        "t001 is the best.",
        "1 retraining unfinished: the same command goes on with what is left.",
    ]
    lines = ending(searched(stop_at=3), 0.0, n_retrainings_left=4)
    assert any(str(line).startswith("2 trials and 4 retrainings unfinished:") for line in lines)


def test_a_finished_study_shows_its_verdict() -> None:
    study = new_study()
    trial = study.ask()
    best = {"epoch": 3.0, METRIC: 0.9}
    record = a_record(state="completed", best=best)
    write(study, trial, record)
    tell(study, trial, record)
    assert already_complete(study).splitlines()[0].startswith("1 trial finished already;")
    assert len(already_complete(study).splitlines()) == 2
    store(study, Retraining(0, 0, 7, best, 3.0, 1.0))
    assert "t000 is the only finalist" in already_complete(study)


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


def test_finalists_are_shown_live_and_a_line_each(searched: Callable[..., Coordinator]) -> None:
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


def test_finalists_that_crash_or_are_dropped_are_a_line(
    searched: Callable[..., Coordinator],
) -> None:
    study = searched().book._study
    console = Seen()
    view = SearchView(console, METRIC)
    with view.live():
        finalists(view, study, FakeEngine(faults={(0, 0): "lost", (0, 1): "lost"})).run()
    view.dropped(3)
    lines = console.lines()
    assert any("crashed: the worker process died; the same command tries" in x for x in lines)
    assert "finalist t003 is out of the running: it is trained no further." in lines


def test_the_share_of_training_is_of_all_workers(searched: Callable[..., Coordinator]) -> None:
    coordinator = searched()
    coordinator.spent.training = coordinator.elapsed
    assert "50.0% of the workers' time was training; " in str(ending(coordinator, 3.0)[1])


def test_square_brackets_are_shown_as_they_are() -> None:
    line = ended_line(1, a_record(state="pruned", preset="a_preset"), METRIC)
    assert isinstance(line, Text)
    assert "[a_preset]" in shown(line)[0]
