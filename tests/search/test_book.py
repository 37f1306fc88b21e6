"""The trial book: what is written down, and in which order."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from pipelines.segment import SegmentResult
from pipelines.tasks import Goal, Task
from search.active import Active
from search.book import TrialBook
from search.settings import Settings
from search.study import Record, read
from spaces.starts import STARTS
from tests.fakes import SPACE, TASK, FakeLog, new_study

Make = Callable[..., TrialBook]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def book(study: optuna.Study, log: FakeLog | None = None, task: Task = TASK) -> TrialBook:
        settings = Settings(runs_dir=tmp_path)
        return TrialBook(task, SPACE, study, settings, TASK.training, log or FakeLog())

    return book


def result(epochs: list[float], score: float = 0.5, **changes: object) -> SegmentResult:
    rows = [{"epoch": epoch, "val_accuracy": score, "val_loss": 1 - score} for epoch in epochs]
    plain = SegmentResult(
        rows=rows,
        best=rows[-1] if rows else {"epoch": 1.0, "val_accuracy": score},
        reached=True,
        stop=None,
        checkpoint=b"weights",
        summary="",
        n_parameters=10,
        build_seconds=1.0,
        train_seconds=2.0,
        total_seconds=4.0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # any field


def stored(study: optuna.Study, number: int = 0) -> Record:
    record = read(study.trials[number])
    assert record is not None
    return record


def trained(book: TrialBook, active: Active, result: SegmentResult) -> None:
    book.trained(active, result)
    book.keep([active])
    book.show()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.npz")}


def test_a_new_trial_is_written_down_before_it_is_logged(make: Make) -> None:
    study = new_study()
    found: list[Record | None] = []
    log = FakeLog(on_call=lambda: found.append(read(study.trials[0])))
    book = make(study, log)
    active = book.ask()
    assert read(study.trials[0]) is None
    book.opened(active)
    assert [record is not None for record in found] == [True]
    assert stored(study).run_id == "run-0"
    assert stored(study).parsed_config() == active.config
    assert active.config.training == TASK.training


def test_segments_add_up(make: Make, tmp_path: Path) -> None:
    study = new_study()
    book = make(study)
    active = book.ask()
    book.opened(active)
    trained(book, active, result([1.0], summary="a network"))
    trained(book, active, result([2.0], reached=False, checkpoint=b"later"))
    record = stored(study)
    assert record == active.record
    assert (record.epoch, record.rung, record.state) == (2.0, 1, "running")
    assert [row["epoch"] for row in record.rows] == [1.0, 2.0]
    assert (record.worker_seconds, record.train_seconds) == (8.0, 4.0)
    assert (record.summary, record.n_parameters) == ("a network", 10)
    assert files(tmp_path) == {"t0000-2.000000.npz": b"later"}


def test_two_rungs_at_the_same_step_are_both_passed(make: Make) -> None:
    """With one step an epoch a third of an epoch is an epoch: the second segment has no rows."""
    study = new_study()
    book = make(study, task=replace(TASK, first_rung=1 / 3))
    active = book.ask()
    book.opened(active)
    trained(book, active, result([1.0]))
    trained(book, active, result([]))
    assert (active.record.epoch, active.record.rung) == (1.0, 2)
    assert study.trials[0].intermediate_values == {3: 0.5}


def test_only_rungs_are_judged(make: Make) -> None:
    study = new_study()
    book = make(study)
    for score in (0.9, 0.1):
        active = book.ask()
        book.opened(active)
        trained(book, active, result([0.5], score, reached=False))
        assert active.record.state == "running"
    assert [trial.intermediate_values for trial in study.trials] == [{}, {}]


def test_the_file_of_an_ended_trial_stays_until_its_artifacts_are_stored(
    make: Make, tmp_path: Path
) -> None:
    study, log = new_study(), FakeLog()
    book = make(study, log)
    completed, pruned = book.ask(), book.ask()
    for active in (completed, pruned):
        book.opened(active)
    trained(book, completed, result([1.0], 0.9))
    trained(book, completed, result([9.0], 0.9, stop="finished", checkpoint=b"final"))
    trained(book, pruned, result([1.0], 0.1))
    assert files(tmp_path) == {"t0000-9.000000.npz": b"final", "t0001-1.000000.npz": b""}
    log.down = True
    book.closed(completed, {})
    book.show()
    assert len(files(tmp_path)) == 2
    log.down = False
    book.closed(completed, {})
    book.closed(pruned, {})
    assert len(files(tmp_path)) == 2  # not shown yet
    book.show()
    assert files(tmp_path) == {}
    assert book.counts == {"completed": 1, "pruned": 1, "failed": 0}


@pytest.mark.parametrize(
    ("goal", "best"), [(Goal("val_accuracy", "max"), 1), (Goal("val_loss", "min"), 1)]
)
def test_the_best_is_the_first_of_the_best_by_the_goal(make: Make, goal: Goal, best: int) -> None:
    study = optuna.create_study(direction=goal.direction)
    study.set_user_attr("metric", goal.metric)
    book = make(study, task=replace(TASK, goal=goal))
    for score in (0.5, 0.9, 0.9, 0.1):
        active = book.ask()
        book.opened(active)
        trained(book, active, result([9.0], score, stop="finished"))
    assert book.best is not None
    assert book.best[0] == best
    again = make(study, task=replace(TASK, goal=goal))
    assert [active.number for active in again.take_up()] == [0, 1, 2, 3]
    assert again.best is not None
    assert again.best[0] == best
    assert (again.n_finished, again.n_ended_here, book.n_ended_here) == (4, 0, 4)


def test_a_failed_trial_is_never_the_best(make: Make) -> None:
    book = make(new_study())
    active = book.ask()
    book.opened(active)
    trained(book, active, result([1.0], 0.99))
    book.failed(active, "timed out", "no sign of life")
    book.keep([active])
    assert book.best is None
    assert book.counts["failed"] == 1


def test_a_trial_that_was_asked_for_and_never_written_keeps_what_it_drew(make: Make) -> None:
    study = new_study()
    study.enqueue_trial({"optimizer": "adam"}, user_attrs={"preset": "small"})
    lost = make(study).ask()
    (found,) = make(study).take_up()
    assert (found.number, found.config) == (lost.number, lost.config)
    assert found.record == lost.record
    assert found.record.preset == "small"


def test_an_ended_trial_that_gets_a_run_only_now_can_be_found_by_it(make: Make) -> None:
    study, log = new_study(), FakeLog()
    log.down = True
    book = make(study, log)
    active = book.ask()
    book.opened(active)
    trained(book, active, result([9.0], stop="finished"))
    log.down = False
    (late,) = make(study, log).take_up()
    book.opened(late)
    assert late.record.run_id == "run-0"
    (later,) = make(study, log).take_up()
    assert later.record.run_id == "run-0"


def test_interrupting_writes_the_state_but_not_of_what_has_ended(make: Make) -> None:
    study, log = new_study(), FakeLog()
    book = make(study, log)
    running, ended = book.ask(), book.ask()
    for active in (running, ended):
        book.opened(active)
    trained(book, ended, result([9.0], stop="finished"))
    for active in (running, ended):
        book.interrupted(active)
    assert [stored(study, n).state for n in (0, 1)] == ["interrupted", "completed"]
    assert [run.state for run in log.runs.values()] == ["interrupted", "completed"]


def test_what_ends_at_once_is_shown_in_a_call_each_and_one_for_the_best_scores(
    make: Make,
) -> None:
    n_calls = 0

    def count() -> None:
        nonlocal n_calls
        n_calls += 1

    log = FakeLog(on_call=count)
    book = make(new_study(), log)
    trials = [book.ask(), book.ask(), book.ask()]
    for active, score in zip(trials, (0.4, 0.5, 0.3), strict=True):
        book.opened(active)
        book.trained(active, result([9.0], score, stop="finished"))
    n_calls = 0
    book.keep(trials)
    for active in trials:
        book.closed(active, {})
    book.show()
    assert n_calls == 4
    assert [[row["epoch"] for row in run.rows] for run in log.runs.values()] == [[9.0]] * 3
    assert log.best == [(0.4, 1), (0.5, 2), (0.5, 3)]


def test_a_starting_point_is_not_pruned_but_others_are_judged_by_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STARTS, TASK.name, {"start_plain": None})
    study = new_study()
    study.enqueue_trial({})
    study.enqueue_trial({}, user_attrs={"preset": "start_plain"})
    book = make(study)
    good, start, other = book.ask(), book.ask(), book.ask()
    for active, score in ((good, 0.9), (start, 0.3), (other, 0.2)):
        book.opened(active)
        trained(book, active, result([1.0], score))
    assert start.record.state == "running"
    assert other.record.state == "pruned"
    assert study.trials[start.number].intermediate_values == {1: 0.3}
