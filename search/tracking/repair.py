"""What lies in MLflow of a study that no search is at work on, and what of it to mend."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.tracking.tracker import DatasetInfo, Tracker, _Study, _tracking_errors

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class LoggedRun:
    """A run of a trial.

    Attributes:
        deleted: By a user, whose wish it is.
        state: The tag; what the trial was when the run was closed last.
        closed: It has an end, with the final scores.
    """

    run_id: str
    deleted: bool
    state: str
    closed: bool


@dataclass(frozen=True)
class LoggedStudy:
    """A study's own run and those of its trials.

    Attributes:
        open: Nobody has closed it.
        dataset: As its runs show it; None if it cannot be read.
        trials: By run id.
    """

    parent_id: str
    open: bool
    dataset: DatasetInfo | None
    trials: dict[str, LoggedRun]
    n_open_finalists: int


@_tracking_errors()
def logged_study(tracker: Tracker, task: str, study: str) -> LoggedStudy | None:
    """What MLflow has of a study, to which the tracker can write then; None if nothing."""
    experiment = tracker._client.get_experiment_by_name(task)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        return None
    query = f"tags.`study` = '{study}'"
    found = _all_runs(tracker, experiment.experiment_id, query)
    parents = [run for run in found if run.data.tags.get("stage") == "study" and not _deleted(run)]
    if not parents:
        return None
    parent = parents[0]
    parent_id: str = parent.info.run_id
    tracker._studies[parent_id] = _Study(study, experiment.experiment_id)
    own = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent_id]
    trials = [run for run in own if run.data.tags.get("stage") == "trial"]
    finalists = [run for run in own if run.data.tags.get("stage") == "finalist"]
    return LoggedStudy(
        parent_id,
        parent.info.status == "RUNNING",
        _dataset(parent, task),
        {run.info.run_id: _logged(run) for run in trials},
        sum(run.info.status == "RUNNING" for run in finalists),
    )


def _all_runs(tracker: Tracker, experiment_id: str, query: str) -> "list[Run]":
    """Newest first, the deleted ones among them."""
    from mlflow.entities import ViewType

    runs: list[Run] = []
    token: str | None = None
    while True:
        page = tracker._client.search_runs(
            [experiment_id], query, run_view_type=ViewType.ALL, page_token=token
        )
        runs += page
        token = page.token
        if not token:
            return runs


def _logged(run: "Run") -> LoggedRun:
    tags = run.data.tags
    closed = run.info.status != "RUNNING" and "stop_reason" in tags
    return LoggedRun(run.info.run_id, _deleted(run), tags.get("state", ""), closed)


def _deleted(run: "Run") -> bool:
    return bool(run.info.lifecycle_stage == "deleted")


def _dataset(run: "Run", task: str) -> DatasetInfo | None:
    """What `entities.dataset_inputs` has written."""
    every = run.inputs.dataset_inputs if run.inputs else []
    inputs = {given.dataset.name: given.dataset for given in every}
    train, validation = inputs.get(f"{task}-train"), inputs.get(f"{task}-validation")
    if train is None or validation is None:
        return None
    if train.profile is None or validation.profile is None:
        return None
    of_train, of_validation = json.loads(train.profile), json.loads(validation.profile)
    return DatasetInfo(
        name=task,
        digest=train.digest,
        n_train=of_train["num_rows"],
        n_validation=of_validation["num_rows"],
        shape=tuple(of_train["shape"]),
        n_classes=of_train["classes"],
    )
