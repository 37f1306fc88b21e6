"""What in a space looks wrong, found by drawing from it."""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search.layers import Shape, layers_of
from spaces.config import Config, Training
from spaces.domains import Choice, Domain, Value
from spaces.space import Space

N_DRAWS = 1000
LEAST_SHARE = 0.02
"""Used by fewer draws than that a hyperparameter is called idle."""
AMENDED_SHARE = 0.25
"""From there on it is worth saying that draws are made to fit the image."""


@dataclass(frozen=True)
class Draw:
    """One config, with what was drawn for it."""

    config: Config
    values: dict[str, Value]


class _Chance:
    """A trial that draws evenly; see `spaces.domains.Suggester`."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.values: dict[str, Value] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        if log:
            value = min(high, int(low * math.pow((high + 1) / low, self._rng.random())))
        else:
            value = self._rng.randrange(low, high + 1, step)
        self.values[name] = value
        return value

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        if log:
            value = low * math.pow(high / low, self._rng.random())
        elif step:
            value = low + step * self._rng.randint(0, int((high - low) / step + 1e-9))
        else:
            value = self._rng.uniform(low, high)
        self.values[name] = value
        return value

    def suggest_categorical(self, name: str, choices: Any) -> Any:  # noqa: ANN401 - Optuna's
        self.values[name] = self._rng.choice(choices)
        return self.values[name]


def draws(space: Space, training: Training, count: int = N_DRAWS) -> list[Draw]:
    """Configs drawn evenly from the space, always the same."""
    rng, found = random.Random(0), []  # noqa: S311 - nothing secret
    for _ in range(count):
        chance = _Chance(rng)
        found.append(Draw(space.sample(chance, training), chance.values))
    return found


def looks_wrong(
    space: Space, drawn: Sequence[Draw], shape: Shape | None, n_classes: int, n_train: int | None
) -> list[str]:
    """A sentence for each thing that a user may not have meant.

    Args:
        shape, n_train: Of the data; None where they are not here.
    """
    found = _refused(drawn, shape, n_classes) if shape else []
    found += [*_amended(drawn), *_idle(space, drawn), *_fixed(space)]
    return found + (_batches(space, n_train) if n_train else [])


def used(draw: Draw) -> set[str]:
    """The names without which the draw would have come to the same network and training."""
    config, names = draw.config, set(draw.config.parameters())
    network = config.network
    if not network.blocks and not network.layers:
        # The output layer has its own start and bears no penalty.
        names -= {"activation", "initializer", "l1", "l2"}
    if not config.optimization.momentum:
        names -= {"nesterov"}
    if network.blocks and network.blocks[0].residual:
        names -= {"padding"}  # which is 'same' then
    return names


def _refused(drawn: Sequence[Draw], shape: Shape, n_classes: int) -> list[str]:
    refusals = Counter(layers_of(draw.config, shape, n_classes).refusal for draw in drawn)
    n_fine = refusals.pop("", 0)
    if not refusals:
        return []
    share = 1 - n_fine / len(drawn)
    most, _ = refusals.most_common(1)[0]
    return [f"{_percent(share)} of the configs cannot be built, mostly as {most}."]


def _amended(drawn: Sequence[Draw]) -> list[str]:
    """Blocks that a space makes fit: see `Space`."""
    padded = pooled = 0
    for draw in drawn:
        blocks = draw.config.network.blocks
        asked = draw.values.get("padding"), draw.values.get("pooling")
        padded += any(b.padding != asked[0] and not b.residual for b in blocks)
        pooled += any(b.pooling != asked[1] for b in blocks)
    found = []
    for count, what in (
        (padded, "a block gets padding 'same', for its kernels are larger than what is left"),
        (pooled, "a block does not pool, for a single pixel would be left"),
    ):
        if count / len(drawn) >= AMENDED_SHARE:
            share = _percent(count / len(drawn))
            found.append(f"In {share} of the configs {what} of the image: fewer blocks would do.")
    return found


def _idle(space: Space, drawn: Sequence[Draw]) -> list[str]:
    counts = Counter(name for draw in drawn for name in used(draw))
    idle = [name for name in space.domains if counts[name] < LEAST_SHARE * len(drawn)]
    never = [name for name in idle if not counts[name]]
    seldom = [f"{name} ({_percent(counts[name] / len(drawn))})" for name in idle if counts[name]]
    found = []
    if never:
        verb = "is" if len(never) == 1 else "are"
        found.append(f"{_joined(never)} {verb} used by no config that can be drawn: no effect.")
    if seldom:
        found.append(f"Hardly any config uses {_joined(seldom)}: too few to learn from.")
    return found


def _fixed(space: Space) -> list[str]:
    fixed = [f"{n}={_only(d)}" for n, d in space.domains.items() if is_single(d)]
    return [f"Fixed, so that the search says nothing of it: {_joined(fixed)}."] if fixed else []


def is_single(domain: Domain) -> bool:
    if isinstance(domain, Choice):
        return len(domain.values) == 1
    return domain.low == domain.high and not getattr(domain, "zero", False)


def _only(domain: Domain) -> str:
    return domain.text() if isinstance(domain, Choice) else f"{domain.low:g}"


def _batches(space: Space, n_train: int) -> list[str]:
    domain = space.domains["batch_size"]
    values = domain.values if isinstance(domain, Choice) else (domain.low, domain.high)
    largest = max(float(value) for value in values)
    if largest <= n_train:
        return []
    rows = f"there are {n_train:,} rows to train on: from there on all sizes are the same"
    return [f"batch_size goes to {largest:,.0f}, and {rows}."]


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
