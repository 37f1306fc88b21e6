"""The proof of an export: run in clean processes, train.py and model must score as they should."""

import math
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from pipelines.sources import fetch
from pipelines.splits import FOLDS
from pipelines.tasks import Task
from search import study as studies
from search.export.exported import Exported
from search.export.model_score import model_problem
from search.export.script_data import DATA
from search.finalists.comparison import LEVEL, Interval
from search.finalists.verdict import Standing, comparison, verdict
from search.one_trial import standing_of
from search.settings import Settings
from search.study import Record

ROUNDING = 1e-6
"""Of the score that a script prints."""

_CLEAN = """
import runpy, sys
sys.modules.update(dict.fromkeys(("spaces", "pipelines", "search")))  # as if not installed
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

_NOISE = re.compile(r"WARNING: All log messages before absl|[IWE]\d{4} \d\d:")
"""What TensorFlow's libraries say at import whatever its log level."""


@dataclass(frozen=True)
class Check:
    """One run of an exported script, and of the model beside it.

    Attributes:
        verified: None where both ran and there is no interval to compare the script's score with.
        score: Of the study's metric, by the script; None where it failed.
        interval: Where one more training is to be expected.
        note: One sentence on what came out.
    """

    verified: bool | None
    score: float | None
    interval: Interval | None
    seed: int
    seconds: float
    note: str

    def fields(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Check":
        """From what `fields` gave, by way of JSON."""
        interval = fields["interval"]
        return cls(**{**fields, "interval": tuple(interval) if interval else None})


def expected(study: optuna.Study, task: Task, number: int, record: Record) -> Interval | None:
    """Where the score of one more training of a trial's config is to be expected.

    The spread of single trainings is the one that the verdict found, pooled over all finalists.
    The centre is the trial's mean over fresh seeds. A script scores on the validation split of
    the search: where finalists were compared on folds instead, their mean is over other rows, and
    the centre is the trial's own score on that split, as it is for a trial that is no finalist.
    A finalist that was pruned has no such score of a whole training: for the luck of that split
    there is the spread between folds, around its mean over them.

    Returns:
        The two ends; None where no config was trained again twice.
    """
    found, own = verdict(study), standing_of(study, number)
    pruned = own is not None and record.state == "pruned"
    if task.folds and not pruned:
        same_split = _on_the_same_split(study, record)
        if same_split:
            return same_split
    known = [s for s in found.standings if math.isfinite(s.interval[1])] if found else []
    if not known:
        return None
    centre, count = record.best[study.user_attrs["metric"]], 1
    if own in known and (pruned or not task.folds):
        centre, count = own.mean, own.n_scored
    half = _spread(own if own in known else known[0], task) * math.sqrt(1 + 1 / count)
    return _share(centre - half, centre + half)


def _on_the_same_split(study: optuna.Study, record: Record) -> Interval | None:
    """From the trial's own score on that split, and the luck that is left within a fold.

    That score had luck of its own, at worst that of the luckiest of all completed trials: the
    search looked for it. The other way it is one training as any other.

    Returns:
        None for a single finalist: the luck of its seeds cannot be told from that of its folds.
    """
    tail = (1 - LEVEL) / 2
    n_completed = len(studies.best_first(study, ("completed",)))
    fit = comparison(study)
    half, luckiest = fit.luck(1 - tail), fit.luck(1 - tail / n_completed)
    if not math.isfinite(half):
        return None
    score = record.best[study.user_attrs["metric"]]
    return _share(score - math.hypot(half, luckiest), score + math.hypot(half, half))


def _share(low: float, high: float) -> Interval:
    return max(low, 0.0), min(high, 1.0)


def _spread(standing: Standing, task: Task) -> float:
    """The deviation of single trainings times Student's t, from the interval of their mean."""
    low, high = standing.interval
    overlap = 1 / (FOLDS - 1) if task.folds else 0.0  # see `Comparison`
    share = 1 / standing.n_scored + overlap
    return (high - low) / 2 / math.sqrt(share)


def check(
    folder: Path,
    task: Task,
    settings: Settings,
    study: optuna.Study,
    exported: Exported,
    console: Console,
) -> Check:
    """Runs the script of an export with a fresh seed in a process without this project.

    What it prints is shown. Then the model is asked in another process.
    """
    interval = expected(study, task, exported.number, exported.record)
    seed = secrets.randbelow(2**31)
    files = []
    if DATA[task.name].has_files:
        files = ["--data", str(fetch(task.name, settings.data_dir)[0].parent.resolve())]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hpsearch-") as place:
        command = [sys.executable, "-I", "-c", _CLEAN, str((folder / "train.py").resolve())]
        status, output = _run([*command, "--seed", str(seed), *files], Path(place), console)
    score = _printed(output, task.goal.metric)
    verified, note = _judgement(study, status, score, interval)
    stored = exported.score(task.goal.metric)
    problem = model_problem(task.name, folder, settings.data_dir, exported.division, stored)
    if problem:
        verified, note = False, f"{note}; {problem}" if verified is False else problem
    elif verified:
        note = f"{note}; model.keras scores as its training did"
    seconds = round(time.monotonic() - started, 1)
    return Check(verified, score, interval, seed, seconds, note)


def _judgement(
    study: optuna.Study, status: int, score: float | None, interval: Interval | None
) -> tuple[bool | None, str]:
    metric = study.user_attrs["metric"]
    if status or score is None or not math.isfinite(score):
        reason = f"with status {status}" if status else f"with {metric} {score}"
        return False, f"train.py ended {reason}"
    if interval is None:
        return None, f"train.py runs, but {_why_no_interval(study)}"
    low, high = interval
    between = f"{low:.4f} to {high:.4f}, where {LEVEL:.0%} of such trainings end"
    if low - ROUNDING <= score <= high + ROUNDING:
        return True, f"train.py reached {metric} {score:.4f}, inside {between}"
    side = "below" if score < low else "above"
    return False, f"train.py reached {metric} {score:.4f}, {side} {between}"


def _why_no_interval(study: optuna.Study) -> str:
    remedy = "search on with more time for finalists"
    if verdict(study) is None:
        return f"there are no finalists to compare its score with: {remedy}"
    return f"its study's finalists have one draw each, too few for an interval: {remedy}"


def _run(command: list[str], folder: Path, console: Console) -> tuple[int, str]:
    """Exit status and output, which is shown while it comes."""
    lines = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                if not _NOISE.match(line):
                    lines.append(line)
                    console.print(f"  {line.rstrip()}", markup=False, style="dim", soft_wrap=True)
        except BaseException:
            process.kill()
            raise
    return process.returncode, "".join(lines)


def _environment() -> dict[str, str]:
    """The user's, without what could change the script or lead to this project."""
    foreign = ("PYTHON", "KERAS_", "HPSEARCH_", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


def _printed(output: str, metric: str) -> float | None:
    found = re.findall(rf"^{metric}: (\S+)$", output, re.MULTILINE)
    return float(found[-1]) if found else None
