"""What a person reads of an evaluation: what is trained, what it scores, how sure that is."""

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipelines.splits import SearchData
from pipelines.tasks import Task
from search.evaluation.baseline_training import duration_text
from search.evaluation.ledger import Interval, Opening
from search.evaluation.refits import Refit
from search.study import epoch_text
from search.texts import n_of, times
from search.tracking.trial_log import trial_name
from spaces.config import Config

TITLES = {
    "loss": "log loss",
    "macro_f1": "macro F1",
    "calibration_error": "calibration error",
    "auc": "ROC AUC",
    "pr_auc": "PR-AUC",
    "lift": "lift, top tenth",
    "f1_at_threshold": "F1 at threshold",
}


def planned_line(task: Task, data: SearchData, opening: Opening) -> str:
    config = Config.model_validate(opening.config)
    return (
        f"{task.title}: {trial_name(opening.trial or 0)}, {config.title()}, refitted on"
        f" {len(data.train.labels):,} train and validation rows: {_seeds(opening)},"
        f" {epoch_text(opening.epochs)} epochs each."
    )


def forecast_line(n_trainings: int, n_workers: int, seconds: float) -> str:
    """How long the trainings take, of which one takes so many seconds."""
    together = math.ceil(n_trainings / n_workers) * seconds
    return (
        f"About {duration_text(together)}: {n_of(n_trainings, 'training')} on"
        f" {n_of(n_workers, 'worker')}, {duration_text(seconds)} each."
    )


def ended_line(refit: Refit) -> Text:
    segment = refit.segment
    only = " on train alone, for the threshold" if segment.division == "search" else ""
    if refit.cause:
        return Text(f"seed {segment.seed}{only}: {refit.cause}; not scored.", style="yellow")
    if not refit.train_seconds:
        return Text(f"seed {segment.seed}{only}: trained before")
    return Text(f"seed {segment.seed}{only}: trained in {refit.train_seconds:.0f} s")


def shown(task: Task, opening: Opening, report: str, n_for_others: int) -> RenderableType:
    """All that is known once an opening is scored.

    Args:
        n_for_others: How often these test rows were opened for other studies.
    """
    return Group(
        "",
        _table(task, opening),
        "",
        *_notes(opening, n_for_others),
        "",
        Text("Each row counted once a seed:"),
        Text(report.rstrip()),
    )


def _table(task: Task, opening: Opening) -> Table:
    title = f"{task.title}, test set"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1))
    table.add_column("score", no_wrap=True)
    for name in ("mean", "95 %, seeds", "95 %, test rows"):
        table.add_column(name, justify="right", no_wrap=True)
    if opening.ensemble:
        table.add_column("ensemble", justify="right", no_wrap=True)
    for name, score in opening.scores.items():
        cells = [f"{score.mean:.4f}", _text(score.interval), _text(score.sampling)]
        if name in opening.ensemble:
            cells.append(f"{opening.ensemble[name].mean:.4f}")
        table.add_row(TITLES.get(name, name), *cells)
    return table


def _notes(opening: Opening, n_for_others: int) -> Iterator[RenderableType]:
    score = opening.scores[opening.metric]
    if opening.promised is not None and opening.gap is not None:
        yield Text(
            f"Validation promised {opening.metric} {opening.promised:.4f}, the test gave"
            f" {score.mean:.4f}: a gap of {opening.gap:+z.4f}."
        )
    if opening.ensemble:
        count = len(opening.scores[opening.metric].values)
        yield Text(
            f"Ensemble: the mean of what the {count} networks say, at {count} times the cost; an"
            " export is one network."
        )
    if opening.thresholds:
        chosen = ", ".join(f"{threshold:.3f}" for threshold in opening.thresholds)
        yield Text(f"Thresholds, chosen on validation: {chosen}.")
    if opening.failed:
        yield Text(f"Not scored: {len(opening.failed)} of {_seeds(opening)}.", style="yellow")
    yield _count(opening, n_for_others)


def _count(opening: Opening, n_for_others: int) -> Text:
    others = f", {times(n_for_others)} for other studies" if n_for_others else ""
    if opening.number == 1 and not others:
        return Text("The test set was opened for this study for the first time.")
    return Text(
        f"The test set has now been opened {times(opening.number)} for this study{others}: what"
        " was changed since the first time may owe its score to it.",
        style="yellow",
    )


def _seeds(opening: Opening) -> str:
    return "1 seed" if len(opening.seeds) == 1 else f"{len(opening.seeds)} seeds"


def _text(interval: Interval | None) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "-"
