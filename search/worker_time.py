"""What the workers' time was spent on."""

from dataclasses import dataclass

from pipelines.segment import SegmentResult


@dataclass
class WorkerTime:
    """Seconds of all workers together.

    Attributes:
        starting: From the command until the first segment began, which every worker waited for.
        building: Making and tracing networks.
        training: Training and validation.
        idle: Without work, as at the end, when no trial is left to begin.
        cut_off: Training that was under way when the time was up, or the search was stopped.
    """

    starting: float = 0.0
    building: float = 0.0
    training: float = 0.0
    idle: float = 0.0
    cut_off: float = 0.0

    def add(self, result: SegmentResult, *, elapsed: float, n_workers: int) -> None:
        """Takes in a segment that came back so many seconds after the command."""
        if not self.training:
            self.starting = (elapsed - result.total_seconds) * n_workers
        self.training += result.train_seconds
        self.building += result.build_seconds

    def text(self, total: float) -> str:
        """Shares of `total`; what is left are checkpoints, artifacts and the way to and fro."""
        known = self.starting + self.building + self.training + self.idle + self.cut_off
        shares = {
            "starting up": self.starting,
            "building networks": self.building,
            "artifacts and hand-over": total - known,
            "idle": self.idle,
        }
        if self.cut_off:
            shares["cut off by the end"] = self.cut_off
        rest = ", ".join(
            f"{name} {max(seconds, 0.0) / total:.1%}" for name, seconds in shares.items()
        )
        return f"{self.training / total:.1%} of the workers' time was training; {rest}"
