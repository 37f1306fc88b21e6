"""An axis of a hyperparameter's values."""

from collections.abc import Sequence

from search.report.plots import Axis, categories, log_ticks, short
from spaces.domains import Choice, Domain, Float, Int, Value

FEW_VALUES = 12
"""A range of so few whole numbers has each of them on its axis."""
ZERO = 5.0
"""On a log axis zero stands so many times below the range."""
GOLDEN = 0.618
SCATTER = 0.3


def axis_of(name: str, domain: Domain, choices: Sequence[Value]) -> Axis:
    """The axis of all that the domain holds; of a choice only `choices`."""
    if isinstance(domain, Choice):
        return categories(name, [value_text(value) for value in choices])
    low, high = float(domain.low), float(domain.high)
    if _few(domain):
        ticks = [(float(n), str(n)) for n in range(int(low), int(high) + 1)]
        return Axis(name, low=low - 0.5, high=high + 0.5, ticks=tuple(ticks))
    if not domain.log or high == low:
        air = 0.03 * (high - low) or 0.5
        return Axis(name, low=low - air, high=high + air)
    air = (high / low) ** 0.03
    ticks = log_ticks(low, high)
    if isinstance(domain, Float) and domain.zero:
        ticks = [(low / ZERO, "0"), *ticks]
        return Axis(name, log=True, low=low / ZERO / 1.6, high=high * air, ticks=tuple(ticks))
    return Axis(name, log=True, low=low / air, high=high * air, ticks=tuple(ticks))


def place_of(domain: Domain, choices: Sequence[Value], value: Value) -> float:
    """Where a value stands on the axis."""
    if isinstance(domain, Choice):
        return float(list(choices).index(value))
    if isinstance(domain, Float) and domain.zero and value == 0:
        return domain.low / ZERO
    return float(value)


def scattered(domain: Domain, choices: Sequence[Value], value: Value, number: int) -> float:
    """Its place, a little aside where many dots would lie on each other."""
    place = place_of(domain, choices, value)
    aside = SCATTER * ((number * GOLDEN) % 1 - 0.5)
    if isinstance(domain, Choice):
        return place + 2 * aside
    if _few(domain):
        return place + aside
    return (
        place * 10.0**aside if isinstance(domain, Float) and domain.zero and value == 0 else place
    )


def value_text(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def tick_text(value: Value) -> str:
    """As `value_text`, with no more digits than a narrow column has room for."""
    return short(float(f"{value:.2g}")) if isinstance(value, float) else value_text(value)


def _few(domain: Domain) -> bool:
    return isinstance(domain, Int) and not domain.log and domain.high - domain.low < FEW_VALUES
