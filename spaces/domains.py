"""Typed domains: the set from which the value of one hyperparameter is drawn."""

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

from spaces.errors import InputError

Value = str | int | float | bool


class Suggester(Protocol):
    """The part of an Optuna trial that a domain needs; Optuna's `FixedTrial` has it too."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float: ...

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...  # noqa: ANN401 - Optuna's


@dataclass(frozen=True)
class Int:
    """Whole numbers from `low` to `high`, both included.

    Attributes:
        log: Draw evenly over orders of magnitude.
        about: One plain sentence on what the hyperparameter does.
    """

    low: int
    high: int
    log: bool = False
    about: str = ""

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, log=self.log)

    def suggest(self, trial: Suggester, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=1, log=self.log)

    def contains(self, value: Value) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def stored(self, value: Value) -> Value:
        """How Optuna holds `value`; differs from it only for the zero of a `Float`."""
        return value

    def middle(self) -> int:
        return int(_middle(self.low, self.high, log=self.log))

    def parse(self, text: str) -> Value:
        try:
            return int(text)
        except ValueError:
            raise InputError(f"a whole number is needed, got '{text}'") from None

    def between(self, low: str, high: str) -> "Int":
        return replace(self, low=int(self.parse(low)), high=int(self.parse(high)))

    def text(self) -> str:
        return f"{self.low}..{self.high}" + (" (log)" if self.log else "")


@dataclass(frozen=True)
class Float:
    """Numbers from `low` to `high`, both included.

    Attributes:
        log: Draw evenly over orders of magnitude.
        step: Draw multiples of it above `low` only; so a rate can be exactly zero.
        zero: For `log`: zero belongs to the domain too and is drawn a third of the time. For
            Optuna the range is half again as wide below `low`, and what falls there means zero:
            one ordered dimension, which the sampler can follow down to "none at all".
        about: One plain sentence on what the hyperparameter does.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    zero: bool = False
    about: str = ""

    def __post_init__(self) -> None:
        # 0 and 0.0 are one range and must give one fingerprint.
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))
        _check_range(self.low, self.high, log=self.log)
        if self.zero and not self.log:
            raise InputError("zero=True is for a log range; elsewhere let low be 0.")
        if self.step is not None and (self.log or self.step <= 0):
            raise InputError(f"step must be positive and not with log, got {self.step}.")

    def suggest(self, trial: Suggester, name: str) -> float:
        low = self._zero_low() if self.zero else self.low
        value = trial.suggest_float(name, low, self.high, step=self.step, log=self.log)
        if self.step:
            # 3 steps of 0.05 are 0.15000000000000002, which nobody wants to read in a table.
            return round(value, 10)
        return 0.0 if self.zero and value < self.low else value

    def contains(self, value: Value) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.zero and value == 0:
            return True
        if not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return math.isclose(steps, round(steps), abs_tol=1e-6)

    def stored(self, value: Value) -> Value:
        if self.zero and value == 0:
            return math.sqrt(self._zero_low() * self.low)
        return value

    def middle(self) -> float:
        middle = _middle(self.low, self.high, log=self.log)
        if self.step is None:
            return middle
        return round(self.low + self.step * round((middle - self.low) / self.step), 10)

    def parse(self, text: str) -> Value:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"a number is needed, got '{text}'")
        return value

    def between(self, low: str, high: str) -> "Float":
        first, last = float(self.parse(low)), float(self.parse(high))
        if self.zero and first == 0:
            if last < self.low:
                raise InputError(
                    f"{low}..{high} holds nothing but 0: write 0 alone, or let it end at"
                    f" {self.low:g} or above"
                )
            return replace(self, high=last)
        return replace(self, low=first, high=last, zero=False)

    def text(self) -> str:
        kind = " (log)" if self.log else f" step {self.step:g}" if self.step else ""
        return ("0 or " if self.zero else "") + f"{self.low:g}..{self.high:g}{kind}"

    def _zero_low(self) -> float:
        # At least a factor of two, or a narrow range would have no room for zero.
        return self.low * min(math.sqrt(self.low / self.high), 0.5)


@dataclass(frozen=True, init=False)
class Choice:
    """One of the `values`, which have no order."""

    values: tuple[Value, ...]
    about: str = ""

    def __init__(self, *values: Value, about: str = "") -> None:
        if not values:
            raise InputError("a Choice needs at least one value.")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "about", about)

    def suggest(self, trial: Suggester, name: str) -> Value:
        value: Value = trial.suggest_categorical(name, self.values)
        return value

    def contains(self, value: Value) -> bool:
        # 0 == False and 1 == True in Python, but not among choices.
        return any(
            value == own and isinstance(value, bool) == isinstance(own, bool)
            for own in self.values
        )

    def stored(self, value: Value) -> Value:
        return value

    def middle(self) -> Value:
        """Of numbers the middle one; of names, which have no order, the first."""
        if all(type(value) in (int, float) for value in self.values):
            return sorted(self.values, key=float)[(len(self.values) - 1) // 2]
        return self.values[0]

    def parse(self, text: str) -> Value:
        for value in self.values:
            if _spelling(value) == text.lower() or _same_number(value, text):
                return value
        raise InputError(f"'{text}' is none of its values")

    def between(self, low: str, high: str) -> "Choice":
        raise InputError(f"it has choices and no range, got '{low}..{high}'")

    def text(self) -> str:
        return ", ".join(_spelling(value) for value in self.values)


Domain = Int | Float | Choice


def narrow(domain: Domain, text: str) -> Domain:
    """The part of `domain` that `text` names: `low..high`, `a,b,c` or one value.

    Raises:
        InputError: the text cannot be read or names something outside the domain.
    """
    if ".." in text:
        low, _, high = text.partition("..")
        narrowed = domain.between(low.strip(), high.strip())
        if not isinstance(narrowed, Choice):
            _check_inside(domain, narrowed.low, narrowed.high)
        return narrowed
    values = tuple(domain.parse(part.strip()) for part in text.split(","))
    _check_inside(domain, *values)
    return Choice(*dict.fromkeys(values), about=domain.about)


def _check_inside(domain: Domain, *values: Value) -> None:
    for value in values:
        if not domain.contains(value):
            raise InputError(f"{_spelling(value)} lies outside")


def _check_range(low: float, high: float, *, log: bool) -> None:
    if not low <= high:
        raise InputError(f"the range is upside down: {low:g}..{high:g}")
    if log and low <= 0:
        raise InputError(f"a log range must start above 0, got {low:g}..{high:g}")


def _middle(low: float, high: float, *, log: bool) -> float:
    # Within the range, whatever rounding does.
    return min(max(math.sqrt(low * high), low), high) if log else (low + high) / 2


def _spelling(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _same_number(value: Value, text: str) -> bool:
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, str):
        return value == text
    try:
        return float(text) == value
    except ValueError:
        return False
