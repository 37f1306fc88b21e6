"""A search that is stopped, or dies at any moment, and is run again: nothing lost, none twice."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from pipelines.segment import finish_trial
from search.checkpoints import Checkpoints
from search.coordinator import Coordinator
from search.settings import Settings
from search.study import Record, read, run_of
from tests.fake_engine import FakeClock, FakeEngine, Fault, rising, shuffled
from tests.fakes import SPACE, TASK, FakeLog, SilentView, new_study
from tests.power import FragileStorage, Power, PowerCutError

TRIALS = 6


def coordinator(
    study: optuna.Study,
    runs_dir: Path,
    engine: FakeEngine,
    log: FakeLog,
    view: SilentView | None = None,
    trials: int = TRIALS,
) -> Coordinator:
    return Coordinator(
        TASK,
        SPACE,
        study,
        engine,
        Settings(runs_dir=runs_dir, trials=trials),
        training=TASK.training,
        data_digest="abc",
        log=log,
        view=view or SilentView(),
        clock=FakeClock(),
    )


def records(study: optuna.Study) -> list[Record]:
    found = [read(trial) for trial in study.get_trials()]
    return [record for record in found if record is not None]


def assert_whole(study: optuna.Study, log: FakeLog, runs_dir: Path, trials: int = TRIALS) -> None:
    """Every trial has ended once, and study, log and files say the same of it."""
    assert [trial.state.is_finished() for trial in study.get_trials()] == [True] * trials
    assert len(records(study)) == trials
    assert not [path for path in runs_dir.rglob("*") if path.is_file()]
    runs = [log.runs[run_of(study, n, record)] for n, record in enumerate(records(study))]
    assert len(log.runs) == trials
    for number, (record, run) in enumerate(zip(records(study), runs, strict=True)):
        assert record.ended
        assert (run.number, run.state) == (number, record.state)
        epochs = [row["epoch"] for row in record.rows]
        assert epochs == [float(n + 1) for n in range(len(epochs))]
        assert [row["val_accuracy"] for row in record.rows] == rising(number)[: len(epochs)]
        assert run.rows == record.rows
        assert ("model.keras" in run.artifacts) == (record.state == "completed")
        if record.state == "completed":
            assert json.loads(run.artifacts["model.keras"]) == record.best
            assert epochs[-1] == TASK.training.epochs


@pytest.mark.parametrize("stop_at", range(1, 24, 3))
def test_a_stopped_search_ends_up_as_one_that_was_not(tmp_path: Path, stop_at: int) -> None:
    straight, straight_log = new_study(), FakeLog()
    coordinator(straight, tmp_path / "a", FakeEngine(rows_per_segment=1), straight_log).run()

    study, log = new_study(), FakeLog()
    view = SilentView(stop_at=stop_at)
    first = coordinator(study, tmp_path / "b", FakeEngine(rows_per_segment=1), log, view)
    first.run()
    assert first.stopped
    stopped = [record for record in records(study) if not record.ended]
    assert {record.state for record in stopped} <= {"interrupted"}
    assert {run.state for run in log.runs.values()} <= {*(r.state for r in records(study))}
    again = FakeEngine(rows_per_segment=1)
    coordinator(study, tmp_path / "b", again, log).run()
    # One worker and one row a segment: what had been trained is not trained again.
    assert all(job.segment.begin >= r.epoch for r in stopped for job in again.sent[:1])
    assert_whole(study, log, tmp_path / "b")
    assert records(study) == records(straight)
    assert [t.params for t in study.trials] == [t.params for t in straight.trials]


def test_a_stopped_search_with_many_workers_loses_nothing(tmp_path: Path) -> None:
    study, log = new_study(), FakeLog()
    for n in range(2, 40, 5):
        engine = FakeEngine(n_workers=4, choose=shuffled(n), rows_per_segment=1)
        coordinator(study, tmp_path, engine, log, SilentView(stop_at=n)).run()
        running = study.get_trials(states=[TrialState.RUNNING])
        assert len(running) <= 4
        assert {record.state for record in records(study) if not record.ended} <= {"interrupted"}
    coordinator(study, tmp_path, FakeEngine(n_workers=4), log).run()
    assert_whole(study, log, tmp_path)


def test_fewer_trials_than_are_left_open_do_not_go_beyond_the_total(tmp_path: Path) -> None:
    study, log = new_study(), FakeLog()
    engine = FakeEngine(n_workers=4, rows_per_segment=1)
    coordinator(study, tmp_path, engine, log, SilentView(stop_at=3)).run()
    fewer = coordinator(study, tmp_path, FakeEngine(), log, trials=2)
    fewer.run()
    assert fewer.book.n_finished == 2
    assert fewer.n_unfinished == 0
    assert "running" not in {run.state for run in log.runs.values()}
    coordinator(study, tmp_path, FakeEngine(), log).run()
    assert_whole(study, log, tmp_path)


@pytest.fixture(autouse=True, scope="module")
def _no_waiting_for_the_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.checkpoints.os.fsync", lambda _: None)
        yield


@contextmanager
def _powered_files(power: Power) -> Iterator[None]:
    """The files of checkpoints need power too, before and after each change."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("save", "mark", "keep_only", "delete"):
            patch.setattr(Checkpoints, name, _powered(getattr(Checkpoints, name), power))
        yield


def _powered(change: Callable[..., None], power: Power) -> Callable[..., None]:
    def powered(*arguments: object) -> None:
        power.use()
        change(*arguments)
        power.use()

    return powered


def _search_until_dark(
    storage: FragileStorage, runs_dir: Path, log: FakeLog, power: Power, seed: int, n_workers: int
) -> bool:
    """One search in a process of its own; whether it came to its end before the power was cut."""
    storage.power = Power()
    study = new_study(storage)
    storage.power = power
    left_log = FakeLog(power.use)
    left_log.runs = log.runs
    lost: dict[tuple[int, int], Fault] = {(1, 0): "lost", (2, 0): "memory", (3, 0): "session"}
    engine = FakeEngine(
        n_workers=n_workers,
        faults=lost,
        choose=shuffled(seed),
        rows_per_segment=2,
        on_wait=power.use,
    )
    with _powered_files(power):
        try:
            coordinator(study, runs_dir, engine, left_log).run()
        except PowerCutError:
            return False
    return True


def _finish_and_check(storage: FragileStorage, runs_dir: Path, log: FakeLog) -> None:
    storage.power = Power()
    study = new_study(storage)
    left = {trial.number: read(trial) for trial in study.get_trials(states=[TrialState.RUNNING])}
    trained = {number: record.epoch for number, record in left.items() if record}
    engine = FakeEngine(n_workers=2)
    coordinator(study, runs_dir, engine, log).run()
    assert_whole(study, log, runs_dir)
    for number, epoch in trained.items():
        first = next(job for job in engine.sent if job.number == number)
        assert first.segment.begin == epoch


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 200), min_size=1, max_size=3),
    n_workers=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_every_trial_ends_once_whenever_the_search_is_killed(
    cuts: list[int], n_workers: int, seed: int
) -> None:
    storage, log = FragileStorage(), FakeLog()
    with tempfile.TemporaryDirectory() as folder:
        runs_dir = Path(folder)
        for cut in cuts:
            _search_until_dark(storage, runs_dir, log, Power(cut), seed, n_workers)
        _finish_and_check(storage, runs_dir, log)


def test_killed_at_every_single_write(tmp_path: Path) -> None:
    """As above with two workers and one cut, but at each point that there is."""
    whole = Power()
    assert _search_until_dark(FragileStorage(), tmp_path / "whole", FakeLog(), whole, 0, 2)
    for cut in range(whole.used):
        storage, log, runs_dir = FragileStorage(), FakeLog(), tmp_path / str(cut)
        assert not _search_until_dark(storage, runs_dir, log, Power(cut), 0, 2)
        _finish_and_check(storage, runs_dir, log)


def test_a_search_that_is_stopped_after_one_that_was_killed_closes_the_runs_of_both(
    tmp_path: Path,
) -> None:
    for cut in range(0, 100, 3):
        storage, log, runs_dir = FragileStorage(), FakeLog(), tmp_path / str(cut)
        _search_until_dark(storage, runs_dir, log, Power(cut), 0, 4)
        storage.power = Power()
        study = new_study(storage)
        coordinator(study, runs_dir, FakeEngine(), log, SilentView(stop_at=1)).run()
        assert "running" not in {run.state for run in log.runs.values()}
        assert len({run.number for run in log.runs.values()}) == len(log.runs)


def test_a_trial_keeps_its_parameters_and_seed_when_it_goes_on(tmp_path: Path) -> None:
    study, log = new_study(), FakeLog()
    engine = FakeEngine(rows_per_segment=1)
    coordinator(study, tmp_path, engine, log, SilentView(stop_at=3), trials=1).run()
    (before,) = study.get_trials()
    (record,) = records(study)
    coordinator(study, tmp_path, FakeEngine(), log, trials=1).run()
    (after,) = study.get_trials()
    (ended,) = records(study)
    assert (after.number, after.params) == (before.number, before.params)
    assert (ended.seed, ended.config, ended.run_id) == (record.seed, record.config, record.run_id)


def test_a_trial_whose_checkpoint_is_gone_starts_anew(tmp_path: Path) -> None:
    study, log = new_study(), FakeLog()
    engine = FakeEngine(rows_per_segment=1)
    coordinator(study, tmp_path, engine, log, SilentView(stop_at=5), trials=1).run()
    (record,) = records(study)
    assert record.epoch > 0
    (checkpoint,) = tmp_path.rglob("*.npz")
    checkpoint.unlink()
    coordinator(study, tmp_path, FakeEngine(), log, trials=1).run()
    assert_whole(study, log, tmp_path, trials=1)


def test_a_full_disk_costs_no_more_than_what_it_could_not_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, log, n_saved = new_study(), FakeLog(), 0
    save = Checkpoints.save

    def until_full(self: Checkpoints, number: int, epoch: float, content: bytes) -> None:
        nonlocal n_saved
        n_saved += 1
        if n_saved == 4:
            raise OSError(28, "No space left on device")
        save(self, number, epoch, content)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", until_full)
        search = coordinator(study, tmp_path, FakeEngine(rows_per_segment=1), log, trials=1)
        with pytest.raises(OSError, match="No space"):
            search.run()
    (record,) = records(study)
    assert (record.state, record.epoch) == ("interrupted", 3.0)
    engine = FakeEngine(rows_per_segment=1)
    coordinator(study, tmp_path, engine, log, trials=1).run()
    assert engine.sent[0].segment.begin == 3.0
    assert_whole(study, log, tmp_path, trials=1)


def test_what_the_log_missed_is_logged_by_the_next_search(tmp_path: Path) -> None:
    study, log = new_study(), FakeLog()
    log.down = True
    coordinator(study, tmp_path, FakeEngine(n_workers=2), log).run()
    assert log.runs == {}
    assert all(trial.state.is_finished() for trial in study.get_trials())
    log.down = False
    engine = FakeEngine(n_workers=2)
    coordinator(study, tmp_path, engine, log).run()
    assert {job.work for job in engine.sent} == {finish_trial}
    assert_whole(study, log, tmp_path)


def test_a_log_that_fails_in_the_middle_is_caught_up_with(tmp_path: Path) -> None:
    study, log = new_study(), FakeLog()
    engine = FakeEngine(rows_per_segment=1)
    engine._on_wait = lambda: setattr(log, "down", len(engine.sent) > 12)
    coordinator(study, tmp_path, engine, log).run()
    assert log.down
    assert 0 < len(log.runs) < TRIALS
    log.down = False
    coordinator(study, tmp_path, FakeEngine(), log).run()
    assert_whole(study, log, tmp_path)


def test_a_long_list_of_missing_artifacts_does_not_crowd_out_the_trials(tmp_path: Path) -> None:
    study, log = new_study(), FakeLog()
    log.down = True
    coordinator(study, tmp_path, FakeEngine(), log, trials=30).run()
    log.down = False
    most_open: list[int] = []
    engine = FakeEngine(n_workers=2)
    engine._on_wait = lambda: most_open.append(len(engine._open))
    coordinator(study, tmp_path, engine, log, trials=34).run()
    assert max(most_open) <= 6
    assert_whole(study, log, tmp_path, trials=34)
