"""What the user sees of a running search: a line a trial, and on a terminal a live table."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipelines.splits import SearchData
from pipelines.tasks import Task
from search.active import Active
from search.addresses import where_options
from search.coordinator import Coordinator
from search.finalists.selection import LEAST_SHARE, Attempt, n_draws
from search.finalists.standings import verdict_lines
from search.finalists.training import FinalistTraining
from search.progress import best_line, counts, finalists_status, status
from search.settings import Settings
from search.study import Record, best_first, epoch_text, n_finished
from search.study import rungs as rungs_of
from search.texts import clock_text, n_of, sparkline
from search.tracking.trial_log import trial_name
from spaces.config import Training
from spaces.presets import PRESETS, presets_of
from spaces.starts import DEFAULT, STARTS

_COLOURS = {"completed": "green", "pruned": "dim", "failed": "red"}
_SPARK_WIDTH = 16
_CONFIG_WIDTH = 28


class SearchView:
    """Prints every trial that ends; `live` adds what goes on at the moment."""

    def __init__(self, console: Console, metric: str) -> None:
        self._console, self._metric = console, metric
        self._live: Live | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            yield
        self._live = None

    def update(self, coordinator: Coordinator) -> None:
        if self._live:
            self._live.update(self._panel(coordinator), refresh=True)

    def ended(self, number: int, record: Record) -> None:
        self._console.print(ended_line(number, record, self._metric), soft_wrap=True)

    def update_finalists(self, training: FinalistTraining) -> None:
        if self._live:
            attempts = {attempt.name: attempt for attempt in training.active}
            panel = self._table(attempts, training.n_workers, [finalists_status(training)])
            self._live.update(panel, refresh=True)

    def retrained(self, attempt: Attempt) -> None:
        self._console.print(retrained_line(attempt, self._metric), soft_wrap=True)

    def gave_up(self, attempt: Attempt, message: str) -> None:
        line = f"finalist {attempt.name} crashed: {message}; the same command tries it again."
        self._console.print(Text(line, style="yellow"), soft_wrap=True)

    def no_time(self, attempt: Attempt, seconds: float) -> None:
        line = (
            f"No finalists yet: {trial_name(attempt.number)}, the best so far, took"
            f" {clock_text(attempt.expected_seconds)} of a worker, and"
            f" {clock_text(max(0.0, seconds))} are left."
        )
        self._console.print(Text(line, style="yellow"), soft_wrap=True)

    def dropped(self, number: int) -> None:
        line = f"finalist {trial_name(number)} is out of the running: it is trained no further."
        self._console.print(Text(line, style="dim"), soft_wrap=True)

    def _panel(self, coordinator: Coordinator) -> Group:
        active = {trial_name(each.number): each for each in coordinator.active.values()}
        return self._table(active, coordinator.n_workers, status(coordinator))

    def _table(
        self,
        active: Mapping[str, Active | Attempt],
        n_workers: int,
        below: Sequence[Text],
    ) -> Group:
        """What is being trained, in a table that keeps its size: nothing jumps about."""
        training = {name: each for name, each in active.items() if not each.record.ended}
        # Of a finalist the names are longer, and those of a phase all alike.
        width = max([5, *map(len, training)])
        metric = self._metric.removeprefix("val_")
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        table.add_column("trial", no_wrap=True, width=width)
        table.add_column("config", no_wrap=True, width=_CONFIG_WIDTH)
        table.add_column("epoch", no_wrap=True, width=7, justify="right")
        table.add_column(metric, no_wrap=True, min_width=7, justify="right")
        table.add_column("so far", no_wrap=True, width=_SPARK_WIDTH)
        for name, each in training.items():
            table.add_row(*self._row(name, each))
        for _ in range(n_workers - len(training)):
            table.add_row()
        for line in below:
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(Text(), table, Text(), *below)

    def _row(self, name: str, active: Active | Attempt) -> tuple[str, ...]:
        record = active.record
        scores = [row[self._metric] for row in record.rows]
        epoch = f"{epoch_text(record.epoch)}/{active.config.training.epochs}"
        best = f"{record.best[self._metric]:.4f}" if record.best else ""
        return name, active.config.title(), epoch, best, sparkline(scores[-_SPARK_WIDTH:])


def ended_line(number: int, record: Record, metric: str) -> Text:
    score = f"{record.best[metric]:.4f}" if record.best else "   -  "
    set_aside = record.state == "interrupted"
    state = "set aside" if set_aside else record.state
    what = f"{state} ({record.cause})" if record.cause else state
    line = Text(f"{trial_name(number)} ")
    line.append(f"{what:<10}", style=_COLOURS.get(record.state, ""))
    line.append(
        f" {score} at epoch {epoch_text(record.epoch):<4} {record.parsed_config().title()}"
    )
    if record.preset:
        line.append(f" [{record.preset}]", style="dim")
    if record.audited_from:
        judged = epoch_text(record.audited_from)
        line.append(f" (audit: would have been pruned at epoch {judged})", style="dim")
    if record.cause or set_aside:
        line.append(f": {record.note}", style="dim")
    return line


def retrained_line(attempt: Attempt, metric: str) -> Text:
    record = attempt.record
    score = "failed" if record.cause else f"{record.best[metric]:.4f}"
    line = Text(f"finalist {attempt.name}  {score} at epoch {epoch_text(record.epoch):<4}")
    line.append(f" {attempt.config.title()}")
    if record.cause:
        line.append(f": {record.note}", style="dim")
    return line


def beginning(
    task: Task,
    data: SearchData,
    study: optuna.Study,
    settings: Settings,
    training: Training,
    *,
    fresh: bool,
) -> list[str]:
    """What is about to happen, before anything takes time."""
    trials = study.get_trials(deepcopy=False)
    left = sum(trial.state == TrialState.RUNNING for trial in trials)
    waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
    rungs = rungs_of(task.first_rung, training.epochs)[:-1]
    judged = f", judged at {', '.join(epoch_text(rung) for rung in rungs)}" if rungs else ""
    at_most = f", {clock_text(settings.budget_seconds)} at most" if settings.budget_seconds else ""
    how_many = "as many trials as fit,"
    if math.isfinite(settings.most_trials):
        how_many = f"up to {n_of(int(settings.most_trials), 'trial')}"
    goal = (
        f"{task.title}: {len(data.train.labels):,} rows to train on,"
        f" {len(data.validation.labels):,} to validate; looking for the best {task.goal.metric}."
    )
    plan = (
        f"Study {study.study_name}: {how_many} of at most"
        f" {n_of(training.epochs, 'epoch')}{judged};"
        f" {n_of(settings.workers, 'worker')}, {settings.precision}{at_most}."
    )
    lines = [goal, plan]
    if settings.finalists:
        lines.append(_finalists_planned(task, settings))
    if not fresh:
        lines.append(
            f"It goes on: {n_of(n_finished(study), 'trial')} finished, {left} taken up again."
        )
    elif waiting:
        lines.append(f"It begins with {_known(waiting, task.name, settings)}.")
    return lines


def _known(waiting: Sequence[FrozenTrial], task: str, settings: Settings) -> str:
    """How many configs of each origin wait to be tried."""
    names = [trial.user_attrs["preset"] for trial in waiting]
    if names == [DEFAULT]:
        return "the default config of the space"
    n_presets = sum(name in PRESETS for name in names)
    n_starts = sum(name in STARTS.get(task, {}) for name in names)
    n_others = len(names) - n_presets - n_starts
    origins = [
        f"{n_of(n_others, 'config')} of {settings.warm_start}" if n_others else "",
        n_of(n_starts, "starting point") if n_starts else "",
        n_of(n_presets, "preset") if n_presets else "",
    ]
    return ", ".join(origin for origin in origins if origin)


def _finalists_planned(task: Task, settings: Settings) -> str:
    drawn = n_of(n_draws(task, settings), "fold" if task.folds else "fresh seed")
    share = ""
    if settings.budget_seconds:
        share = f"; {LEAST_SHARE:.0%} of the time or more is kept for that"
    best = n_of(settings.finalists, "config")
    preset = " and the best preset" if settings.presets and presets_of(task.name) else ""
    verb = "are" if preset or settings.finalists > 1 else "is"
    return f"The best {best}{preset} {verb} then trained again on {drawn}{share}."


def ending(
    coordinator: Coordinator,
    log_seconds: float,
    *,
    finalists: Sequence[RenderableType] = (),
    n_retrainings_left: int = 0,
) -> list[RenderableType]:
    """What came of it, what the time went into, and what to do next.

    Args:
        finalists: The verdict on them.
    """
    seconds = max(coordinator.elapsed, 1e-9)
    what = "Stopped" if coordinator.stopped else "Done"
    time_spent = coordinator.spent.text(seconds * coordinator.n_workers)
    lines: list[RenderableType] = [
        f"{what} after {clock_text(seconds)}: {counts(coordinator)}.",
        f"{time_spent}. Logging took {log_seconds / seconds:.1%} of the coordinator's.",
        best_line(coordinator.book.best, coordinator.task.goal.metric),
        *finalists,
    ]
    left = [
        n_of(count, noun)
        for count, noun in (
            (coordinator.n_unfinished, "trial"),
            (n_retrainings_left, "retraining"),
        )
        if count
    ]
    if left:
        what = " and ".join(left) + " unfinished"
        budget = coordinator.settings.budget_seconds or 0.0
        if not coordinator.stopped and seconds < budget:
            what += f", as no more fits into the {clock_text(budget - seconds)} that are left"
        lines.append(f"{what}: the same command goes on with what is left.")
    if coordinator.book.best is not None:
        lines.append(Text(_next(coordinator.task.name, coordinator.settings)))
    return lines


def _next(task: str, settings: Settings) -> str:
    """Commands on what was found; each a line where it must say where that lies."""
    where = where_options(settings)
    commands = (
        f"hpsearch leaderboard {task}{where_options(settings, mlflow=False)}",
        f"hpsearch export {task}{where}",
        f"hpsearch ui{where_options(settings, storage=False)}",
    )
    return "Next: " + ("\n      " if where else ", ").join(commands)


def already_complete(study: optuna.Study) -> str:
    """What to say where a search has nothing to do."""
    best = best_line(
        next(iter(best_first(study, ("completed",))), None), study.user_attrs["metric"]
    )
    lines = [
        f"{n_of(n_finished(study), 'trial')} finished already; ask for more with --trials.",
        best.plain,
        *verdict_lines(study),
    ]
    return "\n".join(lines)
