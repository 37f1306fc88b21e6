"""What a study found: the leaderboard."""

import csv
import io
import json

import optuna
from rich.table import Table
from rich.text import Text

from search import study as studies
from search.study import Record
from search.tracking.trial_log import end_metrics, trial_name
from spaces.errors import InputError


def leaders(study: optuna.Study, top: int) -> list[tuple[int, Record]]:
    """The best completed trials, best first.

    Raises:
        InputError: none has completed.
    """
    found = studies.best_first(study, ("completed",))
    if not found:
        raise InputError(
            f"No trial of {study.study_name} has completed yet: run the command that began it"
            " for longer."
        )
    return found[:top]


def leaderboard_table(study: optuna.Study, found: list[tuple[int, Record]]) -> Table:
    metric = study.user_attrs["metric"]
    table = Table(title=study.study_name, title_justify="left", box=None, padding=(0, 1))
    for name in ("", "trial", metric, "epoch", "weights", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("config")
    for rank, (number, record) in enumerate(found, 1):
        preset = f" [{record.preset}]" if record.preset else ""
        table.add_row(
            str(rank),
            trial_name(number),
            f"{record.best[metric]:.4f}",
            studies.epoch_text(record.best["epoch"]),
            f"{record.n_parameters:,}",
            f"{record.train_seconds:.0f}",
            Text(record.parsed_config().title() + preset),
        )
    return table


def leaderboard_rows(found: list[tuple[int, Record]], *, images: bool) -> list[dict[str, object]]:
    """A flat dict a trial: rank, scores, costs and every parameter that it has a use for."""
    return [
        {
            "rank": rank,
            "trial": number,
            "preset": record.preset,
            "seed": record.seed,
            **end_metrics(record),
            "best_epoch": _whole(record.best["epoch"]),
            "n_parameters": record.n_parameters,
            **record.parsed_config().parameters(images=images),
        }
        for rank, (number, record) in enumerate(found, 1)
    ]


def _whole(value: float) -> float:
    """Without the `.0` of a whole number; epochs may be fractions."""
    return value if value % 1 else int(value)


def as_json(rows: list[dict[str, object]]) -> str:
    return json.dumps(rows, indent=2)


def as_csv(rows: list[dict[str, object]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")
