"""Effects, from studies in which they are known."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.report.effects import LEAST_TRIALS, Effect, Findings, findings
from search.report.evidence import evidence
from search.report.grids import grid_of, meant, nearest, position
from spaces.domains import Choice, Domain, Float, Int, Value
from tests.fakes import new_study
from tests.search.report.known import SPACE, TRAINING, add, best_at_a_quarter, known_of


def nothing_matters(values: Mapping[str, Value]) -> float:
    return 0.9


def effect_of(found: Findings, name: str) -> Effect:
    (effect,) = (effect for effect in found.effects if effect.name == name)
    return effect


def loss_at(effect: Effect, value: Value) -> float:
    return float(effect.loss[effect.grid.index(value)])


def test_a_known_effect_is_recovered() -> None:
    known = known_of(best_at_a_quarter, 120)
    found = findings(known, SPACE)
    dropout = effect_of(found, "dropout")
    assert dropout is found.effects[0]
    assert dropout.clear
    assert 0.15 <= float(dropout.grid[dropout.best]) <= 0.35
    assert not dropout.good[-1]
    assert not dropout.good[0]
    assert loss_at(dropout, 0.6) == pytest.approx(0.5 * 0.35**2, rel=0.25)
    assert loss_at(dropout, 0.0) == pytest.approx(0.5 * 0.25**2, rel=0.4)
    assert dropout.importance > 0.8
    assert dropout.mean[dropout.best] == pytest.approx(0.9, abs=0.005)
    assert np.all(dropout.low < dropout.mean)
    assert np.all(dropout.mean < dropout.high)
    assert [effect.name for effect in found.effects if effect.clear] == ["dropout"]


def test_an_effect_counts_the_trials_that_use_its_hyperparameter() -> None:
    known = known_of(best_at_a_quarter, 120)
    n_using = sum("dropout" in values for values in known.values)
    assert LEAST_TRIALS < n_using < 120
    assert effect_of(findings(known, SPACE), "dropout").n_trials == n_using


def test_what_hangs_on_another_choice_is_measured_where_it_is_used() -> None:
    def momentum_helps_sgd(values: Mapping[str, Value]) -> float:
        return 0.9 + 0.05 * float(values.get("momentum", 0.0))

    known = known_of(momentum_helps_sgd, 150)
    momentum = effect_of(findings(known, SPACE), "momentum")
    assert momentum.clear
    assert momentum.n_trials == sum(values["optimizer"] == "sgd" for values in known.values)
    assert momentum.best == len(momentum.grid) - 1
    assert loss_at(momentum, 0.0) == pytest.approx(0.05 * 0.95, rel=0.25)


def test_choices_are_set_apart() -> None:
    scores = {"sgd": 0.88, "adam": 0.9, "adamw": 0.9}
    known = known_of(lambda values: scores[str(values["optimizer"])], 100)
    effect = effect_of(findings(known, SPACE), "optimizer")
    assert effect.clear
    assert effect.grid == ("sgd", "adam", "adamw")
    assert effect.good == (False, True, True)
    assert loss_at(effect, "sgd") == pytest.approx(0.02, rel=0.2)


def test_a_loss_reads_as_a_score_does_upside_down() -> None:
    known = known_of(best_at_a_quarter, 80)
    upside_down = replace(known, sign=-1.0, scores=-known.scores)
    up, down = (effect_of(findings(each, SPACE), "dropout") for each in (known, upside_down))
    assert down.good == up.good
    assert down.loss == pytest.approx(up.loss)
    assert down.mean == pytest.approx(-up.mean)
    assert down.low == pytest.approx(-up.high)


@pytest.mark.parametrize("n_trials", [40, 100])
def test_where_nothing_matters_hardly_anything_is_claimed(n_trials: int) -> None:
    """Of 10 hyperparameters in each of 25 studies of pure chance."""
    known = known_of(nothing_matters, n_trials)
    rng = np.random.default_rng(0)
    claims, pairs, n_effects = 0, 0, 0
    for _ in range(25):
        found = findings(replace(known, scores=rng.normal(0.9, 0.01, n_trials)), SPACE)
        claims += sum(effect.clear for effect in found.effects)
        pairs += len(found.interactions)
        n_effects += len(found.effects)
    assert claims / n_effects <= 0.03
    assert pairs <= 3


def test_who_learned_nothing_does_not_hide_the_others() -> None:
    known = known_of(best_at_a_quarter, 120)
    failed = np.arange(120) % 7 == 0
    found = findings(replace(known, scores=np.where(failed, 0.1, known.scores)), SPACE)
    dropout = effect_of(found, "dropout")
    assert dropout.clear
    assert 0.1 <= float(dropout.grid[dropout.best]) <= 0.4


def test_a_pair_that_only_makes_sense_together_is_the_strongest() -> None:
    def each_its_own_rate(values: Mapping[str, Value]) -> float:
        best = {"sgd": -1.5, "adam": -3.0, "adamw": -3.0}[str(values["optimizer"])]
        return float(0.9 - 0.02 * (np.log10(float(values["learning_rate"])) - best) ** 2)

    found = findings(known_of(each_its_own_rate, 150), SPACE)
    pair = found.interactions[0]
    assert (pair.first, pair.second) == ("optimizer", "learning_rate")
    assert pair.first_grid == ("sgd", "adam", "adamw")
    best = {
        name: float(pair.second_grid[int(np.argmax(row))])
        for name, row in zip(pair.first_grid, pair.scores, strict=True)
    }
    assert best["sgd"] > 5 * best["adam"]
    assert pair.strength > 0.003


def test_cells_that_nothing_was_tried_near_are_empty() -> None:
    def both(values: Mapping[str, Value]) -> float:
        return 0.9 + 0.03 * ((values["optimizer"] == "sgd") == (values["activation"] == "relu"))

    known = known_of(both, 120)
    kept = [
        i
        for i, values in enumerate(known.values)
        if (values["optimizer"], values["activation"]) != ("adam", "tanh")
    ]
    fewer = replace(
        known,
        records=tuple(known.records[i] for i in kept),
        values=tuple(known.values[i] for i in kept),
        scores=known.scores[kept],
        measured=known.measured[kept],
    )
    pair = findings(fewer, SPACE).interactions[0]
    assert {pair.first, pair.second} == {"optimizer", "activation"}
    cells = dict(zip(pair.first_grid, pair.scores, strict=True))
    empty = {
        frozenset((first, pair.second_grid[i]))
        for first, row in cells.items()
        for i in np.flatnonzero(np.isnan(row))
    }
    assert empty == {frozenset(("adam", "tanh"))}


@pytest.mark.parametrize("n_trials", [0, 1, 2, LEAST_TRIALS - 1])
def test_too_few_trials_have_no_effects(n_trials: int) -> None:
    assert findings(known_of(best_at_a_quarter, n_trials), SPACE) == Findings((), ())


def test_where_all_have_one_score_there_is_no_effect() -> None:
    known = known_of(nothing_matters, 30, noise=0.0)
    assert findings(known, SPACE) == Findings((), ())


def test_where_all_but_one_have_one_score_nothing_breaks() -> None:
    known = known_of(nothing_matters, 30, noise=0.0)
    scores = known.scores.copy()
    scores[3] = 0.1
    for each in (scores, -scores):
        found = findings(replace(known, scores=each), SPACE)
        assert all(np.isfinite(effect.mean).all() for effect in found.effects)


def test_what_hardly_any_trial_uses_is_not_clear() -> None:
    """With one optimizer in nearly all trials, of the others' parameters nothing is known."""
    known = known_of(best_at_a_quarter, 60)
    kept = [i for i, values in enumerate(known.values) if values["optimizer"] != "sgd"][:30]
    kept += [i for i, values in enumerate(known.values) if values["optimizer"] == "sgd"][:3]
    fewer = replace(
        known,
        records=tuple(known.records[i] for i in kept),
        values=tuple(known.values[i] for i in kept),
        scores=np.array([known.scores[i] - (0.2 if i in kept[-1:] else 0) for i in kept]),
        measured=known.measured[kept],
    )
    momentum = effect_of(findings(fewer, SPACE), "momentum")
    assert momentum.n_trials == 3
    assert not momentum.clear


def test_a_study_of_pruned_trials_alone_has_effects() -> None:
    study = new_study()
    draws = optuna.create_study(sampler=optuna.samplers.RandomSampler(1))
    rng = np.random.default_rng(1)
    for number in range(60):
        config = SPACE.sample(draws.ask(), TRAINING)
        score = best_at_a_quarter(SPACE.encode(config)) + 0.004 * float(rng.standard_normal())
        # Who trains longer is better, which must not be taken for an effect.
        curve = {1.0: score} | ({2.0: score + 0.05} if number % 2 else {})
        content = config.model_dump(mode="json", exclude_none=True)
        add(study, None, curve=curve, state="pruned", config=content)
    found = findings(evidence(study, SPACE), SPACE)
    assert found.effects[0].name == "dropout"
    assert found.effects[0].mean.max() == pytest.approx(0.9, abs=0.01)


DOMAINS = [
    Int(0, 3),
    Int(4, 256, log=True),
    Int(1, 300),
    Float(0.0, 0.6, step=0.05),
    Float(0.8, 0.99),
    Float(1e-4, 1e-1, log=True),
    Float(1e-6, 1e-2, log=True, zero=True),
    Choice("sgd", "adam"),
    Choice(False, True),
    Choice(0, 8, 16, 32),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.text())
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_a_grid_lies_within_what_was_tried_and_in_its_domain(
    domain: Domain, data: st.DataObject
) -> None:
    seeds = data.draw(st.lists(st.integers(0, 10_000), min_size=2, max_size=12))
    tried = [drawn(domain, seed) for seed in seeds]
    grid = grid_of(domain, tried)
    places = [position(domain, value) for value in grid]
    assert places == sorted(set(places))
    limits = [position(domain, value) for value in tried]
    assert min(limits) - 1e-3 <= places[0]
    assert places[-1] <= max(limits) + 1e-3
    assert all(domain.contains(meant(domain, value)) for value in grid)
    for value in tried:
        gap = abs(position(domain, value) - position(domain, grid[nearest(domain, grid, value)]))
        assert gap <= 0.1


def drawn(domain: Domain, seed: int) -> Value:
    """A value as a trial of the study stores it."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return domain.stored(domain.suggest(study.ask(), "it"))
