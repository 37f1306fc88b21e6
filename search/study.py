"""The Optuna side: storage, sampler, pruner, and what the study remembers of each trial."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from pipelines.segment import SegmentResult
from pipelines.tasks import Task
from search.pruner import REDUCTION, SparingHalving
from search.sampler import ReseededTPE
from search.settings import Settings
from search.storage import missing_file, open_storage
from spaces.config import Config, Training
from spaces.errors import InputError
from spaces.space import Space

ORIGIN = "imported_from"
"""User attribute of a trial that was taken over: the study and trial that trained it."""
State = Literal["running", "completed", "pruned", "failed", "interrupted"]


class NoStudyError(InputError):
    """No study of the task is stored yet."""


@dataclass(frozen=True)
class Record:
    """What is known of a trial, kept in the study after each of its segments.

    The study alone is enough to resume a trial and to log it to MLflow again.

    Attributes:
        epoch: Where its checkpoint stands.
        rung: Index of the rung that it is on its way to.
        rows: One an evaluation: epoch, losses, metrics.
        cause: Of a failure.
        note: One sentence on why it ended.
        worker_seconds: All that workers spent on it.
        train_seconds: The part of it in training and validation.
        audited_from: Epoch at which it would have been pruned, had the audit not let it finish.
    """

    config: dict[str, object]
    seed: int
    state: State = "running"
    run_id: str = ""
    preset: str = ""
    epoch: float = 0.0
    rung: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)
    summary: str = ""
    n_parameters: int = 0
    crashes: int = 0
    cause: str = ""
    note: str = ""
    worker_seconds: float = 0.0
    train_seconds: float = 0.0
    audited_from: float = 0.0

    @property
    def ended(self) -> bool:
        return self.state not in ("running", "interrupted")

    def parsed_config(self) -> Config:
        return Config.model_validate(self.config)

    def with_segment(self, result: SegmentResult) -> "Record":
        """The record after one more segment; whether that was the last is for others to say."""
        return replace(
            self,
            # No rows: with few steps an epoch two rungs can stand at the same step.
            epoch=result.rows[-1]["epoch"] if result.rows else self.epoch,
            rows=[*self.rows, *result.rows],
            best=result.best,
            summary=result.summary or self.summary,
            n_parameters=result.n_parameters,
            worker_seconds=self.worker_seconds + result.total_seconds,
            train_seconds=self.train_seconds + result.train_seconds,
        )


def rungs(first: float, epochs: int) -> list[float]:
    """Epochs at which a trial must be good enough to go on, and the last epoch."""
    levels = []
    level = first
    while level < epochs - 1e-9:
        levels.append(level)
        level *= REDUCTION
    return [*levels, float(epochs)]


def step_of(epoch: float, first_rung: float) -> int:
    """The whole number under which Optuna holds a score: first rungs trained."""
    return max(1, round(epoch / first_rung))


def epoch_text(epoch: float) -> str:
    """As people read it: 0.33, 1, 300."""
    return f"{round(epoch, 2):g}"


def study_name(task: Task, space: Space, training: Training, digest: str, seed: int) -> str:
    """Changes with all that makes scores incomparable or draws invalid."""
    content = [space.fingerprint(), training.model_dump(), digest, task.goal.metric, seed]
    text = json.dumps(content, sort_keys=True)
    return f"{task.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def open_study(
    settings: Settings, task: Task, space: Space, training: Training, digest: str
) -> optuna.Study:
    """The study of exactly this space, data and seed: a stored one or a new one."""
    study = optuna.create_study(
        study_name=study_name(task, space, training, digest, settings.seed),
        storage=open_storage(settings.runs_dir, settings.storage, sole_writer=True),
        direction=task.goal.direction,
        sampler=ReseededTPE(settings.seed),
        pruner=SparingHalving(),
        load_if_exists=True,
    )
    if "task" not in study.user_attrs:
        study.set_user_attr("metric", task.goal.metric)
        study.set_user_attr("data_digest", digest)
        study.set_user_attr("task", task.name)
    return study


def find_study(settings: Settings, task: str, name: str | None) -> optuna.Study:
    """The named study of a task, or the one that was worked on last.

    Raises:
        NoStudyError: there is none of the task.
        InputError: there is none of the name.
    """
    missing = missing_file(settings)
    if missing is not None:
        raise _no_study(task, f"there is no {missing}")
    storage = open_storage(settings.runs_dir, settings.storage)
    summaries = [
        summary
        for summary in optuna.get_all_study_summaries(storage)
        if summary.user_attrs.get("task") == task
    ]
    names = [summary.study_name for summary in summaries]
    if name is not None and name not in names:
        raise InputError(
            f"There is no study '{name}' of {task}. Choose from: {', '.join(names) or 'none yet'}."
        )
    if not names:
        raise _no_study(task, "none is stored yet")
    studies = [optuna.load_study(study_name=each, storage=storage) for each in names]
    return max(studies, key=_last_touched) if name is None else studies[names.index(name)]


def read(trial: FrozenTrial) -> Record | None:
    """What the study remembers of a trial; None if it was never sent to a worker."""
    content = trial.user_attrs.get("record")
    return Record(**content) if content else None


def write(study: optuna.Study, trial: optuna.Trial, record: Record) -> None:
    study._storage.set_trial_user_attr(trial._trial_id, "record", dict(vars(record)))


def report(trial: optuna.Trial, score: float, step: int) -> None:
    """Tells Optuna a score once, also where a crash made the trial come by a second time."""
    if step not in trial.storage.get_trial(trial._trial_id).intermediate_values:
        trial.report(score, step)


def tell(study: optuna.Study, trial: optuna.Trial, record: Record) -> None:
    """Ends the trial as its record says. After a crash in between it can be called again.

    What failed for its config counts as infeasible, which teaches the sampler; a crash does not.
    """
    storage, trial_id = study._storage, trial._trial_id
    if record.state == "completed":
        score = record.best[study.user_attrs["metric"]]
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [score])
    elif record.cause == "crashed":
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
    else:
        if record.cause and record.cause not in storage.get_trial(trial_id).constraints:
            trial.set_constraint(record.cause, 1.0)
        storage.set_trial_state_values(trial_id, TrialState.PRUNED)


def write_run(study: optuna.Study, number: int, run_id: str) -> None:
    """Remembers the MLflow run of a trial that has ended, to which Optuna lets nobody write."""
    study.set_user_attr(f"run_{number}", run_id)


def run_of(study: optuna.Study, number: int, record: Record) -> str:
    """The MLflow run of a trial; empty if it could not be logged yet."""
    return str(study.user_attrs.get(f"run_{number}", record.run_id))


def n_finished(study: optuna.Study) -> int:
    """Trials that have ended in it: those taken over from another study are none of its own."""
    trials = study.get_trials(deepcopy=False)
    return sum(t.state.is_finished() and ORIGIN not in t.user_attrs for t in trials)


def seed_of(study_seed: int, number: int) -> int:
    """A trial's own seed, the same whenever and wherever it runs."""
    state = np.random.SeedSequence([study_seed, number]).generate_state(1)
    return int(state[0]) & 0x7FFFFFFF


def enqueue_presets(study: optuna.Study, space: Space, configs: Mapping[str, Config]) -> int:
    """Puts the configs that lie in the space in line; returns how many.

    One that the study has taken over from another is not trained again.
    """
    records = [read(trial) for trial in study.get_trials(deepcopy=False)]
    here = [space.encode(record.parsed_config()) for record in records if record]
    fitting = {name: space.encode(c) for name, c in configs.items() if space.contains(c)}
    new = {name: params for name, params in fitting.items() if params not in here}
    for name, params in new.items():
        study.enqueue_trial(params, user_attrs={"preset": name})
    return len(new)


def best_first(study: optuna.Study, states: Sequence[State]) -> list[tuple[int, Record]]:
    """Number and record of the trials in one of `states` that have a score, best first."""
    metric = study.user_attrs["metric"]
    sign = -1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1.0
    pairs = [(trial.number, read(trial)) for trial in study.get_trials(deepcopy=False)]
    scored = [(n, record) for n, record in pairs if record and record.best]
    chosen = [(n, record) for n, record in scored if record.state in states]
    return sorted(chosen, key=lambda pair: (sign * pair[1].best[metric], pair[0]))


def touch(study: optuna.Study) -> None:
    """Makes it the study that was worked on last."""
    study.set_user_attr("touched", time.time())


def _last_touched(study: optuna.Study) -> float:
    trials = study.get_trials(deepcopy=False)
    begun = [trial.datetime_start.timestamp() for trial in trials if trial.datetime_start]
    return max([float(study.user_attrs.get("touched", 0.0)), *begun])


def _no_study(task: str, why: str) -> NoStudyError:
    return NoStudyError(
        f"There is no study of {task} ({why}): run `hpsearch search {task}` first."
    )
