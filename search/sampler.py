"""How the next trial is drawn: near a good one, or by TPE over a bounded history."""

import datetime as dt
import heapq
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
import scipy.special
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers._tpe import _truncnorm
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.neighbours import neighbour
from spaces.config import Config, Training
from spaces.space import Space

NEIGHBOURS = 0.8
"""Share of the draws that lie near a good trial; the others are TPE's. See docs/efficiency.md."""
DRAWS = 20
"""For one config that fits; the last is then taken as it is."""
HISTORY = 250
"""Trials that TPE looks at: its best ones and the latest others. Drawing from more takes ever
longer, and TPE itself never counts more than 25 among the best."""


class ReseededTPE(optuna.samplers.TPESampler):
    """TPE whose draws depend on the seed, the trial's number and the trials ended before.

    So a resumed study goes on as an uninterrupted one would have. Uses private attributes of
    Optuna 5.0, which a test watches.

    Attributes:
        seed: Of the study.
        neighbours: Share of the trials for which `near` has values.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self.seed, self.neighbours = seed, NEIGHBOURS
        self._random = np.random.default_rng(seed)
        self._inner: dict[tuple[str, ...], dict[int, list[float]]] = {}
        # Optuna computes them in Python, to do without scipy: most of the time of a draw.
        _truncnorm._log_ndtr = scipy.special.log_ndtr
        _truncnorm.erf = scipy.special.erf  # type: ignore[attr-defined] # an import of its own

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        states = np.random.SeedSequence([self.seed, trial.number]).generate_state(2)
        self._rng.rng.seed(int(states[0]))
        self._random_sampler._rng.rng.seed(int(states[1]))
        self._random = np.random.default_rng([self.seed, trial.number])
        super().before_trial(study, trial)

    def near(
        self, study: optuna.Study, space: Space, varied: dict[str, BaseDistribution]
    ) -> dict[str, Any] | None:
        """Values near those of a good trial, or None where this draw is for TPE."""
        chosen = self._random.random() < self.neighbours
        return neighbour(study, space, varied, self._random) if chosen else None

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # Optuna's own would write the draws down for other processes: ours come with the trial.
        return self._sample_relative(_History(study), trial, search_space)

    def _get_internal_repr(
        self,
        trials: list[FrozenTrial],
        search_space: dict[str, BaseDistribution],
        study: optuna.Study,  # noqa: ARG002 - Optuna's signature
    ) -> dict[str, np.ndarray]:
        # Optuna's own asks each trial for each parameter again at every draw.
        known = self._inner.setdefault(tuple(search_space), {})
        for trial in trials:
            if trial.number not in known and search_space.keys() <= trial.params.keys():
                known[trial.number] = [
                    distribution.to_internal_repr(trial.params[name])
                    for name, distribution in search_space.items()
                ]
        numbers = [trial.number for trial in trials if trial.number in known]
        rows = np.array([known[number] for number in numbers]).reshape(-1, len(search_space))
        return {name: rows[:, i] for i, name in enumerate(search_space)}


class _History(optuna.Study):
    """A study that shows its sampler no more than `HISTORY` trials."""

    def __init__(self, study: optuna.Study) -> None:
        self._whole = study  # with Hyperband, a bracket of one

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a study has
        return getattr(self._whole, name)

    def _get_trials(
        self,
        deepcopy: bool = True,  # noqa: FBT001 - Optuna's signature
        states: Any = None,  # noqa: ANN401 - as above
        use_cache: bool = False,  # noqa: FBT001 - as above
    ) -> list[FrozenTrial]:
        trials = self._whole._get_trials(deepcopy, states, use_cache)
        if use_cache or len(trials) <= HISTORY:  # with the cache, TPE only counts them
            return trials
        best = self._best(trials, default_gamma(len(trials)))
        chosen = {trial.number for trial in best}
        latest = (trial for trial in reversed(trials) if trial.number not in chosen)
        chosen |= {trial.number for trial in itertools.islice(latest, HISTORY - len(best))}
        return [trial for trial in trials if trial.number in chosen]

    def _best(self, trials: list[FrozenTrial], count: int) -> list[FrozenTrial]:
        """Those that TPE would call the best; its own sorting looks at every trial many times."""
        completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        if len(completed) < count:
            best, _ = _split_trials(self, trials, count)
            return best
        sign = -1.0 if self.direction == StudyDirection.MAXIMIZE else 1.0
        return heapq.nsmallest(count, completed, key=lambda trial: sign * (trial.value or 0.0))


class _Distributions:
    """Takes down what a space would have suggested."""

    def __init__(self, space: Space) -> None:
        self.by_name: dict[str, BaseDistribution] = {}
        for name, domain in space.domains.items():
            domain.suggest(self, name)

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        self.by_name[name] = IntDistribution(low, high, log=log, step=step)
        return low

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        self.by_name[name] = FloatDistribution(low, high, log=log, step=step)
        return low

    def suggest_categorical(self, name: str, choices: Any) -> Any:  # noqa: ANN401 - Optuna's
        self.by_name[name] = CategoricalDistribution(choices)
        return choices[0]


def ask(
    study: optuna.Study, space: Space, fits: Callable[[Config], bool] = lambda _: True
) -> optuna.Trial:
    """The next trial with all its parameters: one that waits, else what the sampler draws.

    It draws again what does not fit, `DRAWS` times at most.

    `study.ask` would write each parameter on its own, which takes three times as long. Only one
    process may ask, for the trial's number is known before it is stored.
    """
    # Optuna's `ask` and `tell` forget what the study has read; without it no draw sees a result.
    study._thread_local.cached_all_trials = None
    if study._get_trials(deepcopy=False, states=(TrialState.WAITING,), use_cache=False):
        trial = study.ask()
        for name, domain in space.domains.items():
            domain.suggest(trial, name)
        return trial
    params, distributions = _draw(study, space, fits)
    template = FrozenTrial(
        number=-1,  # the storage gives both
        trial_id=-1,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=dt.datetime.now(),  # noqa: DTZ005 - as Optuna stores it
        datetime_complete=None,
        params=params,
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
    trial_id = study._storage.create_new_trial(study._study_id, template_trial=template)
    return optuna.Trial(study, trial_id)


def _draw(
    study: optuna.Study, space: Space, fits: Callable[[Config], bool]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    distributions = _Distributions(space).by_name
    blank = optuna.trial.create_trial(state=TrialState.RUNNING)
    blank.number = study._storage.get_n_trials(study._study_id)
    study.sampler.before_trial(study, blank)
    for _ in range(DRAWS):
        params = _draw_once(study, space, blank, distributions)
        if fits(space.sample(optuna.trial.FixedTrial(params), Training(epochs=1))):
            break
    return params, distributions


def _draw_once(
    study: optuna.Study,
    space: Space,
    blank: FrozenTrial,
    distributions: Mapping[str, BaseDistribution],
) -> dict[str, Any]:
    sampler = study.sampler
    varied = {name: d for name, d in sorted(distributions.items()) if not d.single()}
    near = sampler.near(study, space, varied) if isinstance(sampler, ReseededTPE) else None
    drawn = near or sampler.sample_relative(study, blank, varied)
    params = {}
    for name, distribution in distributions.items():
        if name in drawn:
            params[name] = drawn[name]
        elif distribution.single():
            params[name] = distribution.to_external_repr(_only_value(distribution))
        else:
            params[name] = sampler.sample_independent(study, blank, name, distribution)
    return params


def _only_value(distribution: BaseDistribution) -> float:
    """In Optuna's inner form, in which a choice is its position."""
    if isinstance(distribution, IntDistribution | FloatDistribution):
        return distribution.low
    return 0.0
