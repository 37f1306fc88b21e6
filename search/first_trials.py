"""What a study holds before anything is drawn: trials of others, and configs that are known."""

from dataclasses import dataclass

import optuna

from pipelines.tasks import Task
from search import study as studies
from search.settings import Settings
from search.warm_start import enqueue_from_task, import_trials
from spaces.config import Training
from spaces.errors import InputError
from spaces.space import Space
from spaces.starts import DEFAULT, known_configs


@dataclass(frozen=True)
class Known:
    """The studies that `--from` and `--warm-start` name; None where they are not given."""

    old: optuna.Study | None
    other: optuna.Study | None

    @classmethod
    def of(cls, task: Task, settings: Settings) -> "Known":
        """Raises InputError where there is none of the name."""
        asked, theirs = settings.take_over, settings.warm_start
        if theirs == task.name:
            raise InputError(
                f"--warm-start {theirs} is the task of this search itself: leave it out, or take a"
                " study's trials over with --from."
            )
        return cls(
            old=studies.find_study(settings, task.name, asked) if asked else None,
            other=studies.find_study(settings, theirs, None) if theirs else None,
        )


def begin(
    task: Task,
    space: Space,
    study: optuna.Study,
    settings: Settings,
    training: Training,
    known: Known,
    *,
    fresh: bool,
) -> list[str]:
    """Puts into the study what is known; returns what to say of it.

    Args:
        fresh: It is a new study, which is taken away again if the input is refused: it would be
            found as any other.

    Raises:
        InputError: the named studies have nothing for this one.
    """
    lines = []
    try:
        if known.old:
            lines.append(import_trials(task, space, study, known.old, training).text)
        if known.other and fresh:
            enqueue_from_task(study, space, known.other)
    except InputError:
        if fresh:
            optuna.delete_study(study_name=study.study_name, storage=study._storage)
        raise
    if known.other and not fresh:
        lines.append(
            f"Study {study.study_name} has begun already: --warm-start {settings.warm_start} adds"
            " nothing to it."
        )
    if settings.presets and fresh:
        studies.enqueue_presets(study, space, known_configs(task.name))
    if not study.get_trials(deepcopy=False):  # something to stay near, where nothing is known
        studies.enqueue_presets(study, space, {DEFAULT: space.default(training)})
    return lines
