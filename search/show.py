"""`hpsearch show`: one trial as a person wants it."""

import math
import shlex
from collections.abc import Sequence

import optuna
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipelines.tasks import Task
from search import study as studies
from search.addresses import where_options
from search.config_words import sentences
from search.finalists.verdict import LEAST_DRAWS, Standing, on_folds, verdict
from search.layers import Layers, layers_of
from search.one_trial import gap, input_shape, place, standing_of
from search.settings import Settings
from search.study import Record
from search.texts import n_of, sparkline
from search.tracking.store import locate
from search.tracking.trial_log import trial_name

SPARK_WIDTH = 48


def trial_page(task: Task, study: optuna.Study, number: int, record: Record) -> Group:
    """All that is known of a trial."""
    title = Text(f"{trial_name(number)} {record.parsed_config().title()}", style="bold")
    preset = f", preset {record.preset}" if record.preset else ""
    standing = standing_of(study, number)
    parts: list[RenderableType] = [
        title,
        Text(f"{study.study_name}{preset}, seed {record.seed}", style="dim"),
        *_section("What it is", [Text(line) for line in sentences(record.parsed_config())]),
        *_section("Its layers", _layers(task, study, record)),
        *_section("What it did", [Text(line) for line in _result(task, study, number, record)]),
    ]
    if standing is not None:
        lines = [Text(line) for line in _finalist(study, standing)]
        parts += _section("As a finalist", lines)
    return Group(*parts)


def layers_table(layers: Layers) -> Table:
    """A row a layer, and the sum."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("layer", no_wrap=True)
    table.add_column("output", no_wrap=True)
    table.add_column("weights", no_wrap=True, justify="right")
    table.add_column("how they come about")
    for row in layers.rows:
        weights = f"{row.weights:,}" if row.weights else ""
        table.add_row(row.what, row.shape_text, weights, Text(row.why, style="dim"))
    if layers.refusal:
        table.add_row("", "", "", Text(f"does not fit: {layers.refusal}", style="red"))
    else:
        table.add_row("in all", "", f"{layers.weights:,}", "", style="bold")
    return table


def curve_line(record: Record, metric: str) -> str:
    """The curve of a metric in characters, and its first, best and last value."""
    values = [row[metric] for row in record.rows]
    points = [
        f"first {_score(values[0])}",
        f"best {_score(record.best[metric])} at epoch {studies.epoch_text(record.best['epoch'])}"
        if record.best
        else "never a number",
        f"last {_score(values[-1])} at epoch {studies.epoch_text(record.rows[-1]['epoch'])}",
    ]
    return f"{metric} {sparkline(thinned(values, SPARK_WIDTH))}\n{', '.join(points)}"


def thinned(values: Sequence[float], most: int) -> list[float]:
    """So many values at most, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def _section(heading: str, content: Sequence[RenderableType]) -> list[RenderableType]:
    return [
        "",
        Text(heading, style="bold cyan"),
        *(Padding(each, (0, 0, 0, 2), expand=False) for each in content),
    ]


def _layers(task: Task, study: optuna.Study, record: Record) -> list[RenderableType]:
    shape = input_shape(task, study)
    if shape is None:
        return [Text("Not known: no network of this study has been built yet.")]
    return [layers_table(layers_of(record.parsed_config(), shape, task.n_classes))]


def _result(task: Task, study: optuna.Study, number: int, record: Record) -> list[str]:
    metric = study.user_attrs["metric"]
    ended = f"{record.state}, {record.cause}" if record.cause else record.state
    where = record.note or f"at epoch {studies.epoch_text(record.epoch)}"
    lines = [f"{ended[0].upper()}{ended[1:]} ({where})."]
    if record.rows:
        lines.append(curve_line(record, metric))
    if record.best:
        lines.append(f"{_gap_text(gap(record.best))} at its best epoch.")
    standing = place(task, study, number, record)
    if standing:
        lines.append(f"{standing[0].upper()}{standing[1:]}.")
    if record.rows:
        lines.append(_cost(record))
    return lines


def _gap_text(value: float) -> str:
    side = "higher" if value >= 0 else "lower"
    return f"Accuracy {abs(value):.4f} {side} on the training rows than on validation"


def _cost(record: Record) -> str:
    epochs = studies.epoch_text(record.epoch)
    seconds = record.train_seconds / record.epoch
    return (
        f"Cost: {epochs} epochs of {seconds:.2g} s, {record.worker_seconds:.1f} s of a worker with"
        " the building of the network."
    )


def _finalist(study: optuna.Study, standing: Standing) -> list[str]:
    found = verdict(study)
    drawn = "fold" if on_folds(study) else "fresh seed"
    metric = study.user_attrs["metric"]
    low, high = standing.interval
    interval = f" (95 % interval {low:.4f} to {high:.4f})" if math.isfinite(low) else ""
    lines = []
    if standing.n_scored:
        scores = " ".join(f"{r.last[metric]:.4f}" for r in standing.retrainings if r.last)
        lines.append(
            f"Trained again on {n_of(standing.n_scored, drawn)}: mean {metric}"
            f" {standing.mean:.4f}{interval}, where the search had"
            f" {standing.record.best[metric]:.4f}."
        )
        lines.append(f"One by one: {scores}.")
    if standing.causes:
        causes = ", ".join(sorted(set(standing.causes)))
        lines.append(f"Failed on {n_of(len(standing.causes), drawn)}: {causes}.")
    if found is not None and found.winner.number == standing.number:
        decided = standing.n_scored >= LEAST_DRAWS
        lines.append("It is the winner." if decided else "It leads, which decides nothing yet.")
    elif standing.dropped and standing.causes:
        lines.append("It failed where others did not, so it cannot win.")
    elif standing.dropped:
        lines.append("It fell clearly behind, and was trained no further.")
    return lines


def next_steps(
    task: Task,
    study: optuna.Study,
    settings: Settings,
    number: int,
    record: Record,
    named: str | None,
) -> list[str]:
    """Addresses and commands, in lines that are not to be broken.

    Args:
        named: The study, if the user has named it.
    """
    lines = [""]
    run_id = studies.run_of(study, number, record)
    runs = where_options(settings, storage=False)
    if run_id:
        mlflow = locate(settings.runs_dir, settings.tracking_uri)
        after = f" (after hpsearch ui{runs})" if mlflow.artifacts else ""
        lines.append(f"MLflow:      {mlflow.ui_address}/#/runs/{run_id}{after}")
    if record.state == "completed":
        export = f"hpsearch export {task.name} --trial {number}{where_options(settings, named)}"
        lines.append(f"Export it:   {export}")
    config = settings.runs_dir / "artifacts" / run_id / "artifacts" / "config.yaml"
    if run_id and config.is_file():
        train = f"hpsearch train {task.name} --config {shlex.quote(str(config))}"
        lines.append(f"Train again: {train} --seed {record.seed}{runs}")
    if not record.ended:
        lines.append("Go on:       the command that began the search goes on with it")
    return lines


def _score(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "no number"
