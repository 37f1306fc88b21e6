"""Scores in pictures: their limits, what lies beyond them, what the pointer shows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import optuna
from optuna.study import StudyDirection

from search.report.plots import Colour, Dots, Layer, Symbol
from search.study import Record, epoch_text
from search.tracking.trial_log import trial_name

SPREADS = 3.0
"""What lies so many times as far below the median as the best above is left out of a picture."""
AIR = 0.06
EDGE = 0.015

LOOKS: dict[str, tuple[Colour, Symbol]] = {
    "completed": ("blue", "circle"),
    "pruned": ("grey", "circle-open"),
    "failed": ("red", "x"),
    "interrupted": ("purple", "diamond"),
    "running": ("orange", "diamond"),
}
"""A state is told by its form too, for who sees no colours."""


def sign_of(study: optuna.Study) -> float:
    """1 where a larger score is better, else -1."""
    return 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0


def score_limits(scores: Sequence[float], sign: float) -> tuple[float, float]:
    """The ends of an axis of scores, on which one that learned nothing does not hide the rest."""
    good = sign * np.array([score for score in scores if np.isfinite(score)], float)
    if not len(good):
        return 0.0, 1.0
    best, middle = float(good.max()), float(np.median(good))
    worst = max(float(good.min()), middle - SPREADS * max(best - middle, 1e-4))
    air = AIR * (best - worst) or 0.01
    low, high = sorted((sign * (worst - air), sign * (best + air)))
    return low, high


def within(layer: Dots, low: float, high: float) -> list[Layer]:
    """The layer, what lies beyond its limits as triangles on the edge."""
    air = EDGE * (high - low)
    found: list[Layer] = []
    parts: tuple[tuple[Symbol, float | None, list[bool]], ...] = (
        (layer.symbol, None, [low <= y <= high for y in layer.y]),
        ("triangle-down", low + air, [y < low for y in layer.y]),
        ("triangle-up", high - air, [y > high for y in layer.y]),
    )
    for symbol, edge, belongs in parts:
        kept = [i for i, own in enumerate(belongs) if own]
        if kept:
            found.append(
                replace(
                    layer,
                    # Where all lie beyond, the triangles are what there is to name.
                    name="" if found else layer.name,
                    symbol=symbol,
                    x=[layer.x[i] for i in kept],
                    y=[layer.y[i] if edge is None else edge for i in kept],
                    hover=[layer.hover[i] for i in kept] if layer.hover else (),
                )
            )
    return found


def scored_line(number: int, record: Record, metric: str) -> str:
    """A trial as the pointer shows it."""
    preset = f" [{record.preset}]" if record.preset else ""
    score = (
        f"{record.best[metric]:.4f} at epoch {epoch_text(record.best['epoch'])}"
        if record.best
        else "no score"
    )
    return (
        f"{trial_name(number)} {record.state}: {score}\n{record.parsed_config().title()}{preset}"
    )
