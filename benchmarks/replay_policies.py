"""The search policies that are compared: which pruner, which scheduler, which rungs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)

from benchmarks.replay_schedulers import (
    GentlePruner,
    Levels,
    Promoting,
    Scheduler,
    Screening,
    Source,
    Stopping,
)
from benchmarks.replay_worlds import World
from search.pruner import REDUCTION, SparingHalving

FIRST_RUNGS = {"churn": (1 / 3, 1, 3, 9, 20), "fashion": (1 / 9, 1 / 3, 1, 2, 4)}
FACTORS = (2, 3, 4)


@dataclass(frozen=True)
class Policy:
    """A search policy by its name in the tables."""

    name: str
    kind: Literal["none", "screening", "median", "stopping", "promoting", "hyperband"]
    pruner: Callable[[], BasePruner]
    schedule: Callable[[Source], Scheduler]


def _text(epochs: float) -> str:
    return f"1/{round(1 / epochs)}" if epochs < 1 else f"{epochs:g}"


def levels(world: World, first: float, factor: int, *, in_seconds: bool = False) -> Levels:
    resources: list[float] = []
    while (epochs := first * factor ** len(resources)) < world.epochs - 1e-9:
        resources.append(epochs)
    steps = [factor**rung for rung in range(len(resources))]
    if in_seconds:
        build_seconds = world.full_seconds - world.epochs * world.epoch_seconds
        resources = [build_seconds + epochs * world.epoch_seconds for epochs in resources]
    return Levels(resources, steps, in_seconds=in_seconds)


def stopping(world: World, first: float, factor: int) -> Policy:
    return Policy(
        f"stopping, first rung {_text(first)}, 1 in {factor}",
        "stopping",
        lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor),
        lambda source: Stopping(source, levels(world, first, factor)),
    )


def sparing(world: World, first: float) -> Policy:
    """The search's own rule: who keeps up with the best goes on as well."""
    return Policy(
        f"stopping, first rung {_text(first)}, 1 in {REDUCTION}, sparing",
        "stopping",
        SparingHalving,
        lambda source: Stopping(source, levels(world, first, REDUCTION)),
    )


def promoting(
    world: World, first: float, factor: int, *, thrifty: bool = False, in_seconds: bool = False
) -> Policy:
    extras = ", cheapest first" * thrifty + ", rungs in seconds" * in_seconds
    return Policy(
        f"promoting, first rung {_text(first)}, 1 in {factor}{extras}",
        "promoting",
        NopPruner,
        lambda source: Promoting(
            source, levels(world, first, factor, in_seconds=in_seconds), factor, thrifty=thrifty
        ),
    )


def _gentle(world: World, first: float, factor: int, *, spared: int = 0, calm: int = 0) -> Policy:
    extra = f"first {spared} spared" if spared else f"half until {calm}"
    return Policy(
        f"stopping, first rung {_text(first)}, 1 in {factor}, {extra}",
        "stopping",
        lambda: GentlePruner(factor, spared=spared, calm=calm),
        lambda source: Stopping(source, levels(world, first, factor)),
    )


def _in_seconds(world: World, first: float, factor: int) -> Policy:
    return Policy(
        f"stopping, first rung {_text(first)}, 1 in {factor}, rungs in seconds",
        "stopping",
        lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor),
        lambda source: Stopping(source, levels(world, first, factor, in_seconds=True)),
    )


def _hyperband(world: World, first: float) -> Policy:
    return Policy(
        f"Hyperband, first rung {_text(first)}, 1 in 3",
        "hyperband",
        lambda: HyperbandPruner(1, round(world.epochs / first), 3),
        lambda source: Stopping(source, levels(world, first, 3)),
    )


def _median(world: World) -> Policy:
    every = [float(epoch) for epoch in range(1, world.epochs)]
    return Policy(
        "median, every epoch",
        "median",
        MedianPruner,
        lambda source: Stopping(source, Levels(every, [int(epoch) for epoch in every])),
    )


def _screening(size: int) -> Policy:
    return Policy(
        f"one epoch of {size}, best first",
        "screening",
        NopPruner,
        lambda source: Screening(source, size),
    )


def unpruned() -> Policy:
    return Policy("no pruning", "none", NopPruner, lambda source: Stopping(source, Levels([], [])))


def all_policies(world: World) -> list[Policy]:
    """Everything that is compared on the table."""
    firsts = FIRST_RUNGS[world.task]
    late = firsts[-2]
    return [
        unpruned(),
        *[_screening(size) for size in (30, 100, 300)],
        _median(world),
        *[stopping(world, first, factor) for first in firsts for factor in FACTORS],
        *[sparing(world, first) for first in firsts],
        *[promoting(world, first, factor) for first in firsts for factor in FACTORS],
        *[_hyperband(world, first) for first in (1, late)],
        _gentle(world, late, 3, spared=5),
        _gentle(world, late, 3, calm=9),
        _gentle(world, late, 4, calm=12),
        _in_seconds(world, late, 3),
        promoting(world, late, 3, in_seconds=True),
        promoting(world, late, 3, thrifty=True),
    ]
