"""Active: one trial in the coordinator's hands."""

from dataclasses import dataclass, field

import optuna

from search.dispatch import Work
from search.study import Record


@dataclass(eq=False)
class Active(Work):
    """A trial that waits for a worker, is being trained, or whose artifacts are being made.

    Attributes:
        stored: Its record as the study has it, to which the checkpoint on the disk fits; None
            before it was first written.
    """

    trial: optuna.Trial
    stored: Record | None = field(default=None, kw_only=True)

    @property
    def number(self) -> int:
        return self.trial.number
