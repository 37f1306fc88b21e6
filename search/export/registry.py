"""The registry: exported models as versions in MLflow, one of which is the champion of its task.

Beside this and `registry_model` only `search.tracking` knows MLflow.
"""

import contextlib
import json
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from rich.console import Console

from pipelines.tasks import Task
from search.export.promotion import Contender, promotion
from search.export.registry_model import log_model
from search.settings import Settings
from search.tracking.experiment import check_experiment
from search.tracking.store import Store, first_line, locate, open_client
from spaces.errors import InputError, RunFailedError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"

Answer = dict[str, Any]
"""As `pipelines.serving` has it."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of the registered model of a task.

    Attributes:
        reason: Why it is the champion, or not.
    """

    name: str
    number: int
    champion: bool
    reason: str

    @property
    def uri(self) -> str:
        """By which MLflow finds it for as long as it has the alias."""
        return f"models:/{self.name}@{CHAMPION if self.champion else CHALLENGER}"


@dataclass(frozen=True)
class LoadedModel:
    """A registered model that is ready to answer.

    Attributes:
        answers: Takes raw pixels, or a data frame of raw rows; raises InputError.
    """

    task: str
    verified: bool
    answers: Callable[[Any], list[Answer]]


def registered_name(task: str) -> str:
    return f"hpsearch-{task}"


def register(
    task: Task,
    settings: Settings,
    study: optuna.Study,
    folder: Path,
    console: Console,
    *,
    verified: bool,
) -> RegisteredVersion:
    """Registers an exported model as a version of `hpsearch-<task>`, and says what it became.

    Args:
        folder: An export of this study.
        verified: Whether its script was seen to score as the search did.

    Raises:
        InputError: the folder is no such export, the data are not those of the study, or MLflow's
            files are elsewhere.
        RunFailedError: MLflow failed; no alias was moved.
    """
    scores = _read_scores(folder, study)
    data = task.load(settings.data_dir)
    if data.digest != scores["data_digest"]:
        raise InputError(
            f"The data of {task.name} have the digest {data.digest}, the export was made with"
            f" {scores['data_digest']}: point --data-dir to the same files."
        )
    contender = _contender(task, scores, verified=verified)
    name = registered_name(task.name)
    store = locate(settings.runs_dir, settings.tracking_uri)
    client = open_client(store)
    with _registry_errors():
        check_experiment(client, store, task.name)
        run = client.get_run(scores["run_id"])
        model = log_model(client, name, run, folder, task, data, contender)
        champion = _champion(client, task)
        number = _add_version(client, name, model, task, scores, contender)
        promoted, reason = _promotion(task, contender, champion, scores)
        client.set_registered_model_alias(name, CHALLENGER, number)
        if promoted:
            client.set_registered_model_alias(name, CHAMPION, number)
    done = RegisteredVersion(name, int(number), promoted, reason)
    console.print(_said(done, store), soft_wrap=True)
    return done


def load_registered(settings: Settings, uri: str) -> LoadedModel:
    """A model that was registered here, by its `models:/...`.

    Raises:
        InputError: there is none, it cannot be loaded, it was registered by somebody else, or
            MLflow's files are elsewhere.
    """
    store = locate(settings.runs_dir, settings.tracking_uri)
    if store.database_file and not store.database_file.is_file():
        raise InputError(f"There is no MLflow record at {store.database_file}: name its folder.")
    client = open_client(store)
    import mlflow
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
        try:
            path = mlflow.artifacts.download_artifacts(
                artifact_uri=_location(client, store, uri), dst_path=folder, tracking_uri=store.uri
            )
            known = mlflow.models.Model.load(path).metadata or {}
            if "task" not in known:
                raise InputError(f"{uri} was not registered by this project: name another.")
            model = mlflow.pyfunc.load_model(path)
        except (MlflowException, OSError) as error:
            raise InputError(
                f"{uri} cannot be loaded from {store.shown} ({first_line(error)}): name one that"
                f" `hpsearch export` registered."
            ) from error

    columns = model.metadata.get_input_schema().input_names()

    def answers(sent: Any) -> list[Answer]:  # noqa: ANN401 - pixels or a data frame
        if hasattr(sent, "columns"):  # MLflow would warn of the others
            sent = sent.loc[:, sent.columns.isin(columns)]
        try:
            found: list[Answer] = model.predict(sent).to_dict(orient="records")
        except MlflowException as error:
            raise InputError(str(error.message)) from error
        return found

    return LoadedModel(known["task"], known["verified"], answers)


def _read_scores(folder: Path, study: optuna.Study) -> dict[str, Any]:
    try:
        scores: dict[str, Any] = json.loads((folder / "scores.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} holds no export: run `hpsearch export` first.") from error
    if scores["study"] != study.study_name:
        raise InputError(
            f"{folder} is an export of the study {scores['study']} and not of"
            f" {study.study_name}: export that first."
        )
    return scores


def _contender(task: Task, scores: Mapping[str, Any], *, verified: bool) -> Contender:
    metric, finalist = task.goal.metric, scores["finalist"]
    if finalist and finalist["mean"] is not None:
        kind = f"mean of retrainings on {'folds' if task.folds else 'fresh seeds'}"
        score = float(finalist["mean"])
    else:
        kind, score = "score of one trial", float(scores["validation"][f"best_{metric}"])
    return Contender(task.name, scores["data_digest"], metric, kind, score, verified)


def _champion(client: "MlflowClient", task: Task) -> "ModelVersion | None":
    """The present one; the registered model is made if it is not there."""
    from mlflow.exceptions import MlflowException

    name = registered_name(task.name)
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name, description=f"{task.title}, found by a search.")
        return None
    return client.get_model_version(name, aliases[CHAMPION]) if CHAMPION in aliases else None


def _add_version(
    client: "MlflowClient",
    name: str,
    model: "LoggedModel",
    task: Task,
    scores: Mapping[str, Any],
    contender: Contender,
) -> str:
    """The number of a new version."""
    made = client.create_model_version(
        name,
        model.artifact_location,  # MLflow would look a models:/ID up at its global address
        run_id=model.source_run_id,
        model_id=model.model_id,
        tags={**contender.tags(), "study": scores["study"], "trial": str(scores["trial"])},
        description=_description(task, scores, contender),
    )
    versions = json.dumps([{"name": name, "version": made.version}])
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": versions})
    return str(made.version)


def _description(task: Task, scores: Mapping[str, Any], contender: Contender) -> str:
    side = task.space.image_side
    takes = f"images of {side} x {side} raw pixels, 0-255" if side else "raw rows of the table"
    return (
        f"Takes {takes}. Trial {scores['trial']} of the study {scores['study']}:"
        f" {contender.metric} {contender.score:.4f}, {contender.kind}; its export is"
        f" {'' if contender.verified else 'NOT '}verified."
    )


def _promotion(
    task: Task,
    contender: Contender,
    champion: "ModelVersion | None",
    scores: Mapping[str, Any],
) -> tuple[bool, str]:
    known = Contender.read(champion.tags) if champion else None
    if champion and known is None:
        return False, (
            f"the champion, version {champion.version}, was not registered by this project, so"
            f" choose between them in the MLflow UI"
        )
    check = scores["verification"]
    note = check["note"] if check else None
    return promotion(contender, known, task.goal, winner=scores["winner"], note=note)


def _said(done: RegisteredVersion, store: Store) -> str:
    alias = f"@{CHAMPION}" if done.champion else f"@{CHALLENGER} and not @{CHAMPION}"
    # The shown address has no password in it.
    place = shlex.quote(f"MLFLOW_TRACKING_URI={store.shown}")
    return (
        f"Registered as version {done.number} of {done.name}, {alias}: {done.reason}.\n"
        f"Serve it: env {place} mlflow models serve -m {done.uri} --env-manager local --port 5001"
    )


def _location(client: "MlflowClient", store: Store, uri: str) -> str:
    """Where the files of a `models:/...` lie; MLflow itself asks its global address alone.

    Raises:
        InputError: it is no such address, or MLflow's files are elsewhere.
    """
    parsed = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))", uri)
    if not parsed:
        raise InputError(
            f"'{uri}' is no address of a registered model: give models:/NAME@{CHAMPION},"
            f" models:/NAME@{CHALLENGER} or models:/NAME/VERSION."
        )
    name, alias, number = parsed.groups()
    number = number or client.get_model_version_by_alias(name, alias).version
    contender = Contender.read(client.get_model_version(name, number).tags)
    if contender is not None:
        check_experiment(client, store, contender.task)
    location: str = client.get_model_version_download_uri(name, number)
    return location


@contextlib.contextmanager
def _registry_errors() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise RunFailedError(
            f"The model could not be registered ({first_line(error)}); the export itself is"
            f" complete, and the same command tries again."
        ) from error
