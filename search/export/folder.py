"""`hpsearch export`: a trial's config, model, script and card as a folder for a colleague."""

import contextlib
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import optuna
from rich.console import Console

from pipelines.splits import Division
from pipelines.tasks import Task
from search import results
from search import study as studies
from search.checkpoints import write_whole
from search.evaluation.ledger import latest, ledger_line
from search.export.check import Check, check, expected
from search.export.model_card import Exported, model_card
from search.export.script import packages, training_script
from search.export.script_data import DATA
from search.finalists.verdict import Retraining, Standing, chosen, verdict
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import Tracker
from search.tracking.trial_log import best_scores, trial_name
from spaces.errors import InputError, RunFailedError

TOP = 10
"""Configs in configs.csv."""


class UnverifiedError(RunFailedError):
    """The exported script did not score as the search did."""


def export(
    task: Task,
    settings: Settings,
    study: optuna.Study,
    exports_dir: Path,
    console: Console,
    *,
    trial: int | None = None,
    verify: bool = False,
) -> Path:
    """Writes the winner of a study, or another trial of it, to `exports_dir/<task>/`.

    The folder is replaced as a whole, once all of it is there. The check comes after, and
    writes its result into it.

    Raises:
        InputError: the trial has not completed, or its model is not in MLflow.
        UnverifiedError: the check failed; the folder is there and says so.
    """
    number, record, standing = _selected(study, trial)
    run_id, seed, division = _training(task, study, number, record, standing)
    tracker = Tracker.open(settings.runs_dir, settings.tracking_uri)
    exported = Exported(number, record, standing, run_id, seed, division, _tags(tracker, run_id))
    folder = exports_dir / task.name
    with _replacing(folder) as new:
        tracker.download(run_id, "model.keras", new)
        _save_preprocessor(task, settings, study, division, new)
        for name, text in _texts(task, study, exported).items():
            new.joinpath(name).write_text(text)
        for name, text in _verdicts(task, settings, study, exported, None).items():
            new.joinpath(name).write_text(text)
    if verify:
        interval = expected(study, task, number, record)
        result = check(folder / "train.py", task, settings, interval, console)
        for name, text in _verdicts(task, settings, study, exported, result).items():
            write_whole(folder / name, text.encode())
        if result.verified is False:
            raise UnverifiedError(f"UNVERIFIED: {result.note}; {folder} is marked so.")
        word = "verified" if result.verified else "not verified"
        console.print(f"{word}: {result.note}", soft_wrap=True)
    return folder


def _selected(study: optuna.Study, number: int | None) -> tuple[int, Record, Standing | None]:
    if number is None:
        return chosen(study)
    record = _completed(study, number)
    found = verdict(study)
    standings = found.standings if found else ()
    return number, record, next((s for s in standings if s.number == number), None)


def _completed(study: optuna.Study, number: int) -> Record:
    trials = study.get_trials(deepcopy=False)
    advice = f"choose one that `hpsearch leaderboard {study.user_attrs['task']}` lists"
    if not 0 <= number < len(trials):
        raise InputError(f"{study.study_name} has no trial {number}: {advice}.")
    record = studies.read(trials[number])
    if record is None or record.state != "completed":
        state = record.state if record else "never begun"
        raise InputError(
            f"Trial {trial_name(number)} of {study.study_name} has no model to export, its state"
            f" is '{state}': {advice}."
        )
    return record


def _training(
    task: Task, study: optuna.Study, number: int, record: Record, standing: Standing | None
) -> tuple[str, int, Division]:
    """Run, seed and rows of the training whose model is exported: a fresh one if there is one.

    The trial's own was chosen for its luck among other things.

    Raises:
        InputError: none of them is in MLflow.
    """
    for retraining in standing.retrainings if standing else ():
        if retraining.run_id and not retraining.cause:
            division: Division = retraining.draw if task.folds else "search"
            return retraining.run_id, retraining.seed, division
    run_id = studies.run_of(study, number, record)
    if not run_id:
        raise InputError(
            f"The trial {trial_name(number)} is not in MLflow yet: run"
            f" `hpsearch search {task.name}` again, which logs what is missing."
        )
    return run_id, record.seed, "search"


def _tags(tracker: Tracker, run_id: str) -> Mapping[str, str]:
    """The tags of a run, over those of its study's."""
    own = tracker.tags(run_id)
    parent = own.get("mlflow.parentRunId")
    return {**(tracker.tags(parent) if parent else {}), **own}


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder, which takes the place of `folder` if nothing goes wrong within."""
    with _parent(folder.parent), tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        new = Path(temporary, "new")
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(Path(temporary, "old"))
        new.rename(folder)


@contextlib.contextmanager
def _parent(folder: Path) -> Iterator[None]:
    """Makes the folder, and takes it away again if nothing came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()


def _texts(task: Task, study: optuna.Study, exported: Exported) -> dict[str, str]:
    """The files that no check changes, by name."""
    config = exported.config
    origin = f"{config.title()}, {trial_name(exported.number)} of the study {study.study_name}"
    script = training_script(task, config, origin)
    needed = [f"{package}=={version(package)}\n" for package in packages(script)]
    rows = results.leaderboard_rows(results.leaders(study, TOP), images=task.has_images)
    return {
        "config.yaml": config.to_yaml(),
        "config.json": config.model_dump_json(exclude_none=True, indent=2) + "\n",
        "configs.csv": results.as_csv(rows) + "\n",
        "train.py": script,
        "requirements.txt": "".join(needed),
    }


def _verdicts(
    task: Task, settings: Settings, study: optuna.Study, exported: Exported, result: Check | None
) -> dict[str, str]:
    """The files that say how good the model is, by name."""
    tested = _tested(settings.runs_dir, study, exported.number)
    card = model_card(task, study, exported, verdict=verdict(study), check=result, tested=tested)
    record, standing = exported.record, exported.standing
    scores = {
        "task": task.name,
        "study": study.study_name,
        "trial": exported.number,
        "winner": exported.number == chosen(study)[0],
        "run_id": exported.run_id,
        "seed": exported.seed,
        "division": exported.division,
        "data_digest": study.user_attrs["data_digest"],
        "n_parameters": record.n_parameters,
        "validation": best_scores(record),
        "finalist": _standing_fields(standing) if standing else None,
        "test": _test_scores(settings.runs_dir, study, exported.number),
        "verified": result.verified if result else None,
        "verification": result.fields() if result else None,
    }
    return {"MODEL_CARD.md": card, "scores.json": json.dumps(scores, indent=2) + "\n"}


def _standing_fields(standing: Standing) -> dict[str, object]:
    known = math.isfinite(standing.interval[1])
    return {
        "mean": standing.mean if standing.n_scored else None,
        "std": standing.std if standing.n_scored > 1 else None,
        "interval": standing.interval if known else None,
        "retrainings": [_retraining_fields(retraining) for retraining in standing.retrainings],
    }


def _retraining_fields(retraining: Retraining) -> dict[str, object]:
    fields = ("draw", "seed", "last", "epochs", "run_id", "cause")
    return {name: getattr(retraining, name) for name in fields}


def _save_preprocessor(
    task: Task, settings: Settings, study: optuna.Study, division: Division, folder: Path
) -> None:
    """What turns raw rows into the model's input, for tasks that have such a thing."""
    if not DATA[task.name].prepared:
        return
    data = task.load(settings.data_dir, division)
    digest = study.user_attrs["data_digest"]
    if data.digest != digest:
        raise InputError(
            f"The data of {task.name} have the digest {data.digest}, the study was made with"
            f" {digest}: point --data-dir to the same files."
        )
    import joblib  # scikit-learn's own way to save its objects

    joblib.dump(data.preprocessor, folder / "preprocessor.joblib")


def _tested(runs_dir: Path, study: optuna.Study, number: int) -> str:
    """What the ledger of the sealed test set says of a study, in sentences."""
    line = ledger_line(runs_dir, study, number)
    told = f"{line[0].upper()}{line[1:]}."
    if latest(runs_dir, study, number) is None:
        return told
    return (
        f"{told} It was measured on networks trained on training and validation rows together,"
        " not on `model.keras`."
    )


def _test_scores(runs_dir: Path, study: optuna.Study, number: int) -> dict[str, object] | None:
    opening = latest(runs_dir, study, number)
    if opening is None:
        return None
    means = {
        name: {"mean": score.mean, "interval": score.interval, "sampling": score.sampling}
        for name, score in opening.scores.items()
    }
    return {"opening": opening.number, "time": opening.time, "scores": means}
