"""`hpsearch predict`: what an exported or registered model says of a picture or a table."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from pipelines.runtime import Runtime, configure
from pipelines.tasks import Task
from search.export.registry import Answer, load_registered
from search.export.script_data import DATA
from search.settings import Settings
from search.tracking.trial_log import trial_name
from spaces.errors import InputError

_UNVERIFIED = "the model is not verified, nobody has seen its exported script score as it does"
_REFUTED = "the model is UNVERIFIED, it or its exported script did not score as the search did"


@dataclass(frozen=True)
class Prediction:
    """What a model says of a file.

    Attributes:
        answers: One, of a picture; or one for each row of a table.
        notes: What a person should know of it, a sentence each.
    """

    answers: list[Answer]
    notes: list[str]

    def rows(self) -> list[dict[str, object]]:
        """A flat dict an answer: row, class and the probability of every class."""
        return [
            {"row": number, "class": answer["class"], **answer["probabilities"]}
            for number, answer in enumerate(self.answers, 1)
        ]


@dataclass(frozen=True)
class _Model:
    """A model, from wherever it comes.

    Attributes:
        warning: Why to be careful with it; empty if there is no reason.
    """

    answers: Callable[[Any], list[Answer]]
    warning: str


def predict(
    task: Task, settings: Settings, file: Path, exports_dir: Path, *, model: str | None
) -> Prediction:
    """What the exported model of a task says of `file`, or a registered `models:/...` does.

    Args:
        file: A PNG or JPEG picture for image tasks, else a CSV file with the table's columns.

    Raises:
        InputError: the model or the file cannot be used.
    """
    sent, notes = _read(task, file)
    configure(Runtime())  # before anything else imports TensorFlow
    loaded = _registered(task, settings, model) if model else _exported(task, exports_dir)
    try:
        answers = loaded.answers(sent)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    warnings = [f"Careful: {loaded.warning}."] if loaded.warning else []
    return Prediction(answers, [*notes, *warnings])


def prediction_table(prediction: Prediction, *, picture: bool) -> Table:
    """The classes of a picture by their probability, or a line for every row of a table."""
    table = Table(box=None, padding=(0, 1))
    if picture:
        (answer,) = prediction.answers
        ordered = sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])
        table.add_column("class")
        table.add_column("probability", justify="right")
        for name, probability in ordered:
            table.add_row(name, f"{probability:.4f}")
        return table
    rows = prediction.rows()
    for name in rows[0]:
        table.add_column(name, justify="left" if name == "class" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def _read(task: Task, file: Path) -> tuple[Any, list[str]]:
    """Raw pixels, or a data frame; and what was done to it."""
    side = task.space.image_side
    if side is None:
        return _read_table(task, file), []
    from pipelines.photos import read_photo  # late: tables need no pictures

    if file.suffix.lower() == ".csv":
        raise InputError(f"{task.name} needs a PNG or JPEG picture, got {file}.")
    pixels, done = read_photo(file, side)
    return pixels, [f"{file}: {', '.join(done)}."] if done else []


def _read_table(task: Task, file: Path) -> Any:  # noqa: ANN401 - pandas
    from pipelines.tabular import csv_lines

    if file.suffix.lower() in (".png", ".jpg", ".jpeg"):
        raise InputError(f"{task.name} needs a CSV file with a row for each answer, got {file}.")
    lines = csv_lines(file)
    _, header = next(lines, (1, []))
    rows = []
    for number, cells in lines:
        if len(cells) not in (0, len(header)):
            raise InputError(
                f"{file}, line {number}: it has {len(cells)} values where {len(header)} are"
                f" needed: fill or remove it."
            )
        rows += [cells] if cells else []
    import pandas as pd  # late: bad files are answered at once

    return pd.DataFrame(rows, columns=[name.strip() for name in header])


def _registered(task: Task, settings: Settings, uri: str) -> _Model:
    loaded = load_registered(settings, uri)
    if loaded.task != task.name:
        raise InputError(f"{uri} is a model of {loaded.task} and not of {task.name}.")
    return _Model(loaded.answers, "" if loaded.verified else _UNVERIFIED)


def _exported(task: Task, exports_dir: Path) -> _Model:
    folder = exports_dir / task.name
    network, preprocessor = folder / "model.keras", folder / "preprocessor.joblib"
    needed = [network, preprocessor] if DATA[task.name].prepared else [network]
    missing = [path for path in needed if not path.exists()]
    if missing:
        raise InputError(
            f"There is no {missing[0]}: run `hpsearch export {task.name}` first, or name a"
            f" registered model with --model models:/hpsearch-{task.name}@champion."
        )
    from pipelines import raw_inputs, serving  # late: with MLflow and pandas

    try:
        predictor = serving.Predictor(
            raw_inputs.contract(task), network, preprocessor if len(needed) == 2 else None
        )
    except serving.BrokenModelError as error:
        raise InputError(str(error)) from error

    def answers(sent: Any) -> list[Answer]:  # noqa: ANN401 - pixels or a data frame
        try:
            return predictor.answers(sent)
        except serving.BadInputError as error:
            raise InputError(str(error)) from error

    return _Model(answers, _warning(folder))


def _warning(folder: Path) -> str:
    """What the scores beside an exported model say of its check, and of whose model it is."""
    try:
        scores = json.loads((folder / "scores.json").read_text())
        verified, trial, winner = scores["verified"], scores["trial"], scores["winner"]
    except (OSError, ValueError, KeyError):
        return _UNVERIFIED
    checked = {True: "", False: _REFUTED}.get(verified, _UNVERIFIED)
    other = "" if winner else f"it is {trial_name(trial)}, not its study's winner"
    return "; ".join(filter(None, [checked, other]))
