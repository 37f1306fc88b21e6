"""`hpsearch export`: a trial's config, model, script and card as a folder for a colleague."""

import contextlib
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import optuna
from rich.console import Console

from pipelines.splits import Division
from pipelines.tasks import Task
from search import results
from search import study as studies
from search.checkpoints import write_whole
from search.export.check import check
from search.export.claims import claims, earlier_check, read_scores
from search.export.exported import Exported
from search.export.script import packages, training_script
from search.export.script_data import DATA
from search.finalists.verdict import Standing, chosen
from search.one_trial import standing_of
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import Tracker
from search.tracking.trial_log import trial_name
from spaces.errors import InputError, RunFailedError

TOP = 10
"""Configs in configs.csv."""
FILES = (
    *("scores.json", "MODEL_CARD.md", "model.keras", "preprocessor.joblib"),
    *("train.py", "requirements.txt", "config.yaml", "config.json", "configs.csv"),
)
"""All that an export can consist of. What else lies in its folder is the user's."""
_TOLD = ("command", "precision", "git_commit")
_VERSIONS = ("keras", "tensorflow", "numpy", "scikit-learn", "optuna", "mlflow")


class UnverifiedError(RunFailedError):
    """The exported script or model did not score as it should."""


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

    Nothing is written before all of it is there, and of an earlier export `FILES` alone are
    replaced. The check comes after, and writes its result into the folder. Without it, what an
    earlier check said of the same model and script stays.

    Raises:
        InputError: the trial has not completed, its model is not in MLflow or MLflow's files are
            elsewhere, or the folder cannot be written to or holds what is no export.
        UnverifiedError: the check failed; the folder is there and says so.
    """
    number, record, standing = _selected(study, trial)
    run_id, seed, division = _training(task, study, number, record, standing)
    tracker = Tracker.open(settings.runs_dir, settings.tracking_uri)
    tracker.check_experiment(task.name)
    origin = _origin(tracker, run_id)
    exported = Exported(number, record, standing, run_id, seed, division, origin)
    if exported.retrainings_lost:
        console.print(
            f"Careful: MLflow has none of the retrainings of {trial_name(number)}, so model.keras"
            f" is the search's own training, and not one of those whose mean is its score.",
            style="yellow",
            soft_wrap=True,
        )
    folder = exports_dir / task.name
    with _filling(folder) as new:
        tracker.download(run_id, "model.keras", new)
        _save_preprocessor(task, settings, study, division, new)
        for name, text in _texts(task, study, exported).items():
            new.joinpath(name).write_text(text)
        earlier = earlier_check(folder, new, study, exported)
        for name, text in claims(task, settings, study, exported, earlier).items():
            new.joinpath(name).write_text(text)
    if verify:
        result = check(folder, task, settings, study, exported, console)
        for name, text in claims(task, settings, study, exported, result).items():
            write_whole(folder / name, text.encode())
        if result.verified is False:
            raise UnverifiedError(f"UNVERIFIED: {result.note}; {folder} is marked so.")
        word = "verified" if result.verified else "not verified"
        console.print(f"{word}: {result.note}", soft_wrap=True)
    return folder


def _selected(study: optuna.Study, number: int | None) -> tuple[int, Record, Standing | None]:
    if number is None:
        return chosen(study)
    return number, _completed(study, number), standing_of(study, number)


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


def _origin(tracker: Tracker, run_id: str) -> dict[str, str]:
    """Of the tags of a run, over those of its study's, what the card says; and the versions."""
    own = tracker.tags(run_id)
    parent = own.get("mlflow.parentRunId")
    tags = {**(tracker.tags(parent) if parent else {}), **own}
    versions = ", ".join(f"{name} {version(name)}" for name in _VERSIONS)
    told = {name: text for name, text in tags.items() if name in _TOLD}
    return {**told, "exported_with": f"Python {python_version()}, {versions}"}


@contextlib.contextmanager
def _filling(folder: Path) -> Iterator[Path]:
    """An empty folder, whose files go to `folder` if nothing goes wrong within.

    Raises:
        InputError: `folder` cannot be written to, or holds what is no export.
    """
    try:
        _refuse_foreign(folder)
        with _parent(folder.parent), tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            new = Path(temporary)
            yield new
            folder.mkdir(exist_ok=True)
            # Scores first: cut off here, the folder is known as an export, and as not verified.
            for name in FILES:
                if (new / name).exists():
                    (new / name).replace(folder / name)
    except OSError as error:
        raise InputError(
            f"The export cannot be written to {folder} ({error.strerror}): name another folder"
            f" with --exports-dir."
        ) from error


def _refuse_foreign(folder: Path) -> None:
    """What is no export of ours may be what a user needs, such as the data of a task."""
    if not folder.exists() or read_scores(folder) is not None:
        return
    found = next((path.name for path in sorted(folder.iterdir())), None)
    if found is not None:
        raise InputError(
            f"{folder} holds files that are no export, such as {found}: name another folder with"
            f" --exports-dir, or move them away."
        )


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
