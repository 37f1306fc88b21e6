"""The cases of `benchmarks.quality`: systems, variants and seeds, and what is stored of each."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import store
from pipelines.tasks import find_task

OURS = "hpsearch"
SYSTEMS = {
    OURS: "hpsearch",
    "keras_tuner_hyperband": "KerasTuner Hyperband",
    "keras_tuner_bayesian": "KerasTuner Bayesian",
    "optuna": "Optuna",
    "ray_asha": "Ray Tune ASHA",
}
PLAIN = "plain"
VARIANTS: dict[str, dict[str, list[str]]] = {
    OURS: {
        "no_pruning": [],
        "one_worker": ["--workers", "1"],
        "no_presets": ["--no-presets"],
        "float32": ["--precision", "float32"],
    },
    "optuna": {"presets": [], "training": []},
    "ray_asha": {"presets": [], "training": []},
}
"""By system, with the options of this project's command: KerasTuner takes no starting points.

There is no option against pruning: `benchmarks.no_pruning` stands in for the command.
"""
TITLES = {
    PLAIN: "",
    "no_pruning": ", no pruning",
    "one_worker": ", one worker",
    "no_presets": ", no presets",
    "float32": ", float32",
    "presets": " + presets",
    "training": " + training",
}
"""The last two are peers that begin with the same presets, or train by this project's session."""
BUDGETS = {"fashion": 600.0, "churn": 180.0}
Point = tuple[float, float]
"""Seconds since the process started, and the best score so far."""


@dataclass(frozen=True)
class Case:
    task: str
    system: str
    variant: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.system}-{self.variant}-{self.seed}"

    @property
    def title(self) -> str:
        return SYSTEMS[self.system] + TITLES[self.variant]


@dataclass(frozen=True)
class Result:
    """What came of a case.

    Attributes:
        note: How it failed, if it did.
        setup: Where a stored one was run, as `store.setup` says it.
        commit: At which it was run, and `date` when.
    """

    case: Case
    trajectory: list[Point]
    note: str = ""
    setup: str = ""
    commit: str = ""
    date: str = ""

    @property
    def end(self) -> float:
        return self.trajectory[-1][1] if self.trajectory else -math.inf

    def reached(self, target: float) -> float:
        """Seconds until the target was reached, infinite if it never was."""
        return next((seconds for seconds, score in self.trajectory if score >= target), math.inf)


def cases(task: str, systems: Iterable[str], n_seeds: int, *, variants: bool) -> list[Case]:
    """Interleaved by seed, so that a run that is stopped has compared like with like."""
    images = find_task(task).has_images
    names = [
        (system, variant)
        for system in systems
        for variant in (PLAIN, *(VARIANTS.get(system, ()) if variants else ()))
        if images or variant != "float32"  # which tables are trained in anyway
    ]
    return [Case(task, *name, seed) for seed in range(n_seeds) for name in names]


def folder_of(task: str, budget: float) -> Path:
    """Cases with another budget are kept apart."""
    own = task if budget == BUDGETS[task] else f"{task}-{budget:g}s"
    return store.FOLDER / "quality" / own


def missing(wanted: Iterable[Case], folder: Path) -> list[Case]:
    """The cases that have not been run on this machine with these versions."""
    here = store.setup(store.circumstances())
    files = {case: store.load(case.name, folder) for case in wanted}
    return [case for case, file in files.items() if file is None or store.setup(file) != here]


def keep(result: Result, budget: float, folder: Path) -> None:
    content = {
        **asdict(result.case),
        "budget_seconds": budget,
        "note": result.note,
        "trajectory": [[round(seconds, 2), score] for seconds, score in result.trajectory],
    }
    store.save(result.case.name, content, folder)


def kept(task: str, folder: Path) -> list[Result]:
    found = []
    for path in sorted(folder.glob("*.json")):
        file: Any = store.load(path.stem, folder)
        content = file["results"]
        case = Case(task, content["system"], content["variant"], content["seed"])
        points = [(seconds, score) for seconds, score in content["trajectory"]]
        origin = (store.setup(file), file["commit"], file["date"])
        found.append(Result(case, points, content["note"], *origin))
    return found
