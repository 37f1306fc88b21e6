"""The search at a glance: its course, and how its trials ended."""

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import optuna
from optuna.trial import FrozenTrial, TrialState

from search import study as studies
from search.report.plots import Axis, Bars, Colour, Dots, Layer, Line, Plot, categories
from search.report.scale import LOOKS, score_limits, scored_line, sign_of, within
from search.report.words import clock, metric_name, n_of, time_unit
from search.study import Record, epoch_text
from spaces.presets import PRESETS

Point = tuple[float, int, Record]
"""Seconds of all workers until a trial ended, its number and its record."""


def best_so_far(study: optuna.Study) -> Plot | None:
    """The best score over the time that the workers spent; None before any trial has a score."""
    metric, sign = study.user_attrs["metric"], sign_of(study)
    points = _points(study)
    if not points:
        return None
    total = points[-1][0]
    unit, scale = time_unit(total)
    low, high = score_limits([record.best[metric] for *_, record in points], sign)
    layers: list[Layer] = []
    for state, (colour, symbol) in LOOKS.items():
        own = [(time, n, record) for time, n, record in points if record.state == state]
        dots = Dots(
            state,
            [time / scale for time, *_ in own],
            [record.best[metric] for *_, record in own],
            colour,
            symbol,
            hover=[scored_line(n, record, metric) for _, n, record in own],
        )
        layers += within(dots, low, high)
    best = _running_best(points, metric, sign)
    if best:
        times = [time / scale for time, _ in best] + [total / scale]
        scores = [score for _, score in best] + [best[-1][1]]
        layers.append(Line("best so far", times, scores, "orange", steps=True))
    layers += within(_presets(points, metric, scale), low, high)
    return Plot(
        "best-so-far",
        f"Best {metric_name(metric)} so far over the time spent by the workers",
        _caption(best, total),
        Axis(f"time of the workers ({unit})", low=0.0),
        Axis(metric_name(metric), low=low, high=high),
        tuple(layers),
        height=360,
    )


def endings(study: optuna.Study) -> Plot | None:
    """How many trials ended in which way; None without any."""
    found: Counter[tuple[int, float, str, Colour]] = Counter(
        _ending(trial) for trial in study.get_trials(deepcopy=False)
    )
    if not found:
        return None
    ways = sorted(found, reverse=True)  # the first stands on top
    layers = tuple(
        Bars("", [float(i)], [float(found[way])], way[3], horizontal=True, texts=[str(found[way])])
        for i, way in enumerate(ways)
    )
    n_pruned = sum(count for way, count in found.items() if way[0] == 1)
    of = n_of(found.total(), "trial")
    told = "were pruned: the earlier, the less they cost" if n_pruned > 1 else "was pruned"
    return Plot(
        "endings",
        "Bars: how many trials ended in which way",
        f"{n_pruned or 'None'} of {of} {told}.",
        Axis("trials"),
        categories("", [way[2] for way in ways]),
        layers,
        height=90 + 26 * len(ways),
        legend=False,
    )


def _ending(trial: FrozenTrial) -> tuple[int, float, str, Colour]:
    """Order, epoch, name and colour of the way in which a trial ended."""
    record = studies.read(trial)
    if record is None:
        waits = trial.state == TrialState.WAITING
        return 4, float(waits), "waiting" if waits else "just begun", "orange"
    if record.state == "completed":
        early = "early" in record.note
        return 0, float(early), "early stopping" if early else "trained to the end", "blue"
    if record.state == "pruned":
        return 1, record.epoch, f"pruned at epoch {epoch_text(record.epoch)}", "grey"
    if record.state == "failed":
        return 2, 0.0, f"failed: {record.cause}", "red"
    return 3, 0.0, record.state, LOOKS[record.state][0]


def _points(study: optuna.Study) -> list[Point]:
    """The trials with a score in the order of their endings; those still at work come last."""
    trials = study.get_trials(deepcopy=False)
    ordered = sorted(trials, key=lambda t: (_ended_at(t), t.number))
    found = [(t.number, record) for t in ordered if (record := studies.read(t))]
    spent = itertools.accumulate(record.worker_seconds for _, record in found)
    return [(s, n, record) for s, (n, record) in zip(spent, found, strict=True) if record.best]


def _ended_at(trial: FrozenTrial) -> float:
    ended: datetime | None = trial.datetime_complete
    return ended.timestamp() if ended else float("inf")


def _presets(points: Sequence[Point], metric: str, scale: float) -> Dots:
    own = [
        (time / scale, record)
        for time, _, record in points
        if record.preset in PRESETS and record.state == "completed"
    ]
    scores = [record.best[metric] for _, record in own]
    return Dots(
        "a tutorial's model",
        [time for time, _ in own],
        scores,
        "green",
        "diamond",
        11,
        hover=[f"{record.preset}: {record.best[metric]:.4f}" for _, record in own],
    )


def _running_best(points: Sequence[Point], metric: str, sign: float) -> list[tuple[float, float]]:
    """Time and score of each completed trial that was better than all before."""
    best: list[tuple[float, float]] = []
    for time, _, record in points:
        score = record.best[metric]
        if record.state == "completed" and (not best or sign * score > sign * best[-1][1]):
            best.append((time, score))
    return best


def _caption(best: Sequence[tuple[float, float]], total: float) -> str:
    if not best:
        return "No trial has completed yet; the dots show how far the others came."
    return (
        "The line moves with each trial that was better than all before it, the last time after"
        f" {clock(best[-1][0])} of {clock(total)}. Triangles lie beyond the frame."
    )
