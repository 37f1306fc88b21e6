"""Where the configs of a replayed search come from: the table in random order, or a sampler."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
import scipy.special
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.samplers._tpe import _truncnorm

from benchmarks.replay_schedulers import Run
from benchmarks.replay_surrogate import Surrogate
from benchmarks.replay_worlds import Values, World, is_used
from pipelines.tasks import find_task
from search.sampler import ReseededTPE, ask
from spaces.space import Space
from spaces.starts import known_configs


@dataclass(frozen=True)
class Sampler:
    """A way to draw configs, by its name in the tables.

    Attributes:
        draw: Asks a study for a trial, and returns it with all values of its config.
        known: Our starting points and the tutorials' presets come first.
    """

    name: str
    make: Callable[[int], BaseSampler]
    draw: Callable[[optuna.Study, Space], tuple[optuna.Trial, Values]]
    known: bool = False


def new_study(sampler: BaseSampler, pruner: BasePruner, seed: int) -> optuna.Study:
    """A study in memory; its name decides on the brackets of Hyperband."""
    return optuna.create_study(
        study_name=f"replay {seed}", direction="maximize", sampler=sampler, pruner=pruner
    )


class TableSource:
    """The rows of the table, each once, in random order."""

    def __init__(self, world: World, pruner: BasePruner, seed: int) -> None:
        self.study = new_study(RandomSampler(seed), pruner, seed)
        order = np.random.default_rng(seed).permutation(len(world.curves))
        self._rest = [world.curves[row] for row in order]

    def next(self) -> Run | None:
        return Run(self.study.ask(), self._rest.pop()) if self._rest else None


class SampledSource:
    """What a sampler draws, trained by a surrogate."""

    def __init__(
        self, sampler: Sampler, surrogate: Surrogate, task: str, pruner: BasePruner, seed: int
    ) -> None:
        self.study = new_study(sampler.make(seed), pruner, seed)
        self._draw, self._surrogate = sampler.draw, surrogate
        self._space = find_task(task).space
        self._rng = np.random.default_rng(seed)
        for config in known_configs(task).values() if sampler.known else ():
            if self._space.contains(config):
                self.study.enqueue_trial(self._space.encode(config))

    def next(self) -> Run:
        trial, values = self._draw(self.study, self._space)
        return Run(trial, self._surrogate.curve(values, self._rng))


def _projects_draw(study: optuna.Study, space: Space) -> tuple[optuna.Trial, Values]:
    trial = ask(study, space)
    return trial, {name: domain.suggest(trial, name) for name, domain in space.domains.items()}


def _flat(study: optuna.Study, space: Space) -> tuple[optuna.Trial, Values]:
    """Every name in every trial."""
    trial = study.ask()
    return trial, {name: domain.suggest(trial, name) for name, domain in space.domains.items()}


def _conditional(study: optuna.Study, space: Space) -> tuple[optuna.Trial, Values]:
    """The names alone that the config makes use of."""
    trial, values = study.ask(), dict[str, Any]()
    for name, domain in space.domains.items():
        if is_used(name, values):
            values[name] = domain.suggest(trial, name)
    return trial, values


def _tpe(**settings: Any) -> Callable[[int], BaseSampler]:  # noqa: ANN401 - Optuna's settings
    def make(seed: int) -> BaseSampler:
        _truncnorm._log_ndtr = scipy.special.log_ndtr  # the same numbers in a third of the time
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(seed=seed, **settings)

    return make


def _projects(neighbours: float, **settings: int) -> Callable[[int], BaseSampler]:
    """The project's sampler, with so large a share of draws near the best.

    Args:
        settings: Of its TPE, where they differ from Optuna's defaults.
    """

    def make(seed: int) -> BaseSampler:
        sampler = ReseededTPE(seed)
        sampler.neighbours = neighbours
        for name, value in settings.items():
            setattr(sampler, f"_{name}", value)
        return sampler

    return make


RANDOM = Sampler("random", RandomSampler, _flat)
PROJECT = Sampler("project's draws", ReseededTPE, _projects_draw, known=True)
VARIANTS = [
    Sampler("random, known first", RandomSampler, _flat, known=True),
    Sampler("project's draws, nothing known", ReseededTPE, _projects_draw),
    *[
        Sampler(
            f"project's draws, {share:.0%} near the best",
            _projects(share),
            _projects_draw,
            known=True,
        )
        for share in (0.0, 0.5, 1.0)
    ],
    Sampler("project's TPE", _projects(0.0), _projects_draw),
    *[
        Sampler(
            f"project's TPE, {count} at random first",
            _projects(0.0, n_startup_trials=count),
            _projects_draw,
        )
        for count in (20, 40)
    ],
    *[
        Sampler(
            f"project's TPE, best of {count}",
            _projects(0.0, n_ei_candidates=count),
            _projects_draw,
        )
        for count in (8, 100)
    ],
    Sampler("Optuna's TPE, as it comes", _tpe(), _flat),
    Sampler("Optuna's TPE, no constant liar", _tpe(constant_liar=False), _flat),
    Sampler("Optuna's TPE, each name alone", _tpe(multivariate=False), _flat),
    Sampler("Optuna's TPE, used names only", _tpe(), _conditional),
    Sampler("Optuna's TPE, used names in groups", _tpe(group=True), _conditional),
]
