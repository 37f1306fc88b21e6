"""The doctor's look at one study: trials that nobody goes on with, and what MLflow misses."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipelines.tasks import TASKS
from search import study as studies
from search.checkpoints import Checkpoints
from search.claim import lock_path, locked, refuse_others, sole_search
from search.doctor.marks import Finding, mended, note, ok
from search.doctor.mlflow_check import MlflowDoctor
from search.settings import Settings
from search.study import Record
from search.texts import n_of
from search.tracking.tracker import Tracker
from search.tracking.trial_log import trial_name
from spaces.domains import Float
from spaces.errors import InputError
from spaces.space import Space

LEFT_BEHIND = "left behind: its values lie outside the space of today, so no command goes on"


def study_findings(
    study: optuna.Study, settings: Settings, tracker: Tracker | None, *, mend: bool
) -> list[Finding]:
    """What is wrong with a study; nothing is touched while a search is at work on it.

    Args:
        tracker: None where MLflow cannot be used.
    """
    name = study.study_name
    try:
        with _alone(settings, study, mend=mend):
            found = list(_found(study, settings, tracker, mend=mend))
    except InputError:  # of the lock
        return [ok(name, "a search is at work on it: left alone")]
    counts = n_of(len(study.get_trials(deepcopy=False)), "trial")
    return found or [ok(name, f"{counts}, nothing left over")]


def _alone(settings: Settings, study: optuna.Study, *, mend: bool) -> AbstractContextManager[None]:
    """Keeps searches out meanwhile; a mere look makes no lock where there is none."""
    if mend:
        return sole_search(settings.runs_dir, study)
    if lock_path(settings.runs_dir, study.study_name).exists():
        return locked(settings.runs_dir, study)
    refuse_others(settings.runs_dir, study)
    return contextlib.nullcontext()


def _found(
    study: optuna.Study, settings: Settings, tracker: Tracker | None, *, mend: bool
) -> Iterator[Finding]:
    task = TASKS.get(study.user_attrs.get("task", ""))
    if task is None:
        yield note(study.study_name, "its task is unknown here: left alone")
        return
    yield from _zombies(study, task.space, settings, mend=mend)
    yield from _leftovers(study, task.space, settings, mend=mend)
    if tracker is not None:
        yield from MlflowDoctor(study, task, settings, tracker).findings(mend=mend)


def _zombies(
    study: optuna.Study, space: Space, settings: Settings, *, mend: bool
) -> Iterator[Finding]:
    """Trials that Optuna holds for running, though no search is."""
    name, checkpoints = study.study_name, Checkpoints(settings.runs_dir, study.study_name)
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    records = {stored.number: studies.read(stored) for stored in running}
    untold = [t for t in running if (r := records[t.number]) is not None and r.ended]
    behind = [t for t in running if t not in untold and not _can_be_drawn(space, t)]
    resumable = [t for t in running if t not in untold and t not in behind]
    if mend:
        for stored in untold:
            _tell(study, stored, records[stored.number])
        for stored in behind:
            _give_up(study, stored, records[stored.number])
            checkpoints.delete(stored.number)
    if untold:
        yield mended(name, f"{_named(untold)}: ended, but Optuna was not told", mend=mend)
    if behind:
        yield mended(name, f"{_named(behind)}: {LEFT_BEHIND}", mend=mend)
    if resumable:
        yield note(name, f"{_named(resumable)}: interrupted; repeat the search to go on")


def _tell(study: optuna.Study, stored: FrozenTrial, record: Record | None) -> None:
    if record is None:  # it was never begun
        study._storage.set_trial_state_values(stored._trial_id, TrialState.FAIL)
    else:
        studies.tell(study, optuna.Trial(study, stored._trial_id), record)


def _give_up(study: optuna.Study, stored: FrozenTrial, record: Record | None) -> None:
    if record is not None:
        record = replace(record, state="failed", cause="crashed", note=LEFT_BEHIND)
        studies.write(study, optuna.Trial(study, stored._trial_id), record)
    _tell(study, stored, record)


def _leftovers(
    study: optuna.Study, space: Space, settings: Settings, *, mend: bool
) -> Iterator[Finding]:
    """Checkpoints of ended trials, whose artifacts are still to be made; files half written."""
    name, checkpoints = study.study_name, Checkpoints(settings.runs_dir, study.study_name)
    ended = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
    held = [t for t in ended if checkpoints.holds(t.number)]
    behind = [t for t in held if not _can_be_drawn(space, t)]
    waiting = [t for t in held if t not in behind]
    parts = list((settings.runs_dir / "checkpoints" / name).glob("*.part"))
    if mend:
        for stored in behind:
            checkpoints.delete(stored.number)
        for path in parts:
            path.unlink()
    if behind:
        yield mended(name, f"{_named(behind)}: checkpoints that nobody goes on with", mend=mend)
    if parts:
        yield mended(name, f"{n_of(len(parts), 'checkpoint')} half written", mend=mend)
    if waiting:
        text = f"{_named(waiting)}: no model and pictures yet; the command that made it makes them"
        yield note(name, text)


def _can_be_drawn(space: Space, stored: FrozenTrial) -> bool:
    """Whether the space of today, narrowed or not, could have given the trial its values."""
    for name, value in stored.params.items():
        domain = space.domains.get(name)
        if domain is None:
            return False
        zero = isinstance(domain, Float) and domain.zero and value < domain.low
        if not (zero or domain.contains(value)):
            return False
    return True


def _named(trials: Sequence[FrozenTrial]) -> str:
    names = [trial_name(trial.number) for trial in trials]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
