"""What a study found: the leaderboard, and the export of its best trial."""

import contextlib
import csv
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import optuna
from rich.table import Table
from rich.text import Text

from pipelines.tasks import Task
from search import study as studies
from search.settings import Settings
from search.study import Record
from search.tracking import Tracker
from search.trial_log import best_scores, end_metrics, trial_name
from spaces.errors import InputError


def leaders(study: optuna.Study, top: int) -> list[tuple[int, Record]]:
    """The best completed trials, best first.

    Raises:
        InputError: none has completed.
    """
    found = studies.best_first(study, ("completed",))
    if not found:
        raise InputError(
            f"No trial of {study.study_name} has completed yet: run"
            f" `hpsearch search {study.user_attrs['task']}` for longer."
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


def leaderboard_rows(found: list[tuple[int, Record]]) -> list[dict[str, object]]:
    """A flat dict a trial: rank, scores, costs and every parameter."""
    return [
        {
            "rank": rank,
            "trial": number,
            "preset": record.preset,
            "seed": record.seed,
            **end_metrics(record),
            **record.parsed_config().parameters(),
        }
        for rank, (number, record) in enumerate(found, 1)
    ]


def as_json(rows: list[dict[str, object]]) -> str:
    return json.dumps(rows, indent=2)


def as_csv(rows: list[dict[str, object]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def export(task: Task, settings: Settings, study: optuna.Study, exports_dir: Path) -> Path:
    """Writes config, model and scores of the best trial to `exports_dir/<task>/`.

    The folder is replaced as a whole, once all of it is there.

    Raises:
        InputError: no trial has completed, or its model is not in MLflow.
    """
    ((number, record),) = leaders(study, 1)
    run_id = studies.run_of(study, number, record)
    if not run_id:
        raise InputError(
            f"The best trial {trial_name(number)} is not in MLflow yet: run"
            f" `hpsearch search {task.name}` again, which logs what is missing."
        )
    tracker = Tracker.open(settings.runs_dir, settings.tracking_uri)
    folder = exports_dir / task.name
    with _parent(exports_dir), tempfile.TemporaryDirectory(dir=exports_dir) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        tracker.download(run_id, "model.keras", new)
        new.joinpath("config.yaml").write_text(record.parsed_config().to_yaml())
        content = {
            "task": task.name,
            "study": study.study_name,
            "trial": number,
            "run_id": run_id,
            "seed": record.seed,
            "data_digest": study.user_attrs["data_digest"],
            "n_parameters": record.n_parameters,
            "validation": best_scores(record),
        }
        new.joinpath("scores.json").write_text(json.dumps(content, indent=2) + "\n")
        _save_preprocessor(task, settings, content["data_digest"], new)
        if folder.exists():
            folder.rename(Path(temporary, "old"))
        new.rename(folder)
    return folder


@contextlib.contextmanager
def _parent(folder: Path) -> Iterator[None]:
    """Makes the folder, and takes it away again if nothing came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()


def _save_preprocessor(task: Task, settings: Settings, digest: object, folder: Path) -> None:
    """What turns raw rows into the model's input, for tasks that have such a thing."""
    if task.space.image_side is not None:
        return
    data = task.load(settings.data_dir)
    if data.preprocessor is None:
        return
    if data.digest != digest:
        raise InputError(
            f"The data of {task.name} have the digest {data.digest}, the study was made with"
            f" {digest}: point --data-dir to the same files."
        )
    import joblib  # scikit-learn's own way to save its objects

    joblib.dump(data.preprocessor, folder / "preprocessor.joblib")
