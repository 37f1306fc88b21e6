"""What the models of the tutorials measured here, kept as JSON lines until it is asked for."""

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from search.checkpoints import write_whole
from search.evaluation.ledger import sole_writer

WITHOUT_TEST = frozenset({"xor"})
"""Tasks of which all rows are trained on."""


@dataclass(frozen=True)
class Measurement:
    """One training of a preset, or of a model of scikit-learn.

    Attributes:
        model: Name of the preset or of the other model.
        draw: Which of the trainings of the model: with its own seed, and fold if there are folds.
        config: All hyperparameters: a changed one makes it a measurement of another model.
        validation: The last row of the training; empty if it failed.
        test: Scores on the sealed rows; empty until they were opened for it.
        cause: Why the training failed.
    """

    model: str
    draw: int
    seed: int
    config: Mapping[str, object]
    data_digest: str
    precision: str
    validation: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    epochs: float = 0.0
    n_parameters: int = 0
    train_seconds: float = 0.0
    run_id: str = ""
    commit: str = ""
    cause: str = ""

    def replaces(self, other: "Measurement") -> bool:
        """Whether both are of one model, but not of the same hyperparameters and data."""
        return self.model == other.model and (
            dict(self.config) != dict(other.config)
            or (self.data_digest, self.precision) != (other.data_digest, other.precision)
        )


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of `count` scores; that of one score is no number."""

    mean: float
    std: float
    count: int

    @classmethod
    def of(cls, scores: Iterable[float]) -> "Spread | None":
        """None without any score."""
        values = list(scores)
        if not values:
            return None
        std = statistics.stdev(values) if len(values) > 1 else float("nan")
        return cls(statistics.fmean(values), std, len(values))


def plain(metric: str) -> str:
    """The name of a metric, whatever it was measured on."""
    return metric.removeprefix("val_")


def ledger_name(model: str) -> str:
    """What the ledger calls the study to which the openings for a model belong."""
    return f"baselines {model}"


class Measurements:
    """The measurements of a task, in `runs_dir/baselines/<task>.jsonl`: one a model and draw."""

    def __init__(self, runs_dir: Path, task: str) -> None:
        self._folder = runs_dir / "baselines"
        self._path = self._folder / f"{task}.jsonl"
        self._models = self._folder / task
        self._all = self._read()

    def of(self, model: str) -> list[Measurement]:
        """Those of a model, by draw."""
        own = [each for each in self._all.values() if each.model == model]
        return sorted(own, key=lambda each: each.draw)

    def put(self, measurement: Measurement, network: bytes = b"") -> None:
        """Stores it, with the network that it measured until the sealed rows are opened for it.

        What was measured of its model with other hyperparameters or data is forgotten.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if network:
            self._models.mkdir(exist_ok=True)
            write_whole(self._network(measurement), network)
        with sole_writer(self._path):
            stored = self._read()  # another command may have measured meanwhile
            kept = {k: each for k, each in stored.items() if not measurement.replaces(each)}
            self._all = {**kept, (measurement.model, measurement.draw): measurement}
            lines = [json.dumps(asdict(each)) + "\n" for each in self._all.values()]
            write_whole(self._path, "".join(lines).encode())
        if measurement.test:
            self._network(measurement).unlink(missing_ok=True)

    def _read(self) -> dict[tuple[str, int], Measurement]:
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        found = [Measurement(**json.loads(line)) for line in lines]
        return {(each.model, each.draw): each for each in found}

    def network(self, measurement: Measurement) -> bytes | None:
        """The network that waits for its test; None if there is none."""
        path = self._network(measurement)
        return path.read_bytes() if path.exists() else None

    def _network(self, measurement: Measurement) -> Path:
        return self._models / f"{measurement.model}-{measurement.draw}.keras"
