"""What the workers did when: a time table of the trials."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import optuna
from optuna.trial import FrozenTrial

from search import study as studies
from search.report.plots import Axis, Layer, Plot, Spans, categories
from search.report.scale import LOOKS
from search.report.words import clock, n_of, time_unit
from search.tracking.trial_log import trial_name

PAUSE_SECONDS = 30.0
"""A longer time without any trial is no idling of the workers: nobody searched."""
OVERLAP = 0.05
"""A trial may begin so much of its time before the one in its row is written down as ended."""


MOST_NAMED = 12
"""Rows, from which on they are too narrow for a number each."""


@dataclass(frozen=True)
class Course:
    """When trials were at work.

    Attributes:
        spans: Row, begin and end in seconds of searching, by the trial's number.
        seconds: Of searching, pauses left out.
        n_rows: At most so many trials at once.
    """

    spans: dict[int, tuple[int, float, float]]
    seconds: float
    n_rows: int


def course(study: optuna.Study) -> Course:
    """From the times that Optuna keeps; what was taken over from another study has none."""
    found = [
        (t.datetime_start, t.datetime_complete or _at_least_until(t), t.number)
        for t in study.get_trials(deepcopy=False)
        if studies.ORIGIN not in t.user_attrs
    ]
    begun = sorted((start, end, number) for start, end, number in found if start and end)
    spans: dict[int, tuple[int, float, float]] = {}
    taken: list[float] = []
    pauses, reached = 0.0, begun[0][0] if begun else datetime.min  # noqa: DTZ901 - Optuna's
    for start, end, number in begun:
        pause = (start - reached).total_seconds()
        pauses += pause if pause > PAUSE_SECONDS else 0.0
        reached = max(reached, end)
        begin = (start - begun[0][0]).total_seconds() - pauses
        until = (end - begun[0][0]).total_seconds() - pauses
        limit = begin + OVERLAP * (until - begin)
        row = next((i for i, busy in enumerate(taken) if busy <= limit), len(taken))
        taken[row : row + 1] = [until]
        spans[number] = (row, begin, until)
    return Course(spans, max((end for *_, end in spans.values()), default=0.0), len(taken))


def _at_least_until(trial: FrozenTrial) -> datetime | None:
    """When a trial that has not ended was still at work; None if it never was."""
    record = studies.read(trial)
    if record is None or trial.datetime_start is None:
        return None
    return trial.datetime_start + timedelta(seconds=record.worker_seconds)


def timeline(study: optuna.Study) -> Plot | None:
    """A bar a trial while it was at work; None where nobody knows."""
    found = course(study)
    if not found.spans:
        return None
    unit, scale = time_unit(found.seconds)
    trials = study.get_trials(deepcopy=False)
    states = {t.number: record.state for t in trials if (record := studies.read(t))}
    layers: list[Layer] = []
    for state, (colour, _) in LOOKS.items():
        own = [(n, span) for n, span in found.spans.items() if states.get(n) == state]
        if own:
            rows = [float(row) for _, (row, _, _) in own]
            starts = [start / scale for _, (_, start, _) in own]
            ends = [end / scale for _, (_, _, end) in own]
            hover = [f"{trial_name(n)} {state}, {clock(b - a)}" for n, (_, a, b) in own]
            layers.append(Spans(state, rows, starts, ends, colour, hover))
    return Plot(
        "timeline",
        "A bar for each trial from its beginning to its end",
        _use(study, found),
        Axis(f"time of searching ({unit})"),
        _rows(found.n_rows),
        tuple(layers),
        height=130 + 28 * min(found.n_rows, MOST_NAMED),
    )


def _rows(count: int) -> Axis:
    if count <= MOST_NAMED:
        return categories("trials at once", [f"{row + 1}" for row in range(count)])
    return Axis("trials at once", low=-0.6, high=count - 0.4)


def _use(study: optuna.Study, found: Course) -> str:
    """How busy the workers were, and with what."""
    trials = [t for t in study.get_trials(deepcopy=False) if t.number in found.spans]
    records = [record for t in trials if (record := studies.read(t))]
    at_work = sum(record.worker_seconds for record in records)
    training = sum(record.train_seconds for record in records)
    whole = found.seconds * found.n_rows
    text = "Each bar is a trial from its beginning to its end; gaps are waiting, pauses left out."
    if not whole or not at_work:
        return text
    return (
        f"{text} With {n_of(found.n_rows, 'trial')} at once, workers were at a trial for"
        f" {min(1.0, at_work / whole):.0%} of the time, and trained or validated for"
        f" {min(1.0, training / whole):.0%} of it; the rest went into building networks and"
        " drawing pictures."
    )
