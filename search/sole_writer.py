"""Optuna's database for the process that alone writes to a study: fast, and in memory too."""

import copy
import datetime as dt
import gc
import json
from collections import defaultdict
from collections.abc import Container, Sequence
from functools import cache
from typing import Any

import optuna
import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import insert, select, update

_TABLES = models.BaseModel.metadata.tables
_TRIALS = _TABLES["trials"]
_PARAMS = _TABLES["trial_params"]
_VALUES = _TABLES["trial_values"]
_SCORES = _TABLES["trial_intermediate_values"]
_USER_ATTRS = _TABLES["trial_user_attributes"]
_SYSTEM_ATTRS = _TABLES["trial_system_attributes"]


class SoleWriterStorage(_CachedStorage):
    """Optuna's cache, up to date for trials in work too, as nobody else writes to them.

    Optuna would read every unfinished trial anew at each question, and ask the database before
    each write whether the trial is there and may be changed. Here it is one statement a write, in
    Optuna's own tables: what any other Optuna reads is the same. What is written goes to the
    database first, then to the memory.
    """

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        self._read_trials_from_remote_storage(study_id)
        trial = _copied(template_trial or _blank())
        trial.number = len(self._studies[study_id].trials)
        with self._backend.engine.begin() as connection:
            row = {
                "study_id": study_id,
                "number": trial.number,
                "state": trial.state,
                "datetime_start": _to_utc(trial.datetime_start),
                "datetime_complete": _to_utc(trial.datetime_complete),
            }
            done = connection.execute(insert(_TRIALS), row)
            trial._trial_id = done.inserted_primary_key[0]  # type: ignore[index] # of one row
            for table, rows in _rows_of(trial):
                if rows:
                    own = [{"trial_id": trial._trial_id, **each} for each in rows]
                    connection.execute(insert(table), own)
        self._add_trials_to_cache(study_id, [trial])
        return trial._trial_id

    def get_trial(self, trial_id: int) -> FrozenTrial:
        found = self._trial_id_to_study_id_and_number.get(trial_id)
        if found is None:
            return super().get_trial(trial_id)
        trial = self._studies[found[0]].trials[found[1]]
        # Optuna's trials write into what they have been given.
        return trial if trial.state.is_finished() else _copied(trial)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,  # noqa: FBT001 - Optuna's signature
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        self._read_trials_from_remote_storage(study_id)
        trials = list(self._studies[study_id].trials.values())  # by number, as they came
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        row = _param_row(param_name, param_value_internal, distribution)
        self._write(insert(_PARAMS), {"trial_id": trial_id, **row})
        trial = self._changing(trial_id)
        value = distribution.to_external_repr(param_value_internal)
        trial.params = {**trial.params, param_name: value}
        trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        trial = self._changing(trial_id)
        if state == TrialState.RUNNING and trial.state != TrialState.WAITING:
            return False
        now = dt.datetime.now()  # noqa: DTZ005 - as Optuna stores it
        when = "datetime_complete" if state.is_finished() else "datetime_start"
        with self._backend.engine.begin() as connection:
            if values is not None:
                own = [{"trial_id": trial_id, **row} for row in _value_rows(values)]
                connection.execute(insert(_VALUES), own)
            change = update(_TRIALS).where(_TRIALS.c.trial_id == trial_id)
            connection.execute(change.values({"state": state, when: _to_utc(now)}))
        trial.state = state
        if values is not None:
            trial.values = list(values)
        setattr(trial, when, now)
        return True

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        row = _score_row(step, intermediate_value)
        trial = self._changing(trial_id)
        self._upsert(_SCORES, trial_id, row, "step", known=step in trial.intermediate_values)
        trial.intermediate_values = {**trial.intermediate_values, step: intermediate_value}

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401 - Optuna's
        trial, row = self._changing(trial_id), _attr_row(key, value)
        self._upsert(_USER_ATTRS, trial_id, row, "key", known=key in trial.user_attrs)
        trial.user_attrs = {**trial.user_attrs, key: value}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401 - Optuna's
        trial, row = self._changing(trial_id), _attr_row(key, value)
        self._upsert(_SYSTEM_ATTRS, trial_id, row, "key", known=key in trial.system_attrs)
        trial.system_attrs = {**trial.system_attrs, key: value}

    def _changing(self, trial_id: int) -> FrozenTrial:
        """A new copy of the trial in the cache: who has read it keeps what was read."""
        study_id, number = self._trial_id_to_study_id_and_number[trial_id]
        trials = self._studies[study_id].trials
        trials[number] = copy.copy(trials[number])
        return trials[number]

    def _upsert(
        self,
        table: sqlalchemy.Table,
        trial_id: int,
        row: dict[str, Any],
        key: str,
        *,
        known: bool,
    ) -> None:
        if known:
            same = (table.c.trial_id == trial_id) & (table.c[key] == row[key])
            self._write(update(table).where(same).values(row))
        else:
            self._write(insert(table), {"trial_id": trial_id, **row})

    def _write(self, statement: sqlalchemy.Executable, row: dict[str, Any] | None = None) -> None:
        with self._backend.engine.begin() as connection:
            connection.execute(statement, row)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        if study_id in self._studies and self._studies[study_id].trials:
            return
        self.get_study_name_from_id(study_id)  # so that the cache knows of the study
        gc.disable()  # hundreds of thousands of objects, which it would walk again and again
        try:
            self._add_trials_to_cache(study_id, _read_trials(self._backend.engine, study_id))
        finally:
            gc.enable()


def _read_trials(engine: sqlalchemy.Engine, study_id: int) -> list[FrozenTrial]:
    """All trials of a study, which share what is equal in them."""
    distribution, name = cache(json_to_distribution), cache(str)
    params: dict[int, dict[str, Any]] = defaultdict(dict)
    ranges: dict[int, dict[str, BaseDistribution]] = defaultdict(dict)
    values: dict[int, list[float]] = defaultdict(list)
    scores: dict[int, dict[int, float]] = defaultdict(dict)
    user_attrs: dict[int, dict[str, Any]] = defaultdict(dict)
    system_attrs: dict[int, dict[str, Any]] = defaultdict(dict)
    with engine.connect() as connection:

        def rows(table: sqlalchemy.Table) -> Any:  # noqa: ANN401 - of any columns
            mine = select(_TRIALS.c.trial_id).where(_TRIALS.c.study_id == study_id)
            row_id, *columns = table.c
            chosen = select(*columns).where(table.c.trial_id.in_(mine)).order_by(row_id)
            return connection.execute(chosen)

        for trial_id, key, value, text in rows(_PARAMS):
            ranges[trial_id][name(key)] = distribution(text)
            params[trial_id][name(key)] = distribution(text).to_external_repr(value)
        for trial_id, _, value, kind in rows(_VALUES):
            values[trial_id].append(models.TrialValueModel.stored_repr_to_value(value, kind))
        for trial_id, step, value, kind in rows(_SCORES):
            score = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
            scores[trial_id][step] = score(value, kind)
        for table, attrs in ((_USER_ATTRS, user_attrs), (_SYSTEM_ATTRS, system_attrs)):
            for trial_id, key, text in rows(table):
                attrs[trial_id][name(key)] = json.loads(text)
        mine = _TRIALS.c.study_id == study_id
        stored = connection.execute(select(_TRIALS).where(mine).order_by(_TRIALS.c.number)).all()
    shared: dict[tuple[int, ...], dict[str, BaseDistribution]] = {}
    return [
        FrozenTrial(
            number=trial.number,
            trial_id=trial.trial_id,
            state=trial.state,
            value=None,
            values=values.get(trial.trial_id),
            datetime_start=_from_utc(trial.datetime_start),
            datetime_complete=_from_utc(trial.datetime_complete),
            params=params.get(trial.trial_id, {}),
            distributions=shared.setdefault(
                tuple(map(id, ranges[trial.trial_id].values())), ranges[trial.trial_id]
            ),
            user_attrs=user_attrs.get(trial.trial_id, {}),
            system_attrs=system_attrs.get(trial.trial_id, {}),
            intermediate_values=scores.get(trial.trial_id, {}),
        )
        for trial in stored
    ]


def _rows_of(trial: FrozenTrial) -> list[tuple[sqlalchemy.Table, list[dict[str, Any]]]]:
    params = []
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        params.append(_param_row(name, distribution.to_internal_repr(value), distribution))
    return [
        (_PARAMS, params),
        (_VALUES, _value_rows(trial.values or [])),
        (_SCORES, [_score_row(*pair) for pair in trial.intermediate_values.items()]),
        (_USER_ATTRS, [_attr_row(*pair) for pair in trial.user_attrs.items()]),
        (_SYSTEM_ATTRS, [_attr_row(*pair) for pair in trial.system_attrs.items()]),
    ]


def _param_row(name: str, value: float, distribution: BaseDistribution) -> dict[str, Any]:
    text = distribution_to_json(distribution)
    return {"param_name": name, "param_value": value, "distribution_json": text}


def _value_rows(values: Sequence[float]) -> list[dict[str, Any]]:
    stored = [models.TrialValueModel.value_to_stored_repr(value) for value in values]
    return [{"objective": n, "value": v, "value_type": t} for n, (v, t) in enumerate(stored)]


def _score_row(step: int, value: float) -> dict[str, Any]:
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}


def _attr_row(key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON can hold
    return {"key": key, "value_json": json.dumps(value)}


def _to_utc(local: dt.datetime | None) -> dt.datetime | None:
    """As Optuna stores times, neither of them with its zone."""
    return local.astimezone(dt.UTC).replace(tzinfo=None) if local else None


def _from_utc(stored: dt.datetime | None) -> dt.datetime | None:
    return stored.replace(tzinfo=dt.UTC).astimezone().replace(tzinfo=None) if stored else None


def _blank() -> FrozenTrial:
    trial = optuna.trial.create_trial(state=TrialState.RUNNING)
    trial.datetime_start = dt.datetime.now()  # noqa: DTZ005 - as Optuna stores it
    return trial


def _copied(trial: FrozenTrial) -> FrozenTrial:
    result = copy.copy(trial)
    result.params, result.distributions = dict(trial.params), dict(trial.distributions)
    result.user_attrs, result.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    result.intermediate_values = dict(trial.intermediate_values)
    return result
