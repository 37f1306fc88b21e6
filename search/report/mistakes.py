"""Where a network errs: what the artifacts of its run tell, as far as they are there."""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.report.plots import Axis, Bars, Dots, Heat, Line, Plot, categories
from search.report.words import n_of
from search.texts import times
from search.tracking.reading import RunReader

N_PICTURES = 24
Z = 1.96
FALLBACKS = {
    "confusion_matrix.png": "Confusion matrix: true classes in rows, predicted ones in columns",
    "calibration.png": "Calibration: share of right answers over how sure the network was",
    "mistakes.png": "The most confident mistakes, with their true and predicted labels",
}


@dataclass(frozen=True)
class Picture:
    """A PNG for the page, base64, with what it shows."""

    content: str
    alt: str


@dataclass(frozen=True)
class Mistake:
    """A row that was answered wrong: a table's with its values, an image as a base64 PNG."""

    row: int
    true: str
    predicted: str
    confidence: float
    values_by_name: Mapping[str, object]
    picture: str


@dataclass(frozen=True)
class Errors:
    """What is known of the mistakes of one training.

    Attributes:
        of: Which training it was.
        told: A sentence on how many there are; empty where nobody knows.
        pictures: What the run has in the place of a missing plot.
        report: The classification report.
    """

    of: str
    told: str
    plots: tuple[Plot, ...] = ()
    slices: tuple[Plot, ...] = ()
    worst: tuple[Mistake, ...] = ()
    pictures: tuple[Picture, ...] = ()
    report: str = ""

    @property
    def empty(self) -> bool:
        return not (self.plots or self.worst or self.pictures or self.report)


def errors(reader: RunReader, runs: Mapping[str, str]) -> Errors:
    """Of the first of some runs that has a word on mistakes; empty if none has.

    Args:
        runs: What was trained, and the id of its run.
    """
    found = Errors("", "")
    for of, run_id in runs.items():
        content = reader.read(run_id, "mistakes.json")
        report = reader.read(run_id, "classification_report.txt")
        if content:
            return _from_json(of, json.loads(content), _text(report))
        if report and found.empty:
            found = Errors(of, "", pictures=_pictures(reader, run_id), report=_text(report))
    return found


def _pictures(reader: RunReader, run_id: str) -> tuple[Picture, ...]:
    files = [(reader.read(run_id, name), alt) for name, alt in FALLBACKS.items()]
    return tuple(Picture(base64.b64encode(png).decode(), alt) for png, alt in files if png)


def _text(content: bytes | None) -> str:
    return content.decode(errors="replace").rstrip() if content else ""


def _from_json(of: str, known: Mapping[str, Any], report: str) -> Errors:
    n_wrong, n_all = known["n_wrong"], known["n_validation"]
    told = (
        f"Of {n_all:,} validation rows it answers {n_of(n_wrong, 'row')} wrong"
        f" ({n_wrong / n_all:.2%}).".replace("%)", " %)")
        if n_all
        else ""
    )
    groups = [(name, rows) for name, rows in known.get("slices", {}).items() if rows]
    groups.sort(key=lambda group: not stands_out(group[1]))
    plots = [
        confusion(known["confusion"], known["class_names"]),
        calibration(known["calibration"]),
    ]
    return Errors(
        of,
        told,
        tuple(plot for plot in plots if plot),
        tuple(slice_plot(name, rows) for name, rows in groups),
        tuple(
            Mistake(
                each["row"],
                each["true"],
                each["predicted"],
                each["confidence"],
                each.get("values", {}),
                each.get("picture", ""),
            )
            for each in known["worst"][:N_PICTURES]
        ),
        report=report,
    )


def confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Plot | None:
    """Counts, shaded by the share of the true class; None without any row."""
    table = np.array(counts, float)
    if not table.sum():
        return None
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    n = len(names)
    caption = "No row is answered wrong."
    if wrong.sum():
        true, guess = divmod(int(wrong.argmax()), n)
        caption = (
            f"Right answers lie on the diagonal. The most frequent mistake: {names[true]} taken"
            f" for {names[guess]}, {times(int(wrong[true, guess]))}"
            f" ({shares[true, guess]:.0%} of all {names[true]})."
        )
    hover = [
        [f"{names[i]} taken for {names[j]}: {counts[i][j]}" for j in range(n)] for i in range(n)
    ]
    texts = [[str(counts[i][j]) if counts[i][j] else "" for j in range(n)] for i in range(n)]
    return Plot(
        "confusion",
        "Confusion matrix: true classes in rows, predicted ones in columns",
        caption,
        categories("predicted", names),
        categories("true", names[::-1]),
        (Heat("rows", shares[::-1].tolist(), texts[::-1], hover[::-1]),),
        height=max(280, 130 + 30 * n),
    )


def calibration(bins: Sequence[Mapping[str, float]]) -> Plot | None:
    """Share of right answers over the network's own certainty; None without a row."""
    full = [each for each in bins if each["n"]]
    if not full:
        return None
    sure, right = [b["confidence"] for b in full], [b["accuracy"] for b in full]
    n = sum(b["n"] for b in full)
    gap = sum((b["confidence"] - b["accuracy"]) * b["n"] for b in full) / n
    told = (
        "as sure of itself as it is right"
        if abs(gap) < 0.01
        else f"{'surer' if gap > 0 else 'less sure'} of itself than it is right, by"
        f" {100 * abs(gap):.1f} points on average"
    )
    hover = [f"{b['n']} rows: sure {b['confidence']:.2f}, right {b['accuracy']:.2f}" for b in full]
    low = min(*sure, *right, 0.5)
    across: list[float | None] = []
    up: list[float | None] = []
    for each in full:
        ends = wilson(each["accuracy"], int(each["n"]))
        across += [each["confidence"], each["confidence"], None]
        up += [*ends, None]
    return Plot(
        "calibration",
        "Share of right answers over how sure the network was",
        f"On the dotted line it is right as often as it says. This network is {told}; the bars"
        " are 95 % intervals.",
        Axis("how sure it was", low=low - 0.02, high=1.02),
        Axis("share of right answers", low=max(0.0, low - 0.1), high=1.03),
        (
            Line("as often as it says", [low, 1.0], [low, 1.0], "muted", 1.5, dashed=True),
            Line("", across, up, "blue", 1.5),
            Dots("rows of like certainty", sure, right, "blue", size=9, hover=hover),
        ),
    )


def slice_plot(column: str, rows: Sequence[Mapping[str, Any]]) -> Plot:
    """The share of wrong answers by the values of a column."""
    shown = list(rows)[::-1]
    ends = [wilson(float(row["error"]), int(row["n"])) for row in shown]
    worst = max(rows, key=_error)
    told = f"Most mistakes at {worst['value']}: {worst['error']:.0%} of {worst['n']:,} rows."
    return Plot(
        f"slice-{_slug(column)}",
        f"Share of wrong answers by {column}",
        told if stands_out(rows) else "No value stands out: the 95 % intervals overlap.",
        Axis("share of wrong answers", low=0.0),
        categories(column, [f"{row['value']} ({row['n']:,})" for row in shown]),
        (
            Bars(
                "",
                [float(i) for i in range(len(shown))],
                [_error(row) for row in shown],
                "blue",
                horizontal=True,
                low=[a for a, _ in ends],
                high=[b for _, b in ends],
            ),
        ),
        height=100 + 28 * len(shown),
        legend=False,
    )


def stands_out(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the intervals of the best value and the worst lie apart."""
    worst, best = max(rows, key=_error), min(rows, key=_error)
    return wilson(_error(worst), worst["n"])[0] > wilson(_error(best), best["n"])[1]


def _error(row: Mapping[str, Any]) -> float:
    return float(row["error"])


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    if not n:
        return 0.0, 1.0
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)
