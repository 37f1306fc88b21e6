"""Which trials end at a rung."""

import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

REDUCTION = 2
"""One trial in so many goes on from a rung to the next: see docs/efficiency.md."""


class SparingHalving(SuccessiveHalvingPruner):
    """Asynchronous successive halving that lets go on who is not behind the best.

    What ends best may begin slowly. Halving alone may then end what is drawn near it on the first
    rung, though it stands no worse there than the best did.
    """

    def __init__(self) -> None:
        super().__init__(min_resource=1, reduction_factor=REDUCTION, min_early_stopping_rate=0)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return super().prune(study, trial) and self._is_behind_the_best(study, trial)

    def _is_behind_the_best(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = max(completed, key=lambda each: sign * (each.value or 0.0), default=None)
        step = trial.last_step
        if best is None or step not in best.intermediate_values:
            return True
        # Not "worse than": a score that is not a number is neither, and behind.
        ahead = sign * trial.intermediate_values[step] >= sign * best.intermediate_values[step]
        return not ahead
