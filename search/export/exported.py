"""What is exported: a trial, and which training of its config the model comes from."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.splits import Division
from search.finalists.verdict import Standing
from search.study import Record
from spaces.config import Config


@dataclass(frozen=True)
class Exported:
    """The trial that is exported, and which training of its config the model comes from.

    Attributes:
        standing: Its retrainings on fresh seeds; None where it was no finalist.
        run_id: The MLflow run of that training.
        seed: Of that training.
        division: The rows of that training.
        origin: What the card says of where it comes from: command, precision and git_commit, as
            far as MLflow knows them, and exported_with, the versions.
    """

    number: int
    record: Record
    standing: Standing | None
    run_id: str
    seed: int
    division: Division
    origin: Mapping[str, str]

    @property
    def retrained(self) -> bool:
        """Whether the model comes from a retraining, and not from the search's own trial."""
        return self.standing is not None and self.seed != self.record.seed

    @property
    def retrainings_lost(self) -> bool:
        """Whether its score is the mean of retrainings whose models MLflow never got."""
        return self.standing is not None and self.standing.n_scored > 0 and not self.retrained

    @property
    def config(self) -> Config:
        """As the exported model was trained."""
        config = self.record.parsed_config()
        return config.without_patience() if self.retrained else config

    def score(self, metric: str) -> float:
        """What the training of the model scored, on the validation rows of its division."""
        own = self.standing.retrainings if self.standing else ()
        return next((r.last for r in own if r.run_id == self.run_id), self.record.best)[metric]
