"""Studies made by hand, in which a config's score is known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import optuna

from search import study as studies
from search.report.effects import Effect
from search.report.evidence import Evidence, evidence
from search.study import Record
from spaces.config import Training
from spaces.domains import Choice, Domain, Float, Int, Value
from spaces.space import Space
from tests.fakes import new_study

METRIC = "val_accuracy"
SPACE = Space(
    task="fake",
    domains={
        "layers": Int(0, 2),
        "units_1": Int(4, 256, log=True),
        "units_2": Int(4, 256, log=True),
        "dropout": Float(0.0, 0.6, step=0.05),
        "activation": Choice("relu", "tanh", "silu"),
        "optimizer": Choice("sgd", "adam", "adamw"),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.0, 0.95, step=0.05),
        "beta_1": Float(0.8, 0.98, step=0.01),
        "batch_size": Int(8, 256, log=True),
        "l2": Float(1e-6, 1e-2, log=True, zero=True),
    },
)
TRAINING = Training(epochs=8)

Score = Callable[[Mapping[str, Value]], float]
"""From the values that a config uses."""


def study_of(
    score: Score, n_trials: int, *, noise: float = 0.004, seed: int = 0, metric: str = METRIC
) -> optuna.Study:
    """Completed trials, drawn evenly from the space."""
    draws = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    rng = np.random.default_rng(seed)
    study = new_study()
    study.set_user_attr("metric", metric)
    for _ in range(n_trials):
        config = SPACE.sample(draws.ask(), TRAINING)
        reached = score(SPACE.encode(config)) + noise * float(rng.standard_normal())
        add(study, reached, config=config.model_dump(mode="json", exclude_none=True))
    return study


def add(
    study: optuna.Study,
    reached: float | None,
    *,
    state: studies.State = "completed",
    curve: Mapping[float, float] | None = None,
    config: dict[str, object] | None = None,
    cause: str = "",
    epoch: float = 8.0,
) -> None:
    """A trial by its best score, or by its scores at some epochs."""
    metric = study.user_attrs["metric"]
    rows = [{"epoch": each, metric: score} for each, score in (curve or {}).items()]
    if reached is None and rows:
        smaller = study.direction == optuna.study.StudyDirection.MINIMIZE
        reached = (min if smaller else max)(row[metric] for row in rows)
    trial = study.ask()
    record = Record(
        config or CONFIG,
        seed=trial.number,
        state=state,
        epoch=max(curve) if curve else epoch,
        rows=rows,
        best={} if reached is None else {"epoch": epoch, metric: reached},
        cause=cause,
    )
    studies.write(study, trial, record)


def best_at_a_quarter(values: Mapping[str, Value]) -> float:
    """Dropout is best at 0.25 and costs 6 points at 0.6; without layers it is not there."""
    if "dropout" not in values:
        return 0.9 - 0.01875  # as much as others lose on average
    return 0.9 - 0.5 * (float(values["dropout"]) - 0.25) ** 2


def known_of(score: Score, n_trials: int, *, noise: float = 0.004, seed: int = 0) -> Evidence:
    return evidence(study_of(score, n_trials, noise=noise, seed=seed), SPACE)


DROPOUT = Float(0.0, 0.6, step=0.1)
RATE = Float(1e-4, 1e-1, log=True)
UNITS = Int(4, 256, log=True)
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
RATES = (0.0001, 0.001, 0.01, 0.1)
OPTIMIZERS = Choice("sgd", "adam", "adamw", "nadam")


def effect(
    domain: Domain,
    grid: Sequence[Value],
    loss: Sequence[float],
    *,
    error: float = 0.003,
    clear: bool = True,
    n_trials: int = 84,
) -> Effect:
    """Losses in points, of which those above the error are told apart."""
    lost = np.array(loss) / 100
    return Effect(
        name="it",
        domain=domain,
        grid=tuple(grid),
        mean=0.9 - lost,
        low=0.89 - lost,
        high=0.91 - lost,
        importance=0.5,
        n_trials=n_trials,
        clear=clear,
        good=tuple(bool(good) for good in lost <= error),
        loss=lost,
        error=np.full(len(lost), error),
    )


def used(values: Sequence[Value] = (), *, metric: str = METRIC) -> Evidence:
    """Trials that used these values of `it`, the best first."""
    study = new_study()
    study.set_user_attr("metric", metric)
    for number in range(len(values)):
        add(study, 0.9 - 0.001 * number)
    return replace(evidence(study, SPACE), values=tuple({"it": value} for value in values))


CONFIG: dict[str, object] = {
    "network": {"layers": [{"units": 32}]},
    "optimization": {"optimizer": "sgd", "learning_rate": 0.01, "batch_size": 32},
    "training": {"epochs": 8},
}
