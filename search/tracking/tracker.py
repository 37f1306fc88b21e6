"""The MLflow view of studies and trials: nothing else in the project knows MLflow."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from search.study import State
from search.tracking import entities
from search.tracking.entities import DatasetInfo
from search.tracking.experiment import NOTE, check_experiment, furnish, open_experiment
from search.tracking.notes import study_note
from search.tracking.runs import Runs
from search.tracking.store import Store, first_line, locate, open_client, ui_command
from search.tracking.views import Mode
from spaces.domains import Value
from spaces.errors import InputError, RunFailedError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["NOTE", "DatasetInfo", "Tracker", "TrackingError", "ui_command"]

STATUS: dict[State, str] = {
    "completed": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
    "interrupted": "KILLED",
    "running": "RUNNING",
}
"""MLflow has no status for pruned or interrupted; the tag `state` tells them apart."""

Stage = Literal["trial", "finalist"]


class TrackingError(RunFailedError):
    """MLflow failed during a search, which can go on without it."""


@dataclass(frozen=True)
class _Study:
    name: str
    experiment_id: str


@contextlib.contextmanager
def _tracking_errors() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    # OSError: a full disk under the artifacts, and what `requests` raises.
    except (MlflowException, OSError) as error:
        raise TrackingError(f"MLflow: {first_line(error)}.") from error


class Tracker:
    """Writes studies and trials to MLflow; run ids are plain strings. For one thread.

    Every method may raise TrackingError, after which the tracker can still be used.
    """

    def __init__(self, client: "MlflowClient", store: Store) -> None:
        self._client = client
        self._store = store
        self._runs = Runs(client)
        self._studies: dict[str, _Study] = {}

    @classmethod
    def open(cls, runs_dir: Path, tracking_uri: str | None) -> "Tracker":
        """Opens `tracking_uri`, else MLFLOW_TRACKING_URI, else `runs_dir/mlflow.db`.

        Raises:
            InputError: the place cannot be read, does not answer or is of another version.
        """
        store = locate(runs_dir, tracking_uri)
        return cls(open_client(store), store)

    @_tracking_errors()
    def check_experiment(self, task: str) -> None:
        """Before anything of a task is read that might lie elsewhere.

        Raises:
            InputError: the folder of the runs was moved or copied since.
        """
        check_experiment(self._client, self._store, task)

    @_tracking_errors()
    def open_study(
        self,
        task: str,
        study: str,
        *,
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
        dataset: DatasetInfo,
        goal_metric: str,
        command: str,
        seed: int | None = None,
        goal_mode: Mode = "max",
    ) -> str:
        """The parent run of a study, set running again if it is there already.

        A resumed study keeps the parameters that it began with; those that changed since stand
        in the tag `resumed_with`.

        Args:
            goal_metric: Its name in the rows of `log_epochs`.

        Raises:
            InputError: the folder of the runs was moved since.
        """
        experiment_id = open_experiment(self._client, self._store, task)
        furnish(self._client, experiment_id, task, goal_metric, goal_mode)
        every = {
            "stage": "study",
            "study": study,
            "command": command,
            **tags,
        }
        found = self._client.search_runs(
            [experiment_id],
            f"tags.`stage` = 'study' and tags.`study` = '{study}'",
            max_results=1,
        )
        if found:
            run_id = self._runs.reopen(found[0], every, parameters)
        else:
            # Not on a resume: a user may have written more into it since.
            every[NOTE] = study_note(experiment_id, task, command, goal_metric, dataset, seed)
            run_id = self._runs.create(experiment_id, study, every, parameters, dataset)
        self._studies[run_id] = _Study(study, experiment_id)
        return run_id

    @_tracking_errors()
    def open_trial(
        self,
        parent_id: str,
        *,
        name: str,
        number: int,
        parameters: Mapping[str, Value],
        tags: Mapping[str, str],
        dataset: DatasetInfo,
        run_id: str | None = None,
        stage: Stage = "trial",
    ) -> str:
        """A child run; with `run_id` that run goes on, or a new one if it was deleted."""
        study = self._studies[parent_id]
        every = {
            "mlflow.parentRunId": parent_id,
            "stage": stage,
            "study": study.name,
            "trial": str(number),
            **tags,
        }
        run = self._runs.existing(run_id) if run_id else None
        if run is None:
            return self._runs.create(study.experiment_id, name, every, parameters, dataset)
        return self._runs.reopen(run, every, parameters)

    @_tracking_errors()
    def open_single(
        self,
        task: str,
        *,
        name: str,
        parameters: Mapping[str, Value],
        tags: Mapping[str, str],
        dataset: DatasetInfo,
    ) -> str:
        """A run of its own, for one configuration that is trained outside of any study."""
        experiment_id = open_experiment(self._client, self._store, task)
        every = {"stage": "train", **tags}
        return self._runs.create(experiment_id, name, every, parameters, dataset)

    @_tracking_errors()
    def log_epochs(self, run_id: str, rows: Sequence[Mapping[str, float]]) -> None:
        """Logs rows of metrics, each with its `epoch`, in one go.

        An epoch that the run has already is skipped: a segment that is trained again after a
        crash repeats it.
        """
        self._runs.log(run_id, rows)

    @_tracking_errors()
    def close_trial(
        self,
        run_id: str,
        *,
        state: State,
        rows: Sequence[Mapping[str, float]],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Mapping[str, bytes],
    ) -> None:
        """Ends a run with its final `metrics`, also where an artifact cannot be sent.

        Args:
            rows: All of the run's, as for `log_epochs`.
            artifacts: Relative path -> content.
        """
        said = entities.tags({**tags, "state": state})
        try:
            self._runs.log(run_id, rows, entities.metrics(metrics, 0), said)
            self._runs.send(run_id, artifacts)
        finally:
            self._runs.forget(run_id)
            self._client.set_terminated(run_id, STATUS[state])

    @_tracking_errors()
    def log_metrics(self, run_id: str, by_step: Mapping[int, Mapping[str, float]]) -> None:
        points = [m for step, values in by_step.items() for m in entities.metrics(values, step)]
        self._client.log_batch(run_id, metrics=points)

    @_tracking_errors()
    def close_study(self, parent_id: str, state: State, tags: Mapping[str, str]) -> None:
        try:
            self._client.log_batch(parent_id, tags=entities.tags({**tags, "state": state}))
        finally:
            self._client.set_terminated(parent_id, STATUS[state])

    @_tracking_errors()
    def describe_study(
        self,
        parent_id: str,
        *,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Mapping[str, bytes],
    ) -> None:
        """Writes on a study's run what came of it; what was written before is replaced."""
        self._client.log_batch(
            parent_id, metrics=entities.metrics(metrics, 0), tags=entities.tags(tags)
        )
        self._runs.send(parent_id, artifacts)

    @_tracking_errors()
    def unfinished_trials(self, parent_id: str) -> dict[int, str]:
        """Trial number -> run id of the trials that no one has closed, as after a crash."""
        newest_first = self._left_open(parent_id, "trial")
        return {int(run.data.tags["trial"]): run.info.run_id for run in reversed(newest_first)}

    @_tracking_errors()
    def close_finalists(self, parent_id: str) -> None:
        """Closes the runs of finalists that were being written at a crash."""
        for run in self._left_open(parent_id, "finalist"):
            state: State = "interrupted"
            self._client.set_tag(run.info.run_id, "state", state)
            self._client.set_terminated(run.info.run_id, STATUS[state])

    @_tracking_errors()
    def tags(self, run_id: str) -> dict[str, str]:
        """The tags of a run; none if it was deleted."""
        run = self._runs.existing(run_id)
        return dict(run.data.tags) if run else {}

    @_tracking_errors()
    def download(self, run_id: str, artifact_path: str, destination: Path) -> Path:
        """Copies an artifact under the folder `destination` and returns where it lies there.

        Raises:
            InputError: the run has no such artifact.
        """
        folder = artifact_path.rpartition("/")[0] or None
        run = self._runs.existing(run_id)
        if run is None or artifact_path not in {
            file.path for file in self._client.list_artifacts(run_id, folder)
        }:
            raise InputError(
                f"The run {run_id} in MLflow has no artifact '{artifact_path}': it was deleted, "
                f"or the trial ended before it was written; choose another trial."
            )
        destination.mkdir(parents=True, exist_ok=True)
        return Path(self._client.download_artifacts(run_id, artifact_path, str(destination)))

    def _left_open(self, parent_id: str, stage: Stage) -> "list[Run]":
        """The children of a study that no one has closed, newest first."""
        query = (
            f"tags.mlflow.parentRunId = '{parent_id}' and tags.stage = '{stage}'"
            " and attributes.status = 'RUNNING'"
        )
        return self._runs.found(self._studies[parent_id].experiment_id, query)
