"""Replays of search policies: the simulated clock, what a trial costs, what is returned."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.pruners import NopPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from benchmarks import replay, replay_policies, replay_report, replay_samplers
from benchmarks.replay_report import Spread
from benchmarks.replay_schedulers import (
    GentlePruner,
    Levels,
    Promoting,
    Run,
    Scheduler,
    Screening,
    Stopping,
)
from benchmarks.replay_simulation import Trace, simulate
from benchmarks.replay_surrogate import Surrogate
from benchmarks.replay_worlds import Curve, World, encode, is_used, load
from pipelines.tasks import find_task


def curve(score: float, *, pace: float = 1.0, build: float = 2.0, diverged: bool = False) -> Curve:
    """Nine epochs, of which each is a ninth of the way to the score."""
    epochs = [float(epoch) for epoch in range(1, 10)]
    return Curve(
        epochs,
        [score * epoch / 9 for epoch in epochs],
        [build + pace * epoch for epoch in epochs],
        true=score,
        expected=score - 0.1,
        diverged=diverged,
    )


class Listed:
    """Curves in the order in which they are given."""

    def __init__(self, curves: list[Curve], pruner: optuna.pruners.BasePruner) -> None:
        self.study = optuna.create_study(
            direction="maximize", sampler=RandomSampler(0), pruner=pruner
        )
        self._rest = list(curves)

    def next(self) -> Run | None:
        return Run(self.study.ask(), self._rest.pop(0)) if self._rest else None


@pytest.fixture(autouse=True)
def _quiet_optuna() -> Iterator[None]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


def states(source: Listed) -> list[TrialState]:
    return [trial.state for trial in source.study.trials]


def run_out(scheduler: Scheduler, n_workers: int = 1) -> Trace:
    return simulate(scheduler, np.inf, np.inf, n_workers)


@pytest.mark.parametrize(
    ("epoch", "point"), [(1 / 3, 0), (0.3334, 0), (0.5, 1), (1, 1), (2, 2), (9, 2)]
)
def test_a_level_lies_at_the_first_point_that_reaches_it(epoch: float, point: int) -> None:
    assert Curve([0.3333, 1, 2], [0, 0, 0], [1, 2, 3], true=0, expected=0).point_at(epoch) == point


@pytest.mark.parametrize(("seconds", "point"), [(0.5, 0), (1, 0), (1.5, 1), (9, 2)])
def test_a_level_in_seconds_counts_the_building(seconds: float, point: int) -> None:
    assert Curve([1, 2, 3], [0, 0, 0], [1, 2, 3], true=0, expected=0).point_after(seconds) == point


def test_workers_train_at_the_same_time_and_the_first_to_end_takes_the_next() -> None:
    slow, fast, last = curve(0.5, pace=3.0), curve(0.7), curve(0.9)
    trace = run_out(Stopping(Listed([slow, fast, last], NopPruner()), Levels([], [])), 2)
    # fast ends at 11, last at 22, slow at 29
    assert trace.seconds == [11, 22, 51]
    assert trace.epochs == [9, 18, 27]
    assert trace.true == [0.7, 0.9, 0.9]
    assert trace.expected == pytest.approx([0.6, 0.8, 0.8])
    assert (trace.n_started, trace.n_completed) == (3, 3)


def test_a_search_ends_when_both_budgets_are_spent() -> None:
    scheduler = Stopping(Listed([curve(0.5)] * 5, NopPruner()), Levels([], []))
    assert simulate(scheduler, 18, 12, 1).epochs == [9, 18]


@pytest.mark.parametrize(("budget", "score"), [(0, 0.5), (2, 0.5), (3, 0.7), (9, 0.9)])
def test_a_budget_buys_what_had_ended_by_then(budget: float, score: float) -> None:
    trace = Trace(seconds=[1, 3, 5], true=[0.5, 0.7, 0.9])
    assert trace.at(budget, trace.seconds, trace.true) == score


def test_stopping_ends_a_trial_that_falls_behind_at_once() -> None:
    source = Listed([curve(0.9), curve(0.3), curve(0.95)], SuccessiveHalvingPruner(1, 3))
    trace = run_out(Stopping(source, Levels([1, 3], [1, 3])))
    assert states(source) == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE]
    assert trace.epochs[-1] == 9 + 1 + 9


def test_a_promoted_trial_is_not_trained_again() -> None:
    source = Listed([curve(0.3), curve(0.9), curve(0.5)], NopPruner())
    trace = run_out(Promoting(source, Levels([1], [1]), 3))
    assert states(source) == [TrialState.PRUNED, TrialState.COMPLETE, TrialState.PRUNED]
    assert trace.epochs == [1, 2, 3, 11]
    assert trace.seconds[-1] == 3 * 3 + 8
    assert trace.true[-1] == 0.9


def test_a_trial_on_the_highest_rung_is_promoted_before_others() -> None:
    curves = [curve(score) for score in (0.9, 0.8, 0.7, 0.6)]
    scheduler = Promoting(Listed(curves, NopPruner()), Levels([1, 3], [1, 3]), 2)
    trace = run_out(scheduler)
    # two begin, the first goes on to 3; two more, the second goes on to 3, the first ends.
    assert trace.epochs == [1, 2, 4, 5, 6, 8, 14]


def test_the_screened_are_finished_best_first_and_then_come_the_next() -> None:
    curves = [curve(score) for score in (0.3, 0.9, 0.5)]
    trace = run_out(Screening(Listed(curves, NopPruner()), 2))
    assert trace.epochs == [1, 2, 10, 18, 19, 27]
    assert trace.true == [0.3, 0.9, 0.9, 0.9, 0.9, 0.9]


def test_a_diverged_training_is_infeasible_and_never_returned() -> None:
    source = Listed([curve(0.9, diverged=True), curve(0.3)], NopPruner())
    trace = run_out(Stopping(source, Levels([], [])))
    assert trace.true[-1] == 0.3
    assert states(source) == [TrialState.PRUNED, TrialState.COMPLETE]
    assert source.study.trials[0].constraints == {"diverged": 1.0}


@pytest.mark.parametrize(
    ("settings", "scores", "pruned"),
    [
        ({}, [0.9, 0.8], [False, True]),
        ({"spared": 2}, [0.9, 0.8, 0.7], [False, False, True]),
        ({"calm": 9}, [0.9, 0.5, 0.4, 0.6], [False, True, True, False]),
        ({}, [0.9, 0.5, 0.4, 0.6], [False, True, True, True]),
    ],
)
def test_a_gentle_pruner_spares_the_first(
    settings: dict[str, Any], scores: list[float], pruned: list[bool]
) -> None:
    study = optuna.create_study(direction="maximize", pruner=GentlePruner(3, **settings))
    found = []
    for score in scores:
        trial = study.ask()
        trial.report(score, 1)
        found.append(trial.should_prune())
    assert found == pruned


@pytest.fixture(scope="module")
def world() -> World:
    """Forty rows with the configs of the churn table and made-up curves."""
    rows = load("churn")
    rng = np.random.default_rng(0)
    curves = [curve(float(score), pace=0.1) for score in rng.uniform(0.6, 0.9, 40)]
    return World("churn", 9, curves, rows.values[:40], rows.sources[:40], 0.1, 2.9)


def test_every_policy_starts_trials_and_returns_one_of_the_table(world: World) -> None:
    true = {row.true for row in world.curves}
    for policy in replay_policies.all_policies(world):
        source = replay_samplers.TableSource(world, policy.pruner(), 0)
        trace = simulate(policy.schedule(source), 45.0, 15.0)
        assert trace.true, policy.name
        assert set(trace.true) <= true, policy.name


def test_a_table_is_replayed_in_another_order_by_another_seed_alone(world: World) -> None:
    def drawn(seed: int) -> list[float]:
        source = replay_samplers.TableSource(world, NopPruner(), seed)
        return [run.curve.true for _ in range(40) if (run := source.next())]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert sorted(drawn(0)) == sorted(drawn(1)) == sorted(row.true for row in world.curves)


def test_every_sampler_draws_configs_that_the_surrogate_can_train(world: World) -> None:
    surrogate = Surrogate(world)
    for sampler in replay.SAMPLERS.values():
        source = replay_samplers.SampledSource(sampler, surrogate, "churn", NopPruner(), 0)
        trace = simulate(Stopping(source, Levels([], [])), 0.0, 45.0)
        assert trace.n_completed >= 12, sampler.name
        assert all(0 < true <= 1 for true in trace.true), sampler.name


def test_a_surrogate_prefers_what_is_good_and_knows_what_is_slow() -> None:
    rows = load("churn")
    surrogate, rng = Surrogate(rows), np.random.default_rng(0)
    made = [surrogate.curve(values, rng) for values in rows.values]
    for attribute in ("true", "seconds"):
        told, known = (
            np.array([np.max(getattr(each, attribute)) for each in some])
            for some in (made, rows.curves)
        )
        assert np.corrcoef(told.argsort().argsort(), known.argsort().argsort())[0, 1] > 0.7
    assert all(np.all(np.diff(each.seconds) > 0) for each in made)


@pytest.mark.parametrize("name", ["churn", "fashion", "iris"])
def test_the_used_names_are_those_that_a_config_encodes(name: str) -> None:
    task = find_task(name)
    study = optuna.create_study(sampler=RandomSampler(0))
    for _ in range(40):
        trial = study.ask()
        values = {key: each.suggest(trial, key) for key, each in task.space.domains.items()}
        config = task.space.sample(trial, task.training)
        used = {key for key in task.space.domains if is_used(key, values)}
        assert used == set(task.space.encode(config))
        encoded = encode(task.space, values)
        assert all(column == -1 or 0 <= column <= 1 for column in encoded)
        # What the config has no use for makes no difference to the surrogate.
        assert encode(task.space, {key: values[key] for key in used}) == encoded


def test_an_interval_encloses_its_mean_and_median() -> None:
    spread = Spread.of(np.random.default_rng(0).exponential(size=100))
    assert spread.mean_low < spread.mean < spread.mean_high
    assert spread.median_low <= spread.median <= spread.median_high


def test_regret_is_paired_with_the_projects_and_a_table_used_up_is_marked(world: World) -> None:
    best = max(row.true for row in world.curves)
    good = Trace([9.0], [100.0], [best], [best], 1, 1)
    bad = Trace([9.0], [1.0], [best - 0.02], [best - 0.05], 1, 1)
    worse, better = replay_report.lines(
        {"bad": [bad] * 3, "good": [good] * 3}, world, [1, 2], "good", exact=True
    )[::-1]
    assert (better.policy, worse.policy) == ("good", "bad")
    assert worse.regret["seconds"]["2"].mean == pytest.approx(2.0)
    assert worse.against["2"].mean == pytest.approx(2.0)
    assert worse.used_up["2"] == 1
    assert replay_report.cells(worse)[3] == "2.00\\* [2.00, 2.00] (2.00)"
    assert replay_report.cells(better)[3] == "0.00 [0.00, 0.00] (0.00)"


def test_on_a_surrogate_regret_is_told_without_luck_too(world: World) -> None:
    best = max(row.true for row in world.curves)
    lucky = Trace([9.0], [100.0], [best + 0.01], [best - 0.05], 1, 1)
    (line,) = replay_report.lines({"lucky": [lucky] * 3}, world, [2], "lucky", exact=False)
    assert replay_report.headings(line)[3:] == ["time of 2", "luck aside, time of 2"]
    assert replay_report.cells(line)[3:] == ["-1.00 [-1.00, -1.00] (-1.00)", "5.00"]


def test_the_documentation_is_renewed_between_its_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- replay:churn -->\nold\n<!-- /replay:churn -->\nb\n")
    replay_report.write_docs("churn", "new", page)
    assert page.read_text() == "a\n<!-- replay:churn -->\nnew\n<!-- /replay:churn -->\nb\n"
    with pytest.raises(ValueError, match=r"page\.md has no markers <!-- replay:fashion -->"):
        replay_report.write_docs("fashion", "new", page)
