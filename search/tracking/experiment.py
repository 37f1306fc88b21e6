"""The experiment of a task in MLflow: where it lies, and what a person who opens it sees first."""

from typing import TYPE_CHECKING

from search.tracking.notes import experiment_note
from search.tracking.store import Store
from search.tracking.views import Mode, view_tags
from spaces.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

PRIMARY_METRIC = "mlflow.experiment.primaryMetric.name"
HIGHER_IS_BETTER = "mlflow.experiment.primaryMetric.greaterIsBetter"
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Else the UI asks whether this is about training or about language models."""
NOTE = "mlflow.note.content"


def open_experiment(client: "MlflowClient", store: Store, task: str) -> str:
    """The id of a task's experiment; one that was deleted comes back, as its study goes on too.

    Raises:
        InputError: the folder of the runs was moved since.
    """
    found = client.get_experiment_by_name(task)
    if found is None:
        made: str = client.create_experiment(task, store.artifacts, tags=KIND)
        return made
    _check_place(store, found)
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    experiment_id: str = found.experiment_id
    return experiment_id


def furnish(
    client: "MlflowClient", experiment_id: str, task: str, goal_metric: str, mode: Mode
) -> None:
    """Gives an experiment its goal, its views and, if nobody has written one, its description."""
    experiment = client.get_experiment(experiment_id)
    wanted = {
        PRIMARY_METRIC: f"best_{goal_metric}",
        HIGHER_IS_BETTER: str(mode == "max"),
        **view_tags(goal_metric, mode),
    }
    unless_there = {**KIND, NOTE: experiment_note(experiment_id, task, goal_metric, mode)}
    wanted |= {name: text for name, text in unless_there.items() if name not in experiment.tags}
    _set_tags(client, experiment, wanted)


def _set_tags(client: "MlflowClient", experiment: "Experiment", tags: dict[str, str]) -> None:
    for name, text in tags.items():
        if experiment.tags.get(name) != text:
            client.set_experiment_tag(experiment.experiment_id, name, text)


def check_experiment(client: "MlflowClient", store: Store, task: str) -> None:
    """Whether the files of a task's experiment lie beside its database.

    Raises:
        InputError: the folder of the runs was moved or copied since.
    """
    found = client.get_experiment_by_name(task)
    if found is not None:
        _check_place(store, found)


def _check_place(store: Store, experiment: "Experiment") -> None:
    """MLflow stores absolute paths: in a folder that was moved it would write to the old."""
    expected, location = store.artifacts or "", experiment.artifact_location
    if store.own and not location.startswith(expected):
        raise InputError(
            f"The MLflow experiment '{experiment.name}' keeps its files in {location}, but its"
            f" database now lies beside {expected}: move the folder back, or name a new one."
        )
