"""Active: one trial in the coordinator's hands."""

from dataclasses import dataclass

import optuna

from search.engine import Job
from search.study import Record
from spaces.config import Config


@dataclass
class Active:
    """A trial that waits for a worker, is being trained, or whose artifacts are being made.

    Attributes:
        job: What a worker does for it now.
        last_job: What a worker did last for it: that one still holds the session.
        sent_at: When `job` was sent, by the coordinator's clock.
        killed: Its worker was ended by us, for it had been silent too long.
    """

    trial: optuna.Trial
    config: Config
    record: Record
    checkpoint: bytes | None = None
    job: Job | None = None
    last_job: Job | None = None
    sent_at: float = 0.0
    killed: bool = False

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def training(self) -> bool:
        """Whether a worker trains it now, and does not only make its artifacts."""
        return self.job is not None and not self.record.ended
