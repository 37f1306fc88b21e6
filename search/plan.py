"""`hpsearch plan`: what a search would try, how far it gets, what in its space looks wrong."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from pipelines.sources import SOURCES, find
from pipelines.splits import SearchData
from pipelines.tasks import Task
from search.finalists.selection import kept_seconds, missing, n_draws
from search.forecast import EpochGuess
from search.pace import Pace, guessed, measured
from search.settings import TRIALS, Settings
from search.space_check import N_DRAWS, Draw, draws, is_single, looks_wrong, used
from search.study import epoch_text, n_finished, rungs, study_name
from search.texts import clock_text, n_of
from spaces.config import Config, Training
from spaces.presets import Preset, presets_of
from spaces.space import Space
from spaces.starts import STARTS

START_SECONDS = 5.0
"""From the command to the first step of training: docs/speed.md."""
TYPICAL = 0.5
"""A hyperparameter is used by most configs from this share on."""


@dataclass(frozen=True)
class Plan:
    """A search that has not begun.

    Attributes:
        machine: A line on what the settings owe to this machine.
        data: None where the files are not on this machine.
        study: The stored study that the search would go on with.
        pace: None where there is neither a study nor data to guess from.
    """

    task: Task
    space: Space
    settings: Settings
    training: Training
    machine: str
    data: SearchData | None
    study: optuna.Study | None
    pace: Pace | None
    drawn: Sequence[Draw]


def make_plan(
    task: Task,
    space: Space,
    settings: Settings,
    machine: str,
    data: SearchData | None,
    stored: Sequence[optuna.Study],
) -> Plan:
    """Looks at what there is.

    Args:
        stored: The studies of the task, the newest at the end.
    """
    training = task.training_for(settings.epochs)
    drawn = draws(space, training)
    study = None
    if data is not None:
        name = study_name(task, space, training, data.digest, settings.seed)
        study = next((each for each in stored if each.study_name == name), None)
    sources = [*([study] if study else []), *reversed(stored)]
    found = (measured(each, training.epochs) for each in sources)
    pace = next((each for each in found if each is not None), None)
    if pace is None and data is not None:
        starts, presets = _starts(task, space, settings), _presets(task, space, settings)
        if not (starts or presets):
            starts = [space.default(training)]
        pace = guessed(
            [draw.config for draw in drawn],
            starts,
            [preset.config for preset in presets],
            rungs(task.first_rung, training.epochs),
            EpochGuess.of(task, data, settings.precision),
        )
    return Plan(task, space, settings, training, machine, data, study, pace, drawn)


def data_here(task: Task, settings: Settings) -> SearchData | None:
    """The task's data if they are on this machine: a plan downloads nothing."""
    if task.name in SOURCES and find(task.name, settings.data_dir) is None:
        return None
    return task.load(settings.data_dir)


def plan_page(plan: Plan) -> Group:
    side = plan.task.space.image_side
    shape = plan.data.input_shape if plan.data else (side, side, 1) if side else None
    n_train = len(plan.data.train.labels) if plan.data else None
    wrong = looks_wrong(plan.space, plan.drawn, shape, plan.task.n_classes, n_train)
    nothing = f"Nothing, in {N_DRAWS:,} configs drawn from it."
    return Group(
        Text(plan.machine),
        *_section("What it will try", [_data(plan), _dimensions(plan), *_order(plan)]),
        *_section("How far it gets", _reach(plan)),
        *_section("What in the space looks wrong", wrong or [nothing]),
    )


def _section(heading: str, lines: Sequence[str]) -> list[RenderableType]:
    return [
        "",
        Text(heading, style="bold cyan"),
        *(Padding(Text(line), (0, 0, 0, 2)) for line in lines),
    ]


def _data(plan: Plan) -> str:
    if plan.data is None:
        return f"The data of {plan.task.name} are not here: a search downloads them first."
    n_train, n_validation = len(plan.data.train.labels), len(plan.data.validation.labels)
    return (
        f"{plan.task.title}: {n_train:,} rows to train on, {n_validation:,} to validate; the best"
        f" {plan.task.goal.metric} is looked for."
    )


def _dimensions(plan: Plan) -> str:
    varied = [name for name, domain in plan.space.domains.items() if not is_single(domain)]
    shares = [sum(name in used(draw) for draw in plan.drawn) / len(plan.drawn) for name in varied]
    typical = sum(share >= TYPICAL for share in shares)
    return f"{n_of(len(varied), 'hyperparameter')}, of which most configs use {typical}."


def _order(plan: Plan) -> list[str]:
    task, settings = plan.task, plan.settings
    lines = []
    every, fitting = presets_of(task.name), _presets(task, plan.space, settings)
    starts = len(_starts(task, plan.space, settings))
    if plan.study is not None:
        lines.append(f"It goes on with {plan.study.study_name}: {_finished(plan)} finished.")
    elif fitting or starts:
        of = f" of {len(every)}" if len(fitting) < len(every) else ""
        noun = "preset" if len(every) == 1 else "presets"
        known = [n_of(starts, "starting point")] if starts else []
        known += [f"{len(fitting)}{of} {noun}"] if fitting else []
        lines.append(f"First {' and '.join(known)}, then what the sampler draws.")
    else:
        lines.append("First the default config of the space, then what the sampler draws.")
    levels = rungs(task.first_rung, plan.training.epochs)[:-1]
    judged = f", judged at {', '.join(map(epoch_text, levels))}" if levels else ""
    rule = ": who is not in the better half, and behind the best, is pruned" if levels else ""
    lines.append(f"At most {n_of(plan.training.epochs, 'epoch')} a trial{judged}{rule}.")
    if settings.finalists:
        drawn = n_of(n_draws(task, settings), "fold" if task.folds else "fresh seed")
        best = n_of(settings.finalists, "config")
        preset = " and the best preset" if fitting else ""
        lines.append(f"At the end the best {best}{preset}, trained again on {drawn}.")
    return lines


def _reach(plan: Plan) -> list[str]:
    if plan.pace is None:
        return ["Nothing can be said before the data are here."]
    left = max(0, plan.settings.most_trials - _n_finished(plan))
    finalists = _finalist_seconds(plan, plan.pace)
    lines = [_source(plan, plan.pace)]
    if not left:
        lines.append(_nothing_left(plan, finalists))
    elif plan.settings.budget_seconds is None:
        lines.append(_without_budget(plan, plan.pace, int(left), finalists))
    else:
        lines += _with_budget(plan, plan.pace, left, finalists)
    cost = _worker_seconds(plan, plan.pace, left, finalists)
    return [*lines, f"Cost: about {_hours(cost)} of a worker."] if cost else lines


def _source(plan: Plan, pace: Pace) -> str:
    seconds = f"{float(f'{pace.seconds:.2g}'):g} s of a worker a trial"
    if not pace.n_trials:
        return (
            f"No study of {plan.task.name} with trials of so many epochs is stored here. A guess"
            f" from the size of the networks, on a fast machine, which may be wrong by a factor of"
            f" three: {seconds}."
        )
    states = ", ".join(f"{count} {state}" for state, count in pace.states.most_common())
    return f"Measured on {pace.n_trials} trials of {pace.study} ({states}): {seconds}."


def _nothing_left(plan: Plan, finalists: float) -> str:
    finished = _n_finished(plan)
    return (
        f"{_finished(plan)} finished and {int(plan.settings.most_trials)} asked for: none is left"
        f" to try{_then(finalists)}. --trials {finished + TRIALS} tries {TRIALS} more, --budget"
        " alone as many as fit."
    )


def _without_budget(plan: Plan, pace: Pace, left: int, finalists: float) -> str:
    trials, workers = n_of(left, "trial"), n_of(plan.settings.workers, "worker")
    seconds = START_SECONDS + left * pace.seconds / plan.settings.workers
    return f"{trials} take about {clock_text(seconds)} with {workers}{_then(finalists)}."


def _then(finalists: float) -> str:
    return f", then at most {clock_text(finalists)} for the finalists" if finalists else ""


def _with_budget(plan: Plan, pace: Pace, left: float, finalists: float) -> list[str]:
    settings = plan.settings
    workers = n_of(settings.workers, "worker")
    low, high = pace.fitting(_trial_seconds(plan) * settings.workers)
    budget = clock_text(settings.budget_seconds or 0.0)
    share = kept_seconds(plan.study, settings)
    kept = f", {clock_text(share)} of it kept for the finalists" if share else ""
    lines = [f"In {budget}{kept}, {_between(low, high)} trials fit with {workers}."]
    if left < low:
        seconds = START_SECONDS + left * pace.seconds / settings.workers
        lines.append(
            f"--trials {settings.trials} ends it sooner, after about {clock_text(seconds)} of"
            f" trials{_then(finalists)}: without --trials the budget decides."
        )
    if finalists > share and left >= low:
        lines.append(
            f"The finalists may need {clock_text(finalists)}, more than {_theirs(share)}:"
            " the same command goes on with them."
        )
    return lines


def _theirs(share: float) -> str:
    return f"their {clock_text(share)}" if share else "so short a budget has for them"


def _trial_seconds(plan: Plan) -> float:
    """Of the budget, that are for training trials."""
    settings = plan.settings
    left = (settings.budget_seconds or 0.0) - kept_seconds(plan.study, settings)
    return max(0.0, left - START_SECONDS)


def _worker_seconds(plan: Plan, pace: Pace, left: float, finalists: float) -> float:
    settings = plan.settings
    most = math.inf if settings.budget_seconds is None else settings.budget_seconds
    within = math.inf if settings.budget_seconds is None else _trial_seconds(plan)
    trials = min(within, left * pace.seconds / settings.workers)
    return min(most, trials + finalists) * settings.workers


def _finalist_seconds(plan: Plan, pace: Pace) -> float:
    """Of the wall, at most: who falls clearly behind is trained no further."""
    settings = plan.settings
    if not settings.finalists:
        return 0.0
    if plan.study is not None and _n_finished(plan) >= settings.most_trials:
        count = len(missing(plan.study, plan.task, settings))
    else:
        configs = int(min(settings.finalists, settings.most_trials)) + bool(
            _presets(plan.task, plan.space, settings)
        )
        count = configs * n_draws(plan.task, settings)
    return count * pace.retraining_seconds / settings.workers


def _presets(task: Task, space: Space, settings: Settings) -> list[Preset]:
    """Those that the search tries."""
    every = presets_of(task.name) if settings.presets else []
    return [preset for preset in every if space.contains(preset.config)]


def _starts(task: Task, space: Space, settings: Settings) -> list[Config]:
    """The starting points that the search tries."""
    every = STARTS.get(task.name, {}).values() if settings.presets else ()
    return [config for config in every if space.contains(config)]


def _n_finished(plan: Plan) -> int:
    return n_finished(plan.study) if plan.study else 0


def _finished(plan: Plan) -> str:
    return n_of(_n_finished(plan), "trial")


def _between(low: float, high: float) -> str:
    one, other = _round(low), _round(high)
    return f"about {one:,}" if one == other else f"about {one:,} to {other:,}"


def _round(count: float) -> int:
    """To two digits."""
    if count < 10:
        return math.floor(count)
    return int(float(f"{count:.1e}"))


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} hours" if hours >= 1 else f"{seconds / 60:.0f} minutes"
