"""What a budget does to a search: when it ends, and what is set aside before that."""

import optuna
import pytest
from optuna.trial import TrialState

from search.dispatch import CLOSING_SECONDS
from search.settings import TRIALS
from search.study import enqueue_presets
from spaces.config import Config, DenseLayer, Network
from tests.fake_engine import FakeClock, FakeEngine, flat
from tests.fakes import SPACE, TASK, FakeLog, SilentView, new_study
from tests.search.conftest import Make, records


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_budget_ends_the_search_and_leaves_it_resumable(
    make: Make, *, deterministic: bool
) -> None:
    study, clock, log = new_study(), FakeClock(), FakeLog()
    engine = FakeEngine(n_workers=2, clock=clock, seconds_per_job=10)
    settings = {"trials": 20, "deterministic": deterministic}
    first = make(engine, study, log, clock=clock, budget_seconds=95, **settings)
    first.run()
    assert 0 < first.book.n_finished < 20
    assert 95 <= clock.now <= 95 + 20 + CLOSING_SECONDS
    assert "running" not in {run.state for run in log.runs.values()}
    make(FakeEngine(n_workers=2), study, log, **settings).run()
    assert [trial.state.is_finished() for trial in study.get_trials()] == [True] * 20


def test_a_budget_alone_has_no_end_of_trials(make: Make) -> None:
    clock = FakeClock()
    engine = FakeEngine(n_workers=2, clock=clock, seconds_per_job=1)
    found = make(engine, clock=clock, trials=None, budget_seconds=300)
    found.run()
    assert found.book.n_finished > TRIALS
    assert 300 - TASK.training.epochs <= clock.now <= 300  # none is begun that could not end


def test_a_trial_that_would_not_end_within_the_budget_is_set_aside(make: Make) -> None:
    study, clock, log, view = new_study(), FakeClock(), FakeLog(), SilentView()
    engine = FakeEngine(
        flat(dict.fromkeys(range(6), 0.5)), rows_per_segment=1, clock=clock, seconds_per_job=1,
        slow={1: 30.0},
    )  # fmt: skip
    found = make(engine, study, log, view, clock=clock, trials=5, budget_seconds=100)
    found.run()
    first, slow, *others = records(study)
    assert [record.state for record in (first, *others)] == ["completed"] * 5
    assert (slow.state, slow.epoch) == ("interrupted", 1.0)
    assert slow.note == "it would take 4:00 more, and 1:29 are left"
    run = log.runs[slow.run_id]
    assert (run.state, [row["epoch"] for row in run.rows]) == ("interrupted", [1.0])
    assert sum(job.number == 1 for job in engine.sent) == 1
    assert view.finished == [0, 1, 2, 3, 4, 5]
    assert found.n_unfinished == 0  # as many ended as were asked for


def test_what_was_set_aside_is_taken_up_and_not_set_aside_again(make: Make) -> None:
    study, clock = new_study(), FakeClock()
    settings = {"trials": None, "budget_seconds": 98, "clock": clock}
    curve = flat(dict.fromkeys(range(99), 0.5))

    def engine() -> FakeEngine:
        return FakeEngine(
            curve, clock=clock, rows_per_segment=1, seconds_per_job=1, slow={0: 30.0}
        )

    first = make(engine(), study, **settings)
    first.run()
    assert records(study)[0].state == "interrupted"
    assert first.n_unfinished == 1
    clock.now = 0.0
    make(engine(), study, **settings).run()
    record = records(study)[0]
    assert (record.state, record.epoch, record.note) == ("completed", 9.0, "all epochs trained")


def test_no_trial_is_begun_that_could_not_end(make: Make) -> None:
    study, clock = new_study(), FakeClock()
    engine = FakeEngine(
        flat(dict.fromkeys(range(99), 0.5)), rows_per_segment=1, clock=clock, seconds_per_job=1
    )
    found = make(engine, study, clock=clock, trials=None, budget_seconds=95)
    found.run()
    assert {record.state for record in records(study)} == {"completed"}
    assert (len(records(study)), found.n_unfinished, found.spent.cut_off) == (9, 0, 0.0)
    assert clock.now == 90


def in_line(study: optuna.Study, *units: int) -> None:
    default = SPACE.default(TASK.training)
    configs = {}
    for number in units:
        network = Network(layers=(DenseLayer(units=number),))
        configs[f"of {number}"] = default.model_copy(update={"network": network})
    assert enqueue_presets(study, SPACE, configs) == len(units)


def a_hundredth_a_unit(config: Config) -> float:
    return sum(layer.units for layer in config.network.layers) / 100


def test_what_waits_in_line_and_would_not_end_in_time_is_left_for_the_next_call(
    make: Make,
) -> None:
    study, clock, log, view = new_study(), FakeClock(), FakeLog(), SilentView()
    in_line(study, 8, 60, 9)
    settings = {"clock": clock, "budget_seconds": 60, "an_epoch": a_hundredth_a_unit}

    def engine() -> FakeEngine:
        curve = flat(dict.fromkeys(range(99), 0.5))
        return FakeEngine(curve, rows_per_segment=1, clock=clock, seconds_per_job=1)

    # An epoch of eight units was guessed to take 0.08 s and takes one.
    first = make(engine(), study, log, view, trials=3, **settings)
    first.run()
    begun, left, *_ = records(study)
    assert (begun.state, left.state, left.epoch, left.rows) == ("completed", "interrupted", 0, [])
    assert left.note == "it would take about 1:07, and 0:51 are left"
    assert log.runs[left.run_id].state == "interrupted"
    assert [r.preset for r in records(study) if r.ended][:2] == ["of 8", "of 9"]
    assert view.finished[:3] == [0, 1, 2]
    assert first.book.n_finished == 3
    clock.now = 0.0
    second = make(engine(), study, log, trials=4, **settings)
    second.run()
    taken = records(study)[1]
    assert (taken.state, taken.epoch, taken.note) == ("completed", 9.0, "all epochs trained")


def test_what_is_drawn_fits_into_the_time_left(make: Make) -> None:
    study, clock = new_study(), FakeClock()
    in_line(study, 10)
    engine = FakeEngine(
        flat(dict.fromkeys(range(99), 0.5)), rows_per_segment=1, clock=clock, seconds_per_job=1
    )
    found = make(
        engine, study, clock=clock, trials=6, budget_seconds=30, an_epoch=a_hundredth_a_unit
    )
    found.run()
    first, *others = records(study)
    assert first.state == "completed"
    assert others
    # 21 s were left for a trial, which is 23 units at what the first one took.
    assert all(a_hundredth_a_unit(record.parsed_config()) <= 0.23 for record in others)


def test_without_a_budget_everything_fits(make: Make) -> None:
    study = new_study()
    in_line(study, 10, 60)
    make(FakeEngine(flat({0: 0.5, 1: 0.5})), study, trials=2, an_epoch=lambda _: 1e9).run()
    assert [record.state for record in records(study)] == ["completed"] * 2


def test_what_was_in_training_when_the_time_was_up_is_told(make: Make) -> None:
    clock = FakeClock()
    engine = FakeEngine(clock=clock, faults={(0, 0): "hang"})
    found = make(engine, clock=clock, budget_seconds=50)
    found.run()
    assert found.spent.cut_off == pytest.approx(50, abs=1)
    assert "cut off by the end 100.0%" in found.spent.text(clock.now)


def test_what_is_kept_of_a_budget_is_asked_again_when_a_trial_completes(make: Make) -> None:
    study, clock = new_study(), FakeClock()
    engine = FakeEngine(n_workers=2, clock=clock, seconds_per_job=10)

    def kept() -> float:
        completed = any(t.state == TrialState.COMPLETE for t in study.get_trials(deepcopy=False))
        return 500.0 if completed else 100.0

    found = make(engine, study, clock=clock, kept_seconds=kept, trials=99, budget_seconds=600)
    assert found.seconds_left == 500.0
    found.run()
    assert found.book.counts["completed"] > 0
    assert 100 <= clock.now <= 100 + 20 + CLOSING_SECONDS


def test_calls_that_are_each_too_short_for_a_trial_get_on(make: Make) -> None:
    study, clock = new_study(), FakeClock()
    settings = {"trials": None, "clock": clock}

    def call(budget: float) -> None:
        clock.now = 0.0
        engine = FakeEngine(
            flat(dict.fromkeys(range(99), 0.5)), rows_per_segment=1, clock=clock, seconds_per_job=1
        )
        make(engine, study, budget_seconds=budget, **settings).run()

    call(12)
    assert [record.state for record in records(study)] == ["completed"]
    for _ in range(4):
        call(5)
    assert [record.state for record in records(study)][:2] == ["completed", "completed"]
