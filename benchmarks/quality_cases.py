"""The cases of `benchmarks.quality`: systems, variants and seeds."""

from collections.abc import Iterable
from dataclasses import dataclass

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
STANDARD = {OURS: (PLAIN, "no_presets")}
"""What is always run of a system, if not `PLAIN` alone.

The peers begin with nothing that is known; how much of the gain this project's own starting points
are must be seen beside it.
"""
VARIANTS: dict[str, dict[str, list[str]]] = {
    OURS: {
        "no_presets": ["--no-presets"],
        "no_pruning": [],
        "one_worker": ["--workers", "1"],
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
    "no_presets": ", no starting points",
    "no_pruning": ", no pruning",
    "one_worker": ", one worker",
    "float32": ", float32",
    "presets": " + our starts",
    "training": " + our training",
}
"""The last two are peers that begin with all that this project begins with, its starting points
and the presets, or that train by its session."""
BUDGETS = {"fashion": 600.0, "churn": 180.0}


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

    @property
    def sources(self) -> tuple[str, ...]:
        """The folders and files whose code decides what comes of it."""
        if self.system == OURS:
            return ("pipelines", "spaces", "search", "benchmarks/no_pruning.py")
        return ("pipelines", "spaces", "search/machine.py", "benchmarks/peers")


def cases(task: str, systems: Iterable[str], n_seeds: int, *, variants: bool) -> list[Case]:
    """Interleaved by seed, so that a run that is stopped has compared like with like."""
    images = find_task(task).has_images
    names = [
        (system, variant)
        for system in systems
        for variant in _variants(system, every=variants)
        if images or variant != "float32"  # which tables are trained in anyway
    ]
    return [Case(task, *name, seed) for seed in range(n_seeds) for name in names]


def _variants(system: str, *, every: bool) -> Iterable[str]:
    """The standard ones first, none twice."""
    standard = STANDARD.get(system, (PLAIN,))
    return dict.fromkeys([*standard, *(VARIANTS.get(system, ()) if every else ())])
