"""Which trials end at a rung."""

import math

import optuna
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

REDUCTION = 2
"""One trial in so many goes on from a rung to the next: see docs/efficiency.md."""


class SparingHalving(BasePruner):
    """Asynchronous successive halving that lets go on who is not behind the best.

    What ends best may begin slowly. Halving alone may then end what is drawn near it on the first
    rung, though it stands no worse there than the best did.

    A trial is compared with all that were scored at its last step, as by Optuna's
    SuccessiveHalvingPruner. That one notes a trial as judged while it judges it, so that a search
    that dies before it has stored the verdict would let the trial go on when it judges again.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        score = sign * trial.intermediate_values[step]
        if math.isnan(score):
            return True
        trials = study.get_trials(deepcopy=False)
        # Its own score is among them, and not above itself.
        scores = [
            sign * each.intermediate_values[step]
            for each in trials
            if step in each.intermediate_values
        ]
        n_places = max(1, len(scores) // REDUCTION)
        if sum(each > score for each in scores) < n_places:
            return False
        completed = [other for other in trials if other.state == TrialState.COMPLETE]
        best = max(completed, key=lambda other: sign * (other.value or 0.0), default=None)
        if best is None or step not in best.intermediate_values:
            return True
        return score < sign * best.intermediate_values[step]
