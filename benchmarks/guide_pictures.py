"""The guide's pictures, drawn from the stored trainings."""

import math
import statistics
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np
from matplotlib.figure import Figure

from benchmarks.guide_plots import (
    COLOURS,
    MARKERS,
    TRAIN,
    Measure,
    curve,
    dots,
    end,
    epoch_seconds,
    finite,
    line,
    mean,
    panels,
    scores,
    train_end,
    train_losses,
    val_losses,
)
from benchmarks.guide_results import (
    DOCS,
    Outcome,
    Trainings,
    describe,
    pivoted,
    solved,
    stopped,
    text_of,
)
from benchmarks.guide_sweeps import SWEEPS
from pipelines.tasks import find_task

FOLDER = DOCS.parent / "guide"
PATIENCE = 10
"""Whose stop is marked in the picture of early stopping."""
TOP_POINTS = 5
ROOM_POINTS = 2
"""Shown below the score without any regularization."""


def draw(name: str, found: Trainings, folder: Path = FOLDER) -> Path:
    """Draws a sweep's picture; what is not trained yet is left out of it."""
    figure = _PICTURES[name](name, found)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=110)
    return path


def _metric(name: str) -> str:
    goal = find_task(SWEEPS[name].task).goal.metric
    return {"val_accuracy": "validation accuracy, %", "val_auc": "validation AUC x 100"}[goal]


def _by_case(found: Trainings) -> dict[str, list[Outcome]]:
    return {describe(case): outcomes for case, outcomes in found}


def _dots(second: Measure | None = None, label: str = "") -> Callable[[str, Trainings], Figure]:
    """A picture with a row of dots for every case: the score, and beside it a second measure."""

    def picture(name: str, found: Trainings) -> Figure:
        rows = _by_case(found)
        figure, axes = panels(2 if second else 1, 1.1 + 0.35 * len(rows), share_y=True)
        dots(axes[0], rows, end)
        axes[0].set_xlabel(_metric(name))
        if second:
            dots(axes[1], rows, second)
            axes[1].set(xlabel=label, xlim=(0, None))
        else:
            figure.set_figwidth(7)
        return figure

    return picture


def _gap(outcome: Outcome) -> float:
    return 100 * outcome.gap


def _rates(*, zoomed: bool) -> Callable[[str, Trainings], Figure]:
    """A picture of the score against the learning rate, a line for each of what else varies."""

    def picture(name: str, found: Trainings) -> Figure:
        figure, axes = panels(1 + zoomed, 3.8)
        for axis in axes:
            for number, (label, by_rate) in enumerate(pivoted(found, "learning_rate").items()):
                points = [(cast("float", rate), own) for rate, own in by_rate.items()]
                style = {"colour": COLOURS[number], "marker": MARKERS[number]}
                line(axis, points, end, label=label, **style)
            axis.set(xscale="log", xlabel="learning rate")
        axes[0].set_ylabel(_metric(name))
        axes[0].legend(frameon=False, fontsize=8)
        if zoomed:
            best = np.nanmax([mean(own, end) for _, own in found], initial=0.0)
            top = {"ylim": (best - TOP_POINTS, best + 0.5)}
            axes[1].set(title=f"the upper {TOP_POINTS} points", **top)
        return figure

    return picture


def _learning_rate(name: str, found: Trainings) -> Figure:
    figure, axes = panels(2)
    for colour, (case, outcomes) in zip(COLOURS, found, strict=False):
        label = text_of(case["learning_rate"])
        curve(axes[0], outcomes, train_losses, colour=colour, style=":")
        curve(axes[0], outcomes, val_losses, colour=colour, label=label)
        curve(axes[1], outcomes, scores, colour=colour, label=label)
    axes[0].set_ylabel("loss: training dotted, validation solid")
    axes[1].set_ylabel(_metric(name))
    axes[0].legend(title="learning rate", frameon=False, fontsize=8)
    return figure


def _batch_size(name: str, found: Trainings) -> Figure:
    figure, (heat, times) = panels(2, 3.6)
    rows = pivoted(found, "learning_rate")
    rates = list(dict.fromkeys(case["learning_rate"] for case, _ in found))
    shown = np.full((len(rows), len(rates)), np.nan)
    for row, by_rate in enumerate(rows.values()):
        for rate, outcomes in by_rate.items():
            if len(finite(outcomes, end)) == len(outcomes):
                shown[row, rates.index(rate)] = mean(outcomes, end)
    best = np.nanmax(shown, initial=0.0)
    heat.imshow(shown, cmap="viridis", vmin=best - 8, vmax=best, aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        colour = "black" if value > best - 3 else "white"
        text = "diverged" if math.isnan(value) else f"{value:.1f}"
        colour = "black" if math.isnan(value) else colour
        heat.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
    heat.set_xticks(range(len(rates)), [text_of(rate) for rate in rates])
    heat.set_yticks(range(len(rows)), [label.removeprefix("batch_size ") for label in rows])
    heat.set(xlabel="learning rate", ylabel="batch size", title=_metric(name))
    heat.grid(visible=False)
    every = {label: list(chain(*by_rate.values())) for label, by_rate in rows.items()}
    sizes = [label.removeprefix("batch_size ") for label in every]
    times.bar(sizes, [statistics.median(map(epoch_seconds, each)) for each in every.values()],
              color=COLOURS[0])  # fmt: skip
    times.set(xlabel="batch size", title="CPU seconds an epoch")
    return figure


def _xor(_: str, found: Trainings) -> Figure:
    figure, (axis,) = panels(1, 3.0)
    rows = pivoted(found, "activation")
    for number, activation in enumerate(dict.fromkeys(case["activation"] for case, _ in found)):
        shares = [100 * solved(own[activation]) / len(own[activation]) for own in rows.values()]
        places = np.arange(len(rows)) + 0.4 * number - 0.2
        axis.bar(places, shares, width=0.38, color=COLOURS[number], label=str(activation))
    axis.set_xticks(range(len(rows)), [label.removeprefix("units ") for label in rows])
    axis.set(xlabel="units of the hidden layer", ylabel="% of seeds that solve XOR")
    axis.legend(frameon=False, fontsize=8)
    return figure


def _units(_: str, found: Trainings) -> Figure:
    figure, axes = panels(2, share_y=True)
    by_depth: dict[int, list[tuple[float, list[Outcome]]]] = {}
    for case, outcomes in found:
        units = cast("tuple[int, ...]", case["units"])
        by_depth.setdefault(len(units), []).append((units[0] if units else 0, outcomes))
    for number, (depth, points) in enumerate(sorted(by_depth.items())):
        if depth == 0:
            level = mean(points[0][1], end)
            axes[0].axhline(level, color=TRAIN, linestyle="--", label="no hidden layer")
            continue
        style = {"colour": COLOURS[number - 1], "marker": MARKERS[number]}
        label = f"{depth} hidden layer{'s' if depth > 1 else ''}"
        line(axes[0], points, end, label=label, **style)
        line(axes[1], points, train_end, label=label, **style)
    axes[0].set(ylabel="accuracy, %", title="validation")
    axes[1].set_title("training")
    for axis in axes:
        axis.set(xscale="log", xlabel="units in each layer")
        axis.set_xticks([16, 64, 256], ["16", "64", "256"])
        axis.minorticks_off()
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def _filters(name: str, found: Trainings) -> Figure:
    figure, axes = panels(2, share_y=True)
    by_blocks: dict[int, list[tuple[int, list[Outcome]]]] = {}
    for case, outcomes in found:
        filters = cast("tuple[int, ...]", case["filters"])
        by_blocks.setdefault(len(filters), []).append((filters[0], outcomes))
    measures: tuple[Measure, ...] = (epoch_seconds, lambda outcome: outcome.n_parameters)
    for axis, measure in zip(axes, measures, strict=True):
        for number, (blocks, each) in enumerate(sorted(by_blocks.items())):
            points = [(statistics.median(map(measure, own)), own) for _, own in each]
            label = f"{blocks} block{'s' if blocks > 1 else ''}"
            style = {"colour": COLOURS[number], "marker": MARKERS[number]}
            line(axis, points, end, label=label, **style)
            for (count, _), (x, own) in zip(each, points, strict=True):
                place = (x, mean(own, end))
                axis.annotate(str(count), place, xytext=(4, 5), textcoords="offset points",
                              fontsize=8)  # fmt: skip
    axes[0].set(xlabel="CPU seconds an epoch", ylabel=_metric(name), xlim=(0, None))
    axes[1].set(xlabel="weights", xscale="log")
    axes[1].legend(title="numbers: filters", frameon=False, fontsize=8, title_fontsize=8)
    return figure


def _initializer(name: str, found: Trainings) -> Figure:
    rows = pivoted(found, "initializer")
    figure, axes = panels(len(rows), share_y=True)
    for axis, (title, by_initializer) in zip(axes, rows.items(), strict=True):
        for colour, (initializer, outcomes) in zip(COLOURS, by_initializer.items(), strict=False):
            curve(axis, outcomes, scores, colour=colour, label=str(initializer))
        axis.set_title(title)
    axes[0].set_ylabel(_metric(name))
    axes[-1].legend(frameon=False, fontsize=8)
    return figure


def _strengths(*names: str) -> Callable[[str, Trainings], Figure]:
    """A picture with a panel for each name: training and validation against its strength."""

    def picture(name: str, found: Trainings) -> Figure:
        figure, axes = panels(len(names), share_y=True)
        base = next((outcomes for case, outcomes in found if not case), None)
        for axis, own in zip(axes, names, strict=True):
            cases = [(case[own], outcomes) for case, outcomes in found if own in case]
            if base:
                cases.insert(0, (0.0, base))
            # By position, as most of them are powers of ten beside a zero.
            points = [(float(place), outcomes) for place, (_, outcomes) in enumerate(cases)]
            line(axis, points, train_end, colour=TRAIN, marker="o", label="training")
            line(axis, points, end, colour=COLOURS[0], marker="o", label="validation")
            axis.set_xticks(range(len(cases)), [text_of(value) for value, _ in cases])
            axis.set_xlabel(own)
        # What a penalty has killed would press all else together.
        lowest = mean(base, end) if base else min(mean(own, end) for _, own in found)
        axes[0].set_ylim(bottom=lowest - ROOM_POINTS)
        axes[0].set_ylabel(_metric(name).removeprefix("validation "))
        axes[0].legend(frameon=False, fontsize=8)
        return figure

    return picture


def _augmentation(name: str, found: Trainings) -> Figure:
    figure, axes = panels(2)
    for colour, (case, outcomes) in zip(COLOURS, found, strict=False):
        label = "none" if not case else describe(case)
        curve(axes[0], outcomes, scores, colour=colour, label=label)
        curve(axes[1], outcomes, val_losses, colour=colour)
        curve(axes[1], outcomes, train_losses, colour=colour, style=":")
    axes[0].set_ylabel(_metric(name))
    axes[0].legend(frameon=False, fontsize=8)
    axes[1].set_ylabel("loss: training dotted, validation solid")
    return figure


def _early_stopping(name: str, found: Trainings) -> Figure:
    figure, axes = panels(2)
    outcomes = found[0][1]
    curve(axes[0], outcomes, train_losses, colour=TRAIN, label="training")
    curve(axes[0], outcomes, val_losses, colour=COLOURS[0], label="validation")
    curve(axes[1], outcomes, scores, colour=COLOURS[0])
    axes[0].set_ylabel("loss")
    axes[0].legend(frameon=False, fontsize=8)
    axes[1].set_ylabel(_metric(name))
    ends = [stopped(each.score, PATIENCE) for each in outcomes if each.score]
    label = f"patience {PATIENCE}: where it ends, what it keeps"
    axes[1].plot([epoch for epoch, _ in ends], [100 * best for _, best in ends], "x",
                 color=COLOURS[1], label=label)  # fmt: skip
    axes[1].legend(frameon=False, fontsize=8)
    return figure


_PICTURES: dict[str, Callable[[str, Trainings], Figure]] = {
    "learning_rate": _learning_rate,
    "batch_size": _batch_size,
    "optimizer": _rates(zoomed=True),
    "schedule": _dots(),
    "xor": _xor,
    "units": _units,
    "activation": _dots(epoch_seconds, "CPU seconds an epoch"),
    "initializer": _initializer,
    "filters": _filters,
    "convolution": _dots(epoch_seconds, "CPU seconds an epoch"),
    "batch_norm": _rates(zoomed=False),
    "regularization": _strengths("dropout", "l2", "l1"),
    "regularization_images": _strengths("dropout", "l2", "label_smoothing"),
    "augmentation": _augmentation,
    "early_stopping": _early_stopping,
    "columns": _dots(_gap, "training less validation, points"),
    "luck": _dots(_gap, "training less validation, points"),
}
