"""Finding trials by what a user calls them, and where they stand in their study."""

from collections.abc import Mapping

import optuna
from optuna.study import StudyDirection

from pipelines.tasks import Task
from search import study as studies
from search.finalists.verdict import Standing, chosen, verdict
from search.layers import Shape, n_features
from search.study import Record
from search.tracking.trial_log import trial_name
from spaces.errors import InputError

BEST = "best"


def numbered(study: optuna.Study, called: str) -> tuple[int, Record]:
    """The trial that a user calls `17`, `t017` or `best`, which is the study's winner.

    Raises:
        InputError: there is none, or no worker has had it yet.
    """
    if called == BEST:
        number, record, _ = chosen(study)
        return number, record
    digits = called.removeprefix("t")
    if not digits.isdecimal():
        raise InputError(f"A trial is a number such as 17, or '{BEST}', got '{called}'.")
    number, trials = int(digits), study.get_trials(deepcopy=False)
    if not trials:
        raise InputError(f"{study.study_name} has no trial yet: run the command that began it.")
    if number >= len(trials):
        last = trial_name(len(trials) - 1)
        raise InputError(f"{study.study_name} has no trial {number}: its last one is {last}.")
    found = studies.read(trials[number])
    if found is None:
        raise InputError(
            f"{trial_name(number)} of {study.study_name} has not been begun: the command that"
            " began the study goes on with it."
        )
    return number, found


def standing_of(study: optuna.Study, number: int) -> Standing | None:
    """What the finalists' retrainings say of a trial; None if it was no finalist."""
    found = verdict(study)
    standings = found.standings if found else ()
    return next((each for each in standings if each.number == number), None)


def place(task: Task, study: optuna.Study, number: int, record: Record) -> str:
    """Where the trial stands among those that it can be compared with; empty without any."""
    if record.state == "completed":
        order = [other for other, _ in studies.best_first(study, ("completed",))]
        return f"place {order.index(number) + 1} of {len(order)} completed trials"
    judged = {
        trial.number: trial.intermediate_values for trial in study.get_trials(deepcopy=False)
    }
    own = judged.pop(number)
    if not own:
        return ""
    step = max(own)
    others = [scores[step] for scores in judged.values() if step in scores]
    sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
    better = sum(sign * score > sign * own[step] for score in others)
    epoch = studies.epoch_text(step * task.first_rung)
    return f"at epoch {epoch}, {better} of {len(others)} other trials were better"


def input_shape(task: Task, study: optuna.Study) -> Shape | None:
    """What the networks of a study take, without reading the data; None if none was built yet."""
    side = task.space.image_side
    if side is not None:
        return (side, side, 1)
    for trial in study.get_trials(deepcopy=False):
        record = studies.read(trial)
        if record is not None and record.n_parameters:
            count = n_features(record.parsed_config(), task.n_classes, record.n_parameters)
            return None if count is None else (count,)
    return None


def gap(row: Mapping[str, float]) -> float:
    """How much higher the accuracy is on the training rows than on the validation rows."""
    return row["train_accuracy"] - row["val_accuracy"]
