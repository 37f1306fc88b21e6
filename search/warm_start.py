"""Warm start: a study that begins with what another study has found."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import optuna
from optuna.trial import FixedTrial, FrozenTrial

from pipelines.tasks import Task
from search import study as studies
from search.study import ORIGIN, Record
from search.tracking.trial_log import trial_name
from spaces.config import OPTIMIZER_DEFAULTS, Config, Training
from spaces.domains import Choice, Domain, Float, Value
from spaces.errors import InputError
from spaces.space import Space, flat_values

TOP = 5


@dataclass(frozen=True)
class Imported:
    """What came of taking over the finished trials of another study.

    Attributes:
        taken: Trials that are new in this study.
        known: Trials that had been taken over before.
        misfits: Why the others stayed behind, with how many for each reason.
    """

    source: str
    taken: int
    known: int
    misfits: Mapping[str, int]

    @property
    def text(self) -> str:
        n_all = self.taken + self.known + sum(self.misfits.values())
        line = f"{self.taken} of {n_all} finished trials of {self.source} taken over"
        if self.known:
            line += f"; {self.known} were here already"
        if self.misfits:
            reasons = ", ".join(f"{count} {why}" for why, count in self.misfits.items())
            line += f"; not fitting: {reasons}"
        return f"{line}."


def enqueue_from_task(
    study: optuna.Study, space: Space, other: optuna.Study, top: int = TOP
) -> int:
    """Puts the best configs of another task's study in line; returns how many.

    Raises:
        InputError: no trial of `other` has completed.
    """
    task = other.user_attrs["task"]
    best = studies.best_first(other, ("completed",))[:top]
    if not best:
        raise InputError(
            f"No trial of {other.study_name} has completed: run `hpsearch search {task}` first."
        )
    fitted: dict[str, dict[str, Value]] = {}
    for number, record in best:
        config = fitted_into(space, record.parsed_config())
        params = space.encode(config)
        if params not in fitted.values():
            fitted[f"{task} {trial_name(number)}"] = params
    for name, params in fitted.items():
        study.enqueue_trial(params, user_attrs={"preset": name})
    return len(fitted)


def fitted_into(space: Space, config: Config) -> Config:
    """The config of `space` that is nearest to one of another space, with the same training.

    What `config` does not have is set to the middle of its domain, or to the first choice; the
    parameters of an optimizer to its defaults.
    """
    defaults = {name: value for own in OPTIMIZER_DEFAULTS.values() for name, value in own.items()}
    known = {**defaults, **flat_values(config)}
    values = {
        name: _nearest(domain, known[name]) if name in known else _middle(domain)
        for name, domain in space.domains.items()
    }
    stored = {name: space.domains[name].stored(value) for name, value in values.items()}
    return space.sample(FixedTrial(stored), config.training)


def import_trials(
    task: Task, space: Space, study: optuna.Study, old: optuna.Study, training: Training
) -> Imported:
    """Takes over the finished trials of `old` that could be trials of `study` too, once each.

    Raises:
        InputError: another task, metric or other data; or no trial fits.
    """
    _check_comparable(study, old)
    levels = studies.rungs(task.first_rung, training.epochs)[:-1]
    expected = {studies.step_of(level, task.first_rung): level for level in levels}
    here = {t.user_attrs.get(ORIGIN) for t in study.get_trials(deepcopy=False)}
    # It draws what an imported config has no use for, as any trial has a value for it too.
    blank = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    taken = known = 0
    misfits: Counter[str] = Counter()
    for trial in old.get_trials(deepcopy=False):
        record = studies.read(trial)
        if record is None or not trial.state.is_finished():
            continue
        origin = trial.user_attrs.get(ORIGIN, f"{old.study_name} {trial_name(trial.number)}")
        why_not = _misfit(trial, record, space, training, expected)
        if origin in here:
            known += 1
        elif why_not:
            misfits[why_not] += 1
        else:
            drawn = blank.ask()
            space.sample(drawn, training)
            run_id = studies.run_of(old, trial.number, record)
            study.add_trial(_encoded(trial, replace(record, run_id=run_id), space, drawn, origin))
            taken += 1
    found = Imported(old.study_name, taken, known, misfits)
    if not taken and not known:
        raise InputError(f"Nothing to begin with: {found.text} Leave --from out.")
    return found


def _check_comparable(study: optuna.Study, old: optuna.Study) -> None:
    if old.study_name == study.study_name:
        raise InputError(
            f"{old.study_name} is the study of this very search: leave --from out, it goes on."
        )
    for name, what in (("task", "task"), ("metric", "metric"), ("data_digest", "data")):
        theirs, ours = old.user_attrs.get(name), study.user_attrs.get(name)
        if theirs != ours:
            raise InputError(
                f"Trials of {old.study_name} cannot be taken over: its {what} is {theirs}, not"
                f" {ours}; name a study of the same task and data."
            )


def _misfit(
    trial: FrozenTrial,
    record: Record,
    space: Space,
    training: Training,
    expected: Mapping[int, float],
) -> str:
    """Why the trial could not have been one of this search; empty if it could."""
    if record.cause == "crashed":
        return "crashed"
    config = record.parsed_config()
    if config.training != training:
        return "trained for another length"
    epochs = [row["epoch"] for row in record.rows]
    for step in trial.intermediate_values:
        # An epoch has whole steps, so that a rung is met to within half an epoch.
        if not any(abs(epoch - expected.get(step, math.inf)) <= 0.5 for epoch in epochs):
            return "judged at other epochs"
    try:
        space.encode(config)
    except InputError as error:
        name, colon, _ = str(error).partition(":")
        return f"outside the range of {name}" if colon else "using what the space does not vary"
    return ""


def _encoded(
    trial: FrozenTrial, record: Record, space: Space, drawn: optuna.Trial, origin: str
) -> FrozenTrial:
    """The trial as `study` would have it; rungs and constraints are in the system attributes."""
    return optuna.trial.create_trial(
        state=trial.state,
        values=trial.values,
        params={**drawn.params, **space.encode(record.parsed_config())},
        distributions=drawn.distributions,
        user_attrs={**trial.user_attrs, "record": dict(vars(record)), ORIGIN: origin},
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


def _nearest(domain: Domain, value: Value) -> Value:
    if domain.contains(value):
        return value
    if not _is_number(value):
        return _middle(domain)
    if isinstance(domain, Choice):
        numbers = [own for own in domain.values if _is_number(own)]
        return min(
            numbers, key=lambda own: abs(float(own) - float(value)), default=_middle(domain)
        )
    return _inside(domain, float(value))


def _middle(domain: Domain) -> Value:
    """The first of choices; the geometric mean of what is drawn over orders of magnitude."""
    if isinstance(domain, Choice):
        return domain.values[0]
    low, high = domain.low, domain.high
    return _inside(domain, math.sqrt(low * high) if domain.log else (low + high) / 2)


def _inside(domain: Domain, value: float) -> Value:
    """The number of a range that is nearest to `value`."""
    if isinstance(domain, Choice):
        raise TypeError(f"choices have no range: {domain}")
    value = min(max(value, domain.low), domain.high)
    if not isinstance(domain, Float):
        return round(value)
    if domain.step:
        n_steps = round((value - domain.low) / domain.step)
        return round(domain.low + n_steps * domain.step, 10)
    return value


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
