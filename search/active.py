"""Active: one trial in the coordinator's hands."""

from dataclasses import dataclass

import optuna

from search.dispatch import Work


@dataclass(eq=False)
class Active(Work):
    """A trial that waits for a worker, is being trained, or whose artifacts are being made."""

    trial: optuna.Trial

    @property
    def number(self) -> int:
        return self.trial.number
