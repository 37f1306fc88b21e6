"""The space that a study has searched, read from its trials: it may be another than today's."""

import math
import shlex
from collections.abc import Mapping

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from spaces.domains import Choice, Domain, Float, Int, Value
from spaces.errors import InputError
from spaces.space import Space

NARROWEST_ZERO = 0.25
"""A range this narrow (low over high) leaves a factor of two below it for zero: see `Float`."""


def searched_space(study: optuna.Study, today: Space) -> Space:
    """The space of the study's trials, with today's sentences; today's if it cannot be read.

    A search may have narrowed its space by `--set`, and the file of the space may have changed.
    """
    distributions = next(
        (t.distributions for t in study.get_trials(deepcopy=False) if t.distributions), {}
    )
    try:
        return Space(
            task=today.task,
            domains={
                name: _domain(distributions[name], today.domains.get(name))
                for name in [*(n for n in today.domains if n in distributions),
                             *(n for n in distributions if n not in today.domains)]
            },
            image_side=today.image_side,
        )  # fmt: skip
    except InputError:
        return today


def overrides_from(today: Space, searched: Space) -> dict[str, str]:
    """What `--set` needs to make the searched space of today's, by name; wider parts left out."""
    found = {}
    for name, domain in searched.domains.items():
        own = today.domains.get(name)
        if own is None or _same(own, domain):
            continue
        text = f"{name}={_spelled(domain)}"
        try:
            today.narrow([text])
        except InputError:
            continue
        found[name] = text
    return found


def search_command(task: str, overrides: Mapping[str, str]) -> str:
    """The command line of a search with these overrides."""
    return shlex.join(["hpsearch", "search", task, "--set", *overrides.values()])


def _domain(found: BaseDistribution, own: Domain | None) -> Domain:
    about = own.about if own else ""
    if isinstance(found, CategoricalDistribution):
        return Choice(*[_value(choice) for choice in found.choices], about=about)
    if isinstance(found, IntDistribution):
        return Int(found.low, found.high, log=found.log, about=about)
    if not isinstance(found, FloatDistribution):
        raise InputError(f"There is no domain like {found}: search the space anew.")
    zero = isinstance(own, Float) and own.zero and found.log and found.low < own.low
    low = _above_zero(found.low, found.high) if zero else found.low
    if isinstance(own, Float) and math.isclose(low, own.low):
        low = own.low
    return Float(low, found.high, log=found.log, step=found.step, zero=zero, about=about)


def _above_zero(stored: float, high: float) -> float:
    """The low end of a range with zero, from that which Optuna was given."""
    low = (stored**2 * high) ** (1 / 3)
    return low if low < NARROWEST_ZERO * high else 2 * stored


def _value(choice: object) -> Value:
    if not isinstance(choice, str | int | float | bool):
        raise InputError(f"{choice} is no value of a hyperparameter: search the space anew.")
    return choice


def _same(one: Domain, other: Domain) -> bool:
    return type(one) is type(other) and one.text() == other.text()


def _spelled(domain: Domain) -> str:
    if isinstance(domain, Choice):
        return domain.text().replace(" ", "")
    low = 0.0 if isinstance(domain, Float) and domain.zero else domain.low
    return f"{low:g}..{domain.high:g}"
