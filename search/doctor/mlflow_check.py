"""The doctor's look at MLflow: runs that nobody closed, and trials that it misses."""

from collections.abc import Iterator
from dataclasses import replace

import optuna

from pipelines.tasks import Task
from search import study as studies
from search.doctor.marks import Finding, mended, problem
from search.finalists.standings import summary
from search.plan import data_here
from search.run import dataset_info
from search.settings import Settings
from search.study import Record
from search.texts import n_of
from search.tracking.repair import LoggedStudy, logged_study
from search.tracking.tracker import DatasetInfo, Tracker, TrackingError
from search.tracking.trial_log import MlflowTrialLog
from spaces.errors import InputError


class MlflowDoctor:
    """Holds the runs of one study against its trials, which are the record."""

    def __init__(
        self, study: optuna.Study, task: Task, settings: Settings, tracker: Tracker
    ) -> None:
        self._study, self._task = study, task
        self._settings, self._tracker = settings, tracker

    def findings(self, *, mend: bool) -> Iterator[Finding]:
        try:
            yield from self._findings(mend=mend)
        except TrackingError as error:
            yield problem(self._study.study_name, str(error))

    def _findings(self, *, mend: bool) -> Iterator[Finding]:
        name = self._study.study_name
        logged = logged_study(self._tracker, self._task.name, name)
        behind = self._behind(logged)
        left_open = logged is not None and (logged.open or logged.n_open_finalists > 0)
        if not behind and not left_open:
            return
        dataset = (logged.dataset if logged else None) or self._dataset()
        if dataset is None:
            yield problem(
                name,
                f"MLflow lacks {n_of(len(behind), 'trial')}, and the study's data are not here:"
                " name their folder with --data-dir",
            )
            return
        if mend:
            self._write(logged, behind, dataset)
        if left_open:
            yield mended(name, "its runs in MLflow were left RUNNING", mend=mend)
        if behind:
            trials = n_of(len(behind), "trial")
            yield mended(name, f"MLflow lacked the end of {trials}", mend=mend)

    def _behind(self, logged: LoggedStudy | None) -> list[tuple[int, Record]]:
        """Trials that MLflow has otherwise than the study; those once taken over aside.

        A trial in work that no search is at is an interrupted one.
        """
        runs = logged.trials if logged else {}
        found = []
        for stored in self._study.get_trials(deepcopy=False):
            record = studies.read(stored)
            if record is None or studies.ORIGIN in stored.user_attrs:
                continue
            run_id = studies.run_of(self._study, stored.number, record)
            state = record.state if record.ended else "interrupted"
            record = replace(record, run_id=run_id, state=state)
            run = runs.get(run_id)
            if run is None:
                behind = record.ended or bool(run_id)
            else:
                behind = not run.deleted and not (run.closed and run.state == state)
            if behind:
                found.append((stored.number, record))
        return found

    def _write(
        self, logged: LoggedStudy | None, behind: list[tuple[int, Record]], dataset: DatasetInfo
    ) -> None:
        parent_id = logged.parent_id if logged else self._new_parent(dataset)
        errors: list[str] = []
        tags = {"data_digest": str(self._study.user_attrs.get("data_digest", dataset.digest))}
        # It closes the finalists' runs that are open, and finds those of trials.
        log = MlflowTrialLog(self._tracker, parent_id, dataset, tags, errors.append)
        for number, record in behind:
            run_id = log.begin(number, record)
            log.end(replace(record, run_id=run_id), {})
            if run_id and run_id != record.run_id:
                self._remember(number, record, run_id)
        if logged is None:
            log.describe(*summary(self._study))
        if logged is None or logged.open:
            self._tracker.close_study(parent_id, "interrupted", {})
        if errors:
            raise TrackingError(errors[0])

    def _remember(self, number: int, record: Record, run_id: str) -> None:
        if record.ended:
            studies.write_run(self._study, number, run_id)
        else:
            stored = self._study.get_trials(deepcopy=False)[number]
            trial = optuna.Trial(self._study, stored._trial_id)
            studies.write(self._study, trial, replace(record, run_id=run_id))

    def _new_parent(self, dataset: DatasetInfo) -> str:
        return self._tracker.open_study(
            self._task.name,
            self._study.study_name,
            parameters={},
            tags={"data_digest": dataset.digest},
            dataset=dataset,
            goal_metric=self._task.goal.metric,
            goal_mode=self._task.goal.mode,
            command="hpsearch doctor",
        )

    def _dataset(self) -> DatasetInfo | None:
        """From the data themselves, if they are here and the study's."""
        try:
            data = data_here(self._task, self._settings)
        except InputError:
            return None
        if data is None or data.digest != self._study.user_attrs.get("data_digest"):
            return None
        return dataset_info(self._task, data)
