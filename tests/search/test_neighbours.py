"""Draws near the best trials: who is near whom, and what a change is."""

import math
from typing import Literal

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from search import sampler
from search.neighbours import CHANGES, DRAWN, STEP, _changed, neighbour
from spaces.config import Training
from spaces.fashion import SPACE
from spaces.starts import STARTS

TRAINING = Training(epochs=1)
DISTRIBUTIONS = sampler._Distributions(SPACE).by_name


def new_study(direction: Literal["minimize", "maximize"] = "maximize") -> optuna.Study:
    return optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=1))


def scored(
    study: optuna.Study, score: float | None, state: TrialState, *, known: bool = True
) -> dict[str, object]:
    """A trial of random values in a state, and its values; a known one was put in line."""
    if known:
        study.enqueue_trial({})
    trial = study.ask()
    SPACE.sample(trial, TRAINING)
    if state == TrialState.COMPLETE:
        study.tell(trial, score)
    else:
        if score is not None:
            trial.report(score, 2)
        if state != TrialState.RUNNING:
            study.tell(trial, state=state)
    return trial.params


def drawn(study: optuna.Study, seed: int) -> dict[str, object]:
    values = neighbour(study, SPACE, DISTRIBUTIONS, np.random.default_rng(seed))
    assert values is not None
    return values


def changes(one: dict[str, object], other: dict[str, object]) -> list[str]:
    return [name for name in DISTRIBUTIONS if one[name] != other[name]]


def test_without_a_score_nothing_is_near() -> None:
    study = new_study()
    random = np.random.default_rng(0)
    assert neighbour(study, SPACE, DISTRIBUTIONS, random) is None
    scored(study, None, TrialState.RUNNING)
    scored(study, None, TrialState.FAIL)
    assert neighbour(study, SPACE, DISTRIBUTIONS, random) is None


def test_a_config_that_failed_is_nobodys_parent() -> None:
    study = new_study()
    study.enqueue_trial({})
    trial = study.ask()
    SPACE.sample(trial, TRAINING)
    trial.report(0.99, 2)
    trial.set_constraint("diverged", 1.0)
    study.tell(trial, state=TrialState.PRUNED)
    assert neighbour(study, SPACE, DISTRIBUTIONS, np.random.default_rng(0)) is None


def test_the_best_of_a_few_random_trials_is_nothing_to_stay_near() -> None:
    study = new_study()
    random = np.random.default_rng(0)
    for count in range(DRAWN):
        assert neighbour(study, SPACE, DISTRIBUTIONS, random) is None, count
        scored(study, 0.9, TrialState.PRUNED, known=False)
    assert neighbour(study, SPACE, DISTRIBUTIONS, random) is not None


def test_where_nothing_varies_nothing_is_near() -> None:
    study = new_study()
    scored(study, 0.9, TrialState.COMPLETE)
    assert neighbour(study, SPACE, {}, np.random.default_rng(0)) is None
    only_drawn_to_no_use = {"filters_4": DISTRIBUTIONS["filters_4"]}
    study = new_study()
    study.enqueue_trial({"family": "mlp"})
    scored(study, 0.9, TrialState.COMPLETE)
    assert neighbour(study, SPACE, only_drawn_to_no_use, np.random.default_rng(0)) is None


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.RUNNING, TrialState.PRUNED])
def test_a_neighbour_is_another_config_that_shares_most_values(state: TrialState) -> None:
    study = new_study()
    parent = scored(study, 0.9, state)
    config = SPACE.sample(optuna.trial.FixedTrial(parent), TRAINING)
    counts = []
    for seed in range(200):
        values = drawn(study, seed)
        assert values.keys() == DISTRIBUTIONS.keys()
        assert SPACE.sample(optuna.trial.FixedTrial(values), TRAINING) != config
        counts.append(len(changes(parent, values)))
    assert min(counts) >= 1
    assert CHANGES - 1 < np.mean(counts) < CHANGES + 1


@pytest.mark.parametrize(("direction", "best"), [("maximize", 0.93), ("minimize", 0.5)])
def test_the_better_a_trial_the_more_often_it_is_a_parent(
    direction: Literal["minimize", "maximize"], best: float
) -> None:
    study = new_study(direction)
    parents = {score: scored(study, score, TrialState.COMPLETE) for score in (0.5, 0.93, 0.7)}
    chosen = [
        min(parents, key=lambda score: len(changes(parents[score], values)))
        for values in (drawn(study, seed) for seed in range(300))
    ]
    shares = {score: chosen.count(score) / len(chosen) for score in parents}
    assert shares[best] == pytest.approx(0.5, abs=0.1)
    assert shares[0.7] == pytest.approx(0.25, abs=0.1)


def test_every_change_can_be_drawn_and_leads_elsewhere() -> None:
    random = np.random.default_rng(0)
    cases: list[tuple[BaseDistribution, object]] = [
        (CategoricalDistribution([False, True]), True),
        (CategoricalDistribution(["a", "b", "c"]), "b"),
        (FloatDistribution(1e-4, 1e-1, log=True), 1e-4),
        (FloatDistribution(0.0, 0.6, step=0.05), 0.6),
        (IntDistribution(1, 4), 1),
        (IntDistribution(16, 512, log=True), 512),
    ]
    for distribution, value in cases:
        seen = [_changed(value, distribution, random) for _ in range(300)]
        assert all(distribution._contains(distribution.to_internal_repr(each)) for each in seen)
        if isinstance(distribution, FloatDistribution | IntDistribution):
            assert distribution.low <= min(seen) <= max(seen) <= distribution.high
        moved = [each for each in seen if each != value]
        assert len(moved) == len(seen), distribution
        assert len(set(moved)) > 1 or isinstance(distribution, CategoricalDistribution)


def test_a_number_moves_by_a_share_of_its_range_on_its_own_scale() -> None:
    random = np.random.default_rng(0)
    distribution = FloatDistribution(1e-5, 1e-1, log=True)
    moves = [math.log10(_changed(1e-3, distribution, random)) + 3 for _ in range(2000)]
    assert np.std(moves) == pytest.approx(4 * STEP, rel=0.1)
    assert np.mean(moves) == pytest.approx(0, abs=0.1)


def test_half_of_the_draws_after_a_good_start_are_near_it() -> None:
    study = optuna.create_study(direction="maximize", sampler=sampler.ReseededTPE(0))
    start = SPACE.encode(STARTS["fashion"]["start_plain"].with_epochs(1))
    study.enqueue_trial(start)
    first = sampler.ask(study, SPACE)
    study.tell(first, 0.93)
    others = [sampler.ask(study, SPACE).params for _ in range(60)]
    near = [params for params in others if len(changes(first.params, params)) < 10]
    assert len(near) / len(others) == pytest.approx(sampler.NEIGHBOURS, abs=0.15)
