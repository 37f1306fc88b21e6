"""How far a running search is, in lines."""

import datetime as dt
import math
from collections.abc import Iterable

from rich.text import Text

from search.active import Active
from search.coordinator import Coordinator
from search.finalists.selection import Attempt
from search.finalists.training import FinalistTraining
from search.study import Record
from search.texts import clock_text, n_of
from search.tracking.trial_log import trial_name


def status(coordinator: Coordinator) -> list[Text]:
    """How far the search is, the time and the workers, and the best so far: a line each."""
    active = coordinator.active.values()
    busy = min(sum(each.job is not None for each in active), coordinator.n_workers)
    second = (
        f"{clock_text(coordinator.elapsed)}{_end_time(coordinator)},"
        f" {busy}/{coordinator.n_workers} busy{_saving(active)}"
    )
    return [
        Text(counts(coordinator), style="dim"),
        Text(second, style="dim"),
        best_line(coordinator.book.best, coordinator.task.goal.metric),
    ]


def finalists_status(training: FinalistTraining) -> Text:
    """How far the finalists are."""
    busy = sum(attempt.job is not None for attempt in training.active)
    dropped = f", {n_of(len(training.out), 'config')} dropped" if training.out else ""
    return Text(
        f"finalists: {n_of(training.n_trained, 'retraining')} done, {training.n_open} left"
        f"{dropped}, {clock_text(training.elapsed)},"
        f" {min(busy, training.n_workers)}/{training.n_workers} busy{_saving(training.active)}",
        style="dim",
    )


def best_line(best: tuple[int, Record] | None, metric: str) -> Text:
    if best is None:
        return Text("no trial has completed yet", style="dim")
    number, record = best
    title = record.parsed_config().title()
    return Text(f"best {metric} {record.best[metric]:.4f} by {trial_name(number)} {title}")


def counts(coordinator: Coordinator) -> str:
    """How many trials have ended, and how."""
    states = ", ".join(f"{n} {state}" for state, n in coordinator.book.counts.items() if n)
    finished, most = coordinator.book.n_finished, coordinator.settings.most_trials
    of = n_of(finished, "trial")
    if math.isfinite(most):
        of = f"{finished} of {n_of(int(most), 'trial')}"
    return f"{of} ({states})" if states else of


def seconds_left(coordinator: Coordinator) -> float | None:
    """An estimate from the trials so far; None before the first has ended."""
    of_budget = coordinator.seconds_left
    estimates = [] if of_budget is None else [of_budget]
    open_trials = coordinator.settings.most_trials - coordinator.book.n_finished
    if coordinator.book.n_ended_here and math.isfinite(open_trials):
        estimates.append(coordinator.elapsed / coordinator.book.n_ended_here * open_trials)
    return max(0.0, min(estimates)) if estimates else None


def _end_time(coordinator: Coordinator) -> str:
    left = seconds_left(coordinator)
    if left is None:
        return ""
    end = dt.datetime.now().astimezone() + dt.timedelta(seconds=left)
    what = "trials end" if coordinator.settings.finalists else "ends"
    return f", {what} about {end:%H:%M}"


def _saving(active: Iterable[Active | Attempt]) -> str:
    """How many have ended and are having their model and pictures made."""
    count = sum(each.record.ended for each in active)
    return f", {count} saving" if count else ""
