"""The coordinator's walk, with scripted workers: what is asked, sent, judged and told."""

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from search import study as studies
from spaces.config import Config, DenseLayer, Network, Optimization, Training
from spaces.starts import STARTS
from tests.fake_engine import FakeEngine, Fault, flat, in_order, rising, shuffled
from tests.fakes import SPACE, TASK, FakeLog, SilentView, new_study
from tests.search.conftest import Make, records


def content(study: optuna.Study) -> list[tuple[object, ...]]:
    """All of a study that its settings and curves decide."""
    return [
        (t.number, t.params, t.state, t.value, t.intermediate_values, record.rows, record.note)
        for t, record in zip(study.get_trials(), records(study), strict=True)
    ]


@pytest.mark.parametrize("n_workers", [1, 2, 5])
@pytest.mark.parametrize("trials", [1, 4, 13])
def test_ends_the_trials_asked_for_and_not_one_more(
    make: Make, n_workers: int, trials: int
) -> None:
    study, log, view = new_study(), FakeLog(), SilentView()
    engine = FakeEngine(n_workers=n_workers, choose=shuffled(1))
    coordinator = make(engine, study, log, view, trials=trials)
    coordinator.run()
    assert [trial.state.is_finished() for trial in study.get_trials()] == [True] * trials
    assert sorted(view.finished) == list(range(trials))
    assert coordinator.book.n_finished == coordinator.book.n_ended_here == trials
    assert coordinator.n_unfinished == 0
    assert engine.most_training == min(n_workers, trials)


def test_a_thousand_trials(make: Make) -> None:
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = new_study()
    study.sampler = sampler
    make(FakeEngine(n_workers=4, choose=shuffled(0)), study, trials=1000).run()
    states = [record.state for record in records(study)]
    assert len(states) == 1000
    assert set(states) == {"completed", "pruned"}


def test_a_complete_study_is_left_alone_and_a_larger_total_goes_on(make: Make) -> None:
    study, log = new_study(), FakeLog()
    make(FakeEngine(), study, log, trials=4).run()
    before = content(study)
    idle = FakeEngine()
    make(idle, study, log, trials=4).run()
    make(idle, study, log, trials=2).run()
    assert idle.sent == []
    assert content(study) == before
    make(FakeEngine(), study, log, trials=7).run()
    assert content(study)[:4] == before
    assert len(content(study)) == 7


def test_the_state_of_every_run_is_that_of_its_trial(make: Make) -> None:
    study, log = new_study(), FakeLog()
    curve = flat({0: 0.9, 1: 0.1, 2: math.nan, 3: 0.95})
    faults: dict[tuple[int, int], Fault] = {(3, 0): ValueError("bug"), (3, 1): ValueError("bug")}
    make(FakeEngine(curve, faults=faults), study, log, trials=4).run()
    states = ["completed", "pruned", "failed", "failed"]
    assert [record.state for record in records(study)] == states
    assert [log.runs[record.run_id].state for record in records(study)] == states
    optuna_states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED, TrialState.FAIL]
    assert [trial.state for trial in study.get_trials()] == optuna_states


def test_logs_every_epoch_once_and_the_artifacts_by_state(make: Make, tmp_path: Path) -> None:
    study, log = new_study(), FakeLog()
    make(FakeEngine(flat({0: 0.9, 1: 0.1}), rows_per_segment=2), study, log, trials=2).run()
    completed, pruned = (log.runs[record.run_id] for record in records(study))
    assert [row["epoch"] for row in completed.rows] == list(range(1, 10))
    assert [row["epoch"] for row in pruned.rows] == [1]
    assert set(completed.artifacts) == {"curves.png", "model.keras"}
    assert set(pruned.artifacts) == set()  # one evaluation is no curve
    assert not list(tmp_path.rglob("*.npz"))


# Scores of the trials in their order, and the epoch that each reaches with one worker: the best
# half of those at a rung goes on, the first at a rung always does.
@pytest.mark.parametrize(
    ("scores", "epochs"),
    [
        ([0.5], [9]),
        ([0.5, 0.4, 0.3], [9, 1, 1]),
        ([0.3, 0.4, 0.5], [9, 9, 9]),
        ([0.5, 0.5], [9, 9]),
        # With four at a rung the two best of them go on, but the second is not first at the next.
        ([0.9, 0.1, 0.2, 0.3, 0.05, 0.8], [9, 1, 1, 2, 1, 2]),
        ([0.9, 0.1, 0.8, 0.85], [9, 1, 1, 2]),
    ],
)
def test_successive_halving_prunes(make: Make, scores: list[float], epochs: list[float]) -> None:
    study = new_study()
    curve = flat(dict(enumerate(scores)))
    make(FakeEngine(curve), study, trials=len(scores)).run()
    assert [record.epoch for record in records(study)] == epochs
    assert [record.state == "pruned" for record in records(study)] == [e < 9 for e in epochs]


def test_a_starting_point_is_never_pruned_and_others_have_to_beat_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Config(
        network=Network(layers=(DenseLayer(units=8),)),
        optimization=Optimization(optimizer="sgd", learning_rate=0.01, batch_size=32),
        training=TASK.training,
    )
    monkeypatch.setitem(STARTS, TASK.name, {"start": start})
    study = new_study()
    studies.enqueue_presets(study, SPACE, {"preset": start, "start": start, "other": start})
    make(FakeEngine(flat({0: 0.5, 1: 0.4, 2: 0.3, 3: 0.45})), study, trials=4).run()
    assert [record.preset for record in records(study)] == ["preset", "start", "other", ""]
    # Without the starting point 0.45 would not be in the better half of three.
    assert [record.epoch for record in records(study)] == [9, 9, 1, 2]


def test_the_first_rung_can_be_inside_an_epoch(make: Make) -> None:
    study = new_study()
    coordinator = make(FakeEngine(flat({0: 0.9, 1: 0.1})), study, trials=2)
    coordinator._rungs = [1 / 3, 1, 3, 9]
    coordinator.book._first_rung = 1 / 3
    coordinator.run()
    first, second = study.get_trials()
    assert set(first.intermediate_values) == {1, 3, 9}
    assert records(study)[1].epoch == 1 / 3
    assert second.intermediate_values == {1: 0.1}


def test_reports_the_best_score_so_far(make: Make) -> None:
    study = new_study()
    engine = FakeEngine(lambda _: [0.5, 0.9, 0.7, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    make(engine, study, training=Training(epochs=9, patience=9), trials=1).run()
    (trial,) = study.get_trials()
    assert trial.intermediate_values == {1: 0.5, 2: 0.9, 4: 0.9, 8: 0.9}
    assert trial.value == 0.9


def test_early_stopping_completes_a_trial(make: Make) -> None:
    study = new_study()
    curve = [0.5, 0.6] + [0.1] * 7
    training = Training(epochs=9, patience=3)
    make(FakeEngine(lambda _: curve), study, training=training, trials=1).run()
    (record,) = records(study)
    assert (record.state, record.epoch, record.best["epoch"]) == ("completed", 5, 2)
    assert record.note == "early stopping: no better for 3 epochs"


def test_the_log_gets_the_best_score_after_each_trial(make: Make) -> None:
    log = FakeLog()
    make(FakeEngine(flat({0: 0.5, 1: 0.1, 2: 0.7, 3: 0.6})), log=log, trials=4).run()
    assert log.best == [(0.5, 1), (0.5, 2), (0.7, 3), (0.7, 4)]


def test_a_checkpoint_travels_only_to_who_lacks_the_session(make: Make) -> None:
    engine = FakeEngine(rows_per_segment=2)
    make(engine, trials=3).run()
    assert {job.segment.checkpoint for job in engine.sent} == {None}


def test_the_same_seed_with_one_worker_is_the_same_study(make: Make) -> None:
    studies = [new_study(), new_study()]
    for study in studies:
        make(FakeEngine(), study, trials=25).run()
    assert content(studies[0]) == content(studies[1])


def test_another_seed_is_another_study(make: Make) -> None:
    studies = [new_study(seed=0), new_study(seed=1)]
    for study in studies:
        make(FakeEngine(), study, trials=3).run()
    assert studies[0].trials[0].params != studies[1].trials[0].params


def test_deterministic_does_not_depend_on_which_worker_is_faster(make: Make) -> None:
    studies = [new_study() for _ in range(4)]
    for n, study in enumerate(studies):
        choose = shuffled(n) if n else in_order
        engine = FakeEngine(n_workers=3, choose=choose, rows_per_segment=n + 1)
        make(engine, study, trials=25, deterministic=True).run()
    assert all(content(study) == content(studies[0]) for study in studies)


def test_a_slow_log_does_not_hold_up_the_first_segments(make: Make) -> None:
    """The worker gets its work before the coordinator writes to the log."""
    engine = FakeEngine()
    sent: list[int] = []
    log = FakeLog(on_call=lambda: sent.append(len(engine.sent)))
    make(engine, log=log, trials=1).run()
    assert sent[0] == 1


def test_presets_go_first(make: Make) -> None:
    study = new_study()
    params = {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 32, "layers": 0}
    study.enqueue_trial(params, user_attrs={"preset": "small"})
    make(FakeEngine(rising), study, trials=2).run()
    first, second = records(study)
    assert (first.preset, second.preset) == ("small", "")
    assert params.items() <= study.trials[0].params.items()
