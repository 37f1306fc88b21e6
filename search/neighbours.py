"""Draws near the best trials so far: what finds something within a few dozen trainings.

A model of forty dimensions needs hundreds of trials before it points anywhere. Until then a config
that changes two or three values of a good one is worth more than forty new values at once.
"""

import heapq
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from spaces.config import Training
from spaces.space import Space

CHANGES = 3
"""Hyperparameters that a neighbour changes, on average."""
MOST = 0.25
"""Share of them, for spaces of a few."""
STEP = 0.2
"""Standard deviation of a change, as a share of the range."""
PARENTS = 10
"""Trials that may be changed; a worse one would be taken once in a thousand draws."""
DRAWN = 10
"""Trials with a score, from which on any may be changed; before that only those put in line."""
ATTEMPTS = 20
"""A change of what the config has no use for is none: another is drawn."""


def neighbour(
    study: optuna.Study,
    space: Space,
    varied: Mapping[str, BaseDistribution],
    random: np.random.Generator,
) -> dict[str, Any] | None:
    """Values for all `varied` names, most of them those of a good trial.

    None while no good trial is known, where nothing varies, or nothing near makes another config.
    """
    ranked = _ranked(study, varied)
    if not (ranked and varied):
        return None
    # The best is taken half of the time, the second a quarter, and so on.
    parent = ranked[min(int(random.geometric(0.5)), len(ranked)) - 1].params
    config = _config(space, parent)
    for _ in range(ATTEMPTS):
        changed = random.random(len(varied)) < min(CHANGES / len(varied), MOST)
        values = {
            name: _changed(parent[name], distribution, random) if change else parent[name]
            for (name, distribution), change in zip(varied.items(), changed, strict=True)
        }
        if _config(space, parent | values) != config:
            return values
    return None


def _ranked(study: optuna.Study, varied: Mapping[str, BaseDistribution]) -> list[FrozenTrial]:
    """The best trials that have a score, best first; one still in work counts by its last."""
    sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
    scored = [
        (sign * score, trial.number, trial)
        for trial in study.get_trials(deepcopy=False)
        if (score := _score(trial)) is not None
    ]
    if len(scored) < DRAWN:  # the best of a few random ones is nothing to stay near
        scored = [entry for entry in scored if "fixed_params" in entry[2].system_attrs]
    best = heapq.nsmallest(PARENTS, scored, key=lambda entry: entry[:2])
    return [trial for _, _, trial in best if varied.keys() <= trial.params.keys()]


def _score(trial: FrozenTrial) -> float | None:
    if trial.state == TrialState.COMPLETE:
        return trial.value
    infeasible = any(violation > 0 for violation in trial.constraints.values())
    if trial.state == TrialState.FAIL or infeasible or not trial.intermediate_values:
        return None
    return trial.intermediate_values[max(trial.intermediate_values)]


def _config(space: Space, params: Mapping[str, Any]) -> object:
    return space.sample(optuna.trial.FixedTrial(dict(params)), Training(epochs=1))


def _changed(value: Any, distribution: BaseDistribution, random: np.random.Generator) -> Any:  # noqa: ANN401 - Optuna's
    if isinstance(distribution, CategoricalDistribution):
        own = distribution.to_internal_repr(value)
        others = [choice for place, choice in enumerate(distribution.choices) if place != own]
        return others[random.integers(len(others))]
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return _moved(value, distribution, random)
    raise TypeError(f"no way to change {distribution}")


def _moved(
    value: float, distribution: FloatDistribution | IntDistribution, random: np.random.Generator
) -> float:
    """Another number near `value`; at the edges of the distribution it turns back."""
    scale = math.log if distribution.log else float
    low, high = scale(distribution.low), scale(distribution.high)
    moved = scale(value) + random.normal(0, STEP * (high - low))
    moved = low + abs(moved - low)
    moved = max(high - abs(high - moved), low)
    number = math.exp(moved) if distribution.log else moved
    if distribution.step is None:
        return min(max(number, distribution.low), distribution.high)
    return _on_grid(value, number, distribution)


def _on_grid(
    value: float, number: float, distribution: FloatDistribution | IntDistribution
) -> float:
    """The place of the grid nearest to `number`, or next to `value` if that is its own."""
    step = distribution.step or 1
    last = round((distribution.high - distribution.low) / step)
    own = round((value - distribution.low) / step)
    place = round((number - distribution.low) / step)
    if place == own:
        up = own < last and (number >= value or own == 0)
        place = own + 1 if up else own - 1
    # Steps of a tenth add up to a little more than they should.
    moved = min(distribution.low + min(max(place, 0), last) * step, distribution.high)
    return round(moved) if isinstance(distribution, IntDistribution) else moved
