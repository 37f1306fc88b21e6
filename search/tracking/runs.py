"""Single runs in MLflow: made, gone on with, written to. They know nothing of studies."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.tracking import entities
from search.tracking.entities import DatasetInfo

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run, RunTag


class Runs:
    """The runs of one MLflow. MLflow's own errors come through."""

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client
        self._last_epochs: dict[str, float] = {}

    def existing(self, run_id: str) -> "Run | None":
        """The run; None if it was deleted or never there."""
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return run if run.info.lifecycle_stage == "active" else None

    def found(self, experiment_id: str, query: str) -> "list[Run]":
        """All runs that the query finds, newest first."""
        runs: list[Run] = []
        token: str | None = None
        while True:
            page = self._client.search_runs([experiment_id], query, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def create(
        self,
        experiment_id: str,
        name: str,
        tags: Mapping[str, str],
        parameters: Mapping[str, object],
        dataset: DatasetInfo,
    ) -> str:
        source = {"mlflow.source.name": "hpsearch", "mlflow.user": entities.user()}
        every = {**source, "state": "running", **tags}
        run = self._client.create_run(
            experiment_id, run_name=name, tags={tag.key: tag.value for tag in entities.tags(every)}
        )
        run_id: str = run.info.run_id
        self._client.log_batch(run_id, params=entities.params(parameters))
        self._client.log_inputs(run_id, entities.dataset_inputs(dataset))
        return run_id

    def reopen(self, run: "Run", tags: Mapping[str, str], parameters: Mapping[str, object]) -> str:
        """Sets a run running again. MLflow forbids to change a parameter: that goes to a tag."""
        run_id: str = run.info.run_id
        known = run.data.params
        new = {name: value for name, value in parameters.items() if name not in known}
        changed = [
            f"{name}={value}"
            for name, value in parameters.items()
            if name in known and known[name] != str(value)
        ]
        every = {**tags, "state": "running"}
        if changed:
            every["resumed_with"] = ", ".join(changed)
        self._client.update_run(run_id, "RUNNING")
        self._client.log_batch(run_id, params=entities.params(new), tags=entities.tags(every))
        curves = [name for name in run.data.metrics if not name.startswith("best_")]
        points = [m for name in curves for m in self._client.get_metric_history(run_id, name)]
        self._last_epochs[run_id] = max((point.step for point in points), default=-1)
        return run_id

    def log(
        self,
        run_id: str,
        rows: Sequence[Mapping[str, float]],
        metrics: "Sequence[Metric]" = (),
        tags: "Sequence[RunTag]" = (),
    ) -> None:
        """Logs rows of metrics, each with its `epoch`, none twice, and whatever else in one go."""
        last = self._last_epochs.get(run_id, -1.0)
        fresh = [row for row in rows if row["epoch"] > last]
        curves = [
            metric
            for row in fresh
            for metric in entities.metrics(
                {k: v for k, v in row.items() if k != "epoch"}, row["epoch"]
            )
        ]
        self._client.log_batch(run_id, metrics=[*curves, *metrics], tags=tags)
        self._last_epochs[run_id] = max((row["epoch"] for row in fresh), default=last)

    def forget(self, run_id: str) -> None:
        """No more epochs will come."""
        self._last_epochs.pop(run_id, None)

    def send(self, run_id: str, artifacts: Mapping[str, bytes]) -> None:
        """Stores files by their relative paths."""
        if not artifacts:
            return
        with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
            for name, content in artifacts.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._client.log_artifacts(run_id, folder)
