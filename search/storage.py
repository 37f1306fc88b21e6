"""Where studies are stored: a database by Optuna, and a memory of it for the one who writes."""

import copy
import datetime as dt
import gc
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.orm
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from spaces.errors import InputError

_STORAGE_ERRORS = (
    sqlalchemy.exc.SQLAlchemyError,
    RuntimeError,  # the layout of another Optuna
    ValueError,  # a kind of storage that Optuna had once
    ImportError,  # no driver for this kind of database
    OSError,
)


def open_storage(
    runs_dir: Path, url: str | None, *, sole_writer: bool = False
) -> optuna.storages.BaseStorage:
    """The storage that `url` names, or the SQLite file in `runs_dir`.

    Args:
        sole_writer: Nobody else will write to the study that is opened: no trial is read twice.

    Raises:
        InputError: no answer, no such kind of database, or one of another Optuna's layout.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    place = url or str((runs_dir / "optuna.db").resolve())
    address = url or f"sqlite:///{place}"
    try:
        if url is None:
            runs_dir.mkdir(parents=True, exist_ok=True)
        local = address.startswith("sqlite")
        arguments = {"connect_args": {"timeout": 60}} if local else None
        storage = _Database(address, engine_kwargs=arguments)
        if local:
            _write_ahead(storage)
        return _SoleWriterStorage(storage) if sole_writer else _CachedStorage(storage)
    except _STORAGE_ERRORS as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
        shown = re.sub(r"(//[^:/@]*):[^@]*@", r"\1:***@", place)
        remedy = "check --storage" if url else "move it away to start anew"
        raise InputError(f"Cannot use the Optuna storage {shown}: {reason}; {remedy}.") from error


class _Database(optuna.storages.RDBStorage):
    """Optuna's database, which stores the parameters of a new trial without a question for each.

    Optuna would look up, for every parameter, whether the trial may be changed and whether its
    range is that of earlier trials. Both are so: only one process writes to a study, and the
    study's name changes with any range.
    """

    def _set_trial_param_without_commit(
        self,
        session: sqlalchemy.orm.Session,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,  # noqa: ARG002 - Optuna's signature
    ) -> None:
        session.add(
            models.TrialParamModel(
                trial_id=trial_id,
                param_name=param_name,
                param_value=param_value_internal,
                distribution_json=distribution_to_json(distribution),
            )
        )


class _SoleWriterStorage(_CachedStorage):
    """Optuna's cache, up to date for trials in work too, as nobody else writes to them.

    Optuna would read every unfinished trial anew at each question: with 100 workers that is all
    that a coordinator would do. What is written goes to the database first.
    """

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        if study_id in self._studies and self._studies[study_id].trials:
            return
        gc.disable()  # hundreds of thousands of objects, which it would walk again and again
        try:
            super()._read_trials_from_remote_storage(study_id)
        finally:
            gc.enable()

    def get_trial(self, trial_id: int) -> FrozenTrial:
        found = self._trial_id_to_study_id_and_number.get(trial_id)
        if found is None:
            return super().get_trial(trial_id)
        trial = self._studies[found[0]].trials[found[1]]
        # Optuna's trials write into what they have been given.
        return trial if trial.state.is_finished() else _copied(trial)

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        trial = self._changing(trial_id)
        value = distribution.to_external_repr(param_value_internal)
        trial.params = {**trial.params, param_name: value}
        trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)
        if changed:
            trial, now = self._changing(trial_id), dt.datetime.now()  # noqa: DTZ005 - Optuna's
            trial.state = state
            if values is not None:
                trial.values = list(values)
            if state == TrialState.RUNNING:
                trial.datetime_start = now
            if state.is_finished():
                trial.datetime_complete = now
        return changed

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        trial = self._changing(trial_id)
        trial.intermediate_values = {**trial.intermediate_values, step: intermediate_value}

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        super().set_trial_user_attr(trial_id, key, value)
        trial = self._changing(trial_id)
        trial.user_attrs = {**trial.user_attrs, key: value}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401
        super().set_trial_system_attr(trial_id, key, value)
        trial = self._changing(trial_id)
        trial.system_attrs = {**trial.system_attrs, key: value}

    def _changing(self, trial_id: int) -> FrozenTrial:
        """A new copy of the trial in the cache: who has read it keeps what was read."""
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        trials = self._studies[study_id].trials
        trials[number] = copy.copy(trials[number])
        return trials[number]


def _copied(trial: FrozenTrial) -> FrozenTrial:
    result = copy.copy(trial)
    result.params, result.distributions = dict(trial.params), dict(trial.distributions)
    result.user_attrs, result.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    result.intermediate_values = dict(trial.intermediate_values)
    return result


def _write_ahead(storage: optuna.storages.RDBStorage) -> None:
    """Readers (a dashboard, `leaderboard`) and the one writer do not wait for each other."""

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def _pragmas(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined] # sqlite3's, by SQLAlchemy
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    storage.engine.dispose()  # the constructor has already opened a connection without them
