"""What the report reads from MLflow, and the report that is put there."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from search.tracking.store import first_line, locate, open_client
from spaces.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class RunReader:
    """Files and tags of runs. MLflow may be gone from the start or fail at any time.

    Attributes:
        lacks: Why nothing can be read, a sentence; empty while it can.
    """

    def __init__(self, runs_dir: Path, tracking_uri: str | None) -> None:
        self.lacks = ""
        self._client: MlflowClient | None = None
        self._own_place: str | None = None
        try:
            store = locate(runs_dir, tracking_uri)
            self._own_place = store.artifacts if store.own else None
            file = store.database_file
            if file and not file.is_file():  # it would be made
                self.lacks = f"There is no MLflow record at {store.shown}."
                return
            self._client = open_client(store)
        except InputError as error:
            self.lacks = str(error)

    def read(self, run_id: str, name: str) -> bytes | None:
        """An artifact's content; None if there is no such file, run or MLflow."""
        if self._client is None or not run_id:
            return None
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
            try:
                if name not in {file.path for file in self._client.list_artifacts(run_id)}:
                    return None
                path = self._client.download_artifacts(run_id, name, folder)
                return Path(path).read_bytes()
            except (MlflowException, OSError) as error:
                self._failed(error)
                return None

    def study_run(self, task: str, study: str) -> tuple[str, dict[str, str]]:
        """Id and tags of a study's own run; empty if it was deleted or cannot be read."""
        if self._client is None:
            return "", {}
        from mlflow.exceptions import MlflowException

        try:
            experiment = self._client.get_experiment_by_name(task)
            if experiment is None:
                return "", {}
            query = f"tags.`stage` = 'study' and tags.`study` = '{study}'"
            found = self._client.search_runs([experiment.experiment_id], query, max_results=1)
        except (MlflowException, OSError) as error:
            self._failed(error)
            return "", {}
        return (found[0].info.run_id, dict(found[0].data.tags)) if found else ("", {})

    def attach(self, run_id: str, file: Path, name: str) -> bool:
        """Puts a copy of a file among a run's artifacts; whether it is there."""
        if self._client is None or not run_id:
            return False
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory(prefix="hpsearch-") as folder:
            copy = Path(folder, name)
            copy.write_bytes(file.read_bytes())
            try:
                place = self._client.get_run(run_id).info.artifact_uri
                # MLflow stores absolute paths: of a folder that was copied it writes to the old.
                if self._own_place and not place.startswith(self._own_place):
                    return False
                self._client.log_artifact(run_id, str(copy))
            except (MlflowException, OSError) as error:
                self._failed(error)
                return False
        return True

    def _failed(self, error: Exception) -> None:
        """One failure is enough, but for a run that was deleted: each try may wait for long."""
        if getattr(error, "error_code", "") not in NOT_THERE:
            self.lacks, self._client = f"MLflow: {first_line(error)}.", None
