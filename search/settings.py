"""Settings: how a search behaves. Never sampled, and no part of a config."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from pipelines.runtime import Precision
from spaces.errors import InputError

LEAST_TIMEOUT_SECONDS = 30.0
TRIALS = 50
"""Where neither they nor a budget are given."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Settings:
    """All that a search is told beside its task and space.

    Attributes:
        trials: Total number of finished trials that the study goes on to; None means as many as
            the budget allows, or `TRIALS` without one.
        budget_seconds: Wall time of this call; None means as long as the trials take.
        epochs: Longest training of a trial; None means the task's own.
        warm_start: A task whose best configs are tried first.
        take_over: A study whose finished trials become this one's where they fit.
        finalists: How many of the best configs are trained again at the end.
        draws: On how many fresh seeds or folds; None means as many as the task needs.
        timeout_seconds: A worker silent for longer is restarted, its trial failed.
        runs_dir: Where the databases, artifacts and checkpoints live.
        storage: URL of another Optuna storage than the one in `runs_dir`.
        tracking_uri: Another MLflow than the one in `runs_dir`.
    """

    trials: int | None = None
    budget_seconds: float | None = None
    workers: int = 1
    seed: int = 0
    epochs: int | None = None
    presets: bool = True
    warm_start: str | None = None
    take_over: str | None = None
    finalists: int = 5
    draws: int | None = None
    precision: Precision = "float32"
    deterministic: bool = False
    timeout_seconds: float = 900.0
    data_dir: Path | None = None
    runs_dir: Path = Path("mlruns")
    storage: str | None = None
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        if self.trials is not None:
            _at_least("--trials", self.trials, 1)
        _at_least("--workers", self.workers, 1)
        _at_least("--seed", self.seed, 0)
        if self.seed >= 2**31:
            raise InputError(f"--seed must be below {2**31}, got {self.seed}.")
        if self.epochs is not None:
            _at_least("--epochs", self.epochs, 1)
        _at_least("--finalists", self.finalists, 0)
        if self.draws is not None:
            _at_least("--seeds", self.draws, 1)
        if self.timeout_seconds < LEAST_TIMEOUT_SECONDS:
            raise InputError(
                f"--timeout must be at least {LEAST_TIMEOUT_SECONDS:g}s, got"
                f" {self.timeout_seconds:g}s: a worker needs that to start and to build a network."
            )

    @property
    def most_trials(self) -> float:
        """Finished trials after which the search ends: infinite where a budget alone decides."""
        if self.trials is not None:
            return self.trials
        return TRIALS if self.budget_seconds is None else math.inf


def parse_duration(option: str, text: str) -> float:
    """Seconds in `90s`, `30m`, `1.5h` or `1h30m`.

    Raises:
        InputError: unreadable, or nothing.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text.strip().lower())
    if not parts or "".join(a + b for a, b in parts) != text.strip().lower():
        raise InputError(f"{option} needs a time such as 90s, 30m or 1h30m, got '{text}'.")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise InputError(f"{option} must be longer than 0, got '{text}'.")
    return seconds


def _at_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{option} must be at least {least}, got {value}.")
