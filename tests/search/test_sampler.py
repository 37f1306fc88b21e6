"""How trials are drawn: all at once, from the seed and the trials that matter."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import scipy.special
from optuna.samplers._tpe import _erf, _truncnorm
from optuna.trial import TrialState

from search import sampler
from search import study as studies
from search.settings import Settings
from search.study import Record
from spaces.config import Config
from tests.fakes import SPACE, TASK, new_study


def ended(study: optuna.Study, count: int) -> None:
    random = np.random.default_rng(1)
    for _ in range(count):
        trial = sampler.ask(study, SPACE)
        study.tell(trial, random.random())


def sampled(study: optuna.Study) -> optuna.Trial:
    """A trial whose parameters are drawn one by one."""
    trial = study.ask()
    SPACE.sample(trial, TASK.training)
    return trial


def test_a_trial_is_stored_with_all_its_parameters(tmp_path: Path) -> None:
    settings = Settings(runs_dir=tmp_path)
    study = studies.open_study(settings, TASK, SPACE, TASK.training, "abc")
    trial = sampler.ask(study, SPACE)
    (stored,) = studies.open_study(settings, TASK, SPACE, TASK.training, "abc").trials
    assert (stored.number, stored.state) == (0, TrialState.RUNNING)
    assert stored.params == trial.params
    assert list(stored.params) == list(SPACE.domains)
    config = SPACE.sample(trial, TASK.training)
    assert config == SPACE.sample(optuna.trial.FixedTrial(stored.params), TASK.training)


def test_the_distributions_are_those_that_the_space_would_suggest() -> None:
    plain, ours = new_study(), new_study()
    SPACE.sample(plain.ask(), TASK.training)
    sampler.ask(ours, SPACE)
    assert ours.trials[0].distributions == plain.trials[0].distributions


def units(config: Config) -> int:
    return sum(layer.units for layer in config.network.layers)


def test_what_does_not_fit_is_drawn_again() -> None:
    study = new_study()
    ended(study, 30)
    sizes = []
    for _ in range(20):
        trial = sampler.ask(study, SPACE, lambda config: units(config) < 40)
        sizes.append(units(SPACE.sample(trial, TASK.training)))
        study.tell(trial, 0.5)
    assert max(sizes) < 40
    assert len(study.trials) == 50  # a refused draw leaves nothing behind


def test_where_nothing_fits_the_last_draw_is_taken() -> None:
    study, asked = new_study(), []

    def never(config: Config) -> bool:
        asked.append(config)
        return False

    trial = sampler.ask(study, SPACE, never)
    assert SPACE.sample(trial, TASK.training.model_copy(update={"epochs": 1})).network == (
        asked[-1].network
    )
    assert len(asked) == sampler.DRAWS
    assert len({config.model_dump_json() for config in asked}) > 1


def test_the_first_draws_are_those_of_optuna() -> None:
    plain, ours = new_study(), new_study()
    for _ in range(5):
        SPACE.sample(plain.ask(), TASK.training)
        sampler.ask(ours, SPACE)
    assert [t.params for t in ours.trials] == [t.params for t in plain.trials]


def test_draws_learn_from_trials_that_ended_since_the_first() -> None:
    study, record = new_study(), Record({}, seed=1, state="completed")
    for _ in range(60):
        trial = sampler.ask(study, SPACE)
        score = float(trial.params["optimizer"] == "adam") - trial.params["learning_rate"]
        studies.tell(study, trial, replace(record, best={"val_accuracy": score}))
    late = [trial.params["optimizer"] for trial in study.trials[30:]]
    assert late.count("adam") >= 18  # of five: neighbours try the others too


def test_a_waiting_trial_comes_first() -> None:
    study = new_study()
    study.enqueue_trial({"optimizer": "adam", "layers": 1}, user_attrs={"preset": "small"})
    trial = sampler.ask(study, SPACE)
    assert trial.user_attrs == {"preset": "small"}
    assert trial.params.keys() == SPACE.domains.keys()
    assert (trial.params["optimizer"], trial.params["layers"]) == ("adam", 1)
    assert sampler.ask(study, SPACE).user_attrs == {}


def test_a_choice_of_one_is_taken() -> None:
    narrowed = SPACE.narrow(["optimizer=adam", "units_1=8"])
    study = new_study()
    ended(study, 0)
    for number in range(12):  # random draws, then those of the model
        trial = sampler.ask(study, narrowed)
        assert (trial.params["optimizer"], trial.params["units_1"]) == ("adam", 8)
        study.tell(trial, number / 12)


@pytest.mark.parametrize("count", [10, 50, 80, 300])
def test_the_model_sees_the_best_and_the_latest(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(sampler, "HISTORY", 50)
    study = new_study()
    ended(study, count)
    seen = sampler._History(study)._get_trials()
    assert len(seen) == min(count, sampler.HISTORY)
    by_score = sorted(study.trials, key=lambda trial: -(trial.value or 0))
    best = {trial.number for trial in by_score[: min(25, math.ceil(count / 10))]}
    assert best <= {trial.number for trial in seen}
    rest = [trial.number for trial in seen if trial.number not in best]
    others = [trial.number for trial in study.trials if trial.number not in best]
    assert rest == others[len(others) - len(rest) :]
    assert len(study.trials) == count


def test_it_draws_within_a_bracket_of_hyperband() -> None:
    """As in `benchmarks.replay`: Optuna hides there what it does not want to be used."""
    study = optuna.create_study(
        study_name="brackets",
        sampler=sampler.ReseededTPE(0),
        pruner=optuna.pruners.HyperbandPruner(),
    )
    for number in range(15):
        trial = study.ask()
        TASK.space.sample(trial, TASK.training)
        trial.report(float(number), 1)
        trial.should_prune()
        study.tell(trial, float(number))
    assert len({str(trial.params) for trial in study.trials}) == 15


@pytest.mark.parametrize("names", [["units_1", "optimizer", "learning_rate"], ["optimizer"]])
def test_inner_values_are_those_of_optuna(names: list[str]) -> None:
    study = new_study()
    ended(study, 12)
    study.enqueue_trial({})
    study.ask()  # has no parameters yet
    space = {name: study.trials[0].distributions[name] for name in names}
    tpe = study.sampler
    assert isinstance(tpe, sampler.ReseededTPE)
    for last in (5, 13, 13):
        trials = study.trials[:last]
        ours = tpe._get_internal_repr(trials, space, study)
        theirs = optuna.samplers.TPESampler._get_internal_repr(tpe, trials, space, study)
        assert {name: [*ours[name]] for name in names} == {name: [*theirs[name]] for name in names}
    assert len(ours[names[0]]) == 12
    assert tpe._get_internal_repr([], space, study)[names[0]].shape == (0,)


def test_scipy_computes_what_optuna_computes() -> None:
    assert _truncnorm.erf is scipy.special.erf  # type: ignore[attr-defined] # an import of its own
    points = np.linspace(-8, 8, 3001)
    np.testing.assert_allclose(scipy.special.erf(points), _erf.erf(points), rtol=1e-9, atol=1e-12)
    assert _truncnorm._log_ndtr is scipy.special.log_ndtr
    points = np.concatenate([np.linspace(-60, 60, 501), [-1e3, 1e3]])
    theirs = [_truncnorm._log_ndtr_single(float(point)) for point in points]
    np.testing.assert_allclose(scipy.special.log_ndtr(points), theirs, rtol=1e-9, atol=1e-12)


def disturb(study: optuna.Study, n_numbers: int) -> None:
    tpe = study.sampler
    assert isinstance(tpe, sampler.ReseededTPE)
    tpe._rng.rng.random(n_numbers)


def test_a_trial_draws_the_same_whatever_happened_in_between() -> None:
    plain, busy = new_study(), new_study()
    expected = [sampled(plain).params for _ in range(5)]
    found = []
    for _ in range(5):
        trial = sampled(busy)
        found.append(trial.params)
        disturb(busy, 7)
        busy.tell(trial, 0.5)
    assert found == expected
    assert len({str(params) for params in expected}) == 5


def test_a_trial_of_the_model_draws_the_same_after_a_new_start() -> None:
    storage = optuna.storages.InMemoryStorage()
    first = new_study(storage)
    for n in range(15):
        trial = sampled(first)
        first.tell(trial, n / 15)
    drawn = []
    for _ in range(2):
        again = new_study(optuna.storages.InMemoryStorage(), name="copy")
        again.add_trials(first.trials)
        disturb(again, 3)
        drawn.append(sampled(again).params)
    assert drawn[0] == drawn[1]


def test_optuna_still_has_the_private_parts_that_we_use() -> None:
    tpe = sampler.ReseededTPE(seed=3)
    assert tpe.seed == 3
    assert callable(tpe._rng.rng.seed)
    assert callable(tpe._random_sampler._rng.rng.seed)
    study = new_study()
    trial = study.ask()
    assert isinstance(trial._trial_id, int)
    assert callable(study._storage.set_trial_user_attr)
