"""The winner against the presets of its study, and against what the tutorials report."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import optuna

from pipelines.tasks import Task
from search import study as studies
from search.evaluation.ledger import latest
from search.finalists import verdict as verdicts
from search.finalists.comparison import LEVEL, UNKNOWN, Interval
from search.finalists.verdict import Standing
from search.report.words import listed, pair, signed
from spaces.presets import PRESETS, Preset, presets_of


@dataclass(frozen=True)
class Gain:
    """How much better the winner is than the best preset of its study.

    Attributes:
        gain: Positive where the winner is better.
        interval: 95 %, of finalists; infinite if too little is known.
    """

    preset: str
    gain: float
    interval: Interval

    @property
    def known(self) -> bool:
        return math.isfinite(self.interval[0])

    def text(self, metric: str) -> str:
        low, high = self.interval
        between = f" (95 % interval {pair(low, high, metric)})" if self.known else ""
        unclear = ", no clear difference" if self.known and low <= 0 <= high else ""
        way = "better" if self.gain >= 0 else "worse"
        size = signed(abs(self.gain), metric).removeprefix("+")
        return f"{size} {way} than the best preset, {self.preset}{between}{unclear}"


def gain(study: optuna.Study, number: int, standing: Standing | None) -> Gain | None:
    """None where no preset has completed, or the winner is one itself.

    Of finalists their draws are compared; else the trials' own scores.
    """
    metric = study.user_attrs["metric"]
    sign = 1.0 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1.0
    own = _finalists_gain(study, standing, sign) if standing else None
    if own is not None:
        return own
    completed = studies.best_first(study, ("completed",))
    score = dict(completed)[number].best[metric]
    presets = [record for _, record in completed if record.preset in PRESETS]
    if not presets:
        return None
    return Gain(presets[0].preset, sign * (score - presets[0].best[metric]), UNKNOWN)


def _finalists_gain(study: optuna.Study, standing: Standing, sign: float) -> Gain | None:
    found = verdicts.verdict(study)
    presets = [s for s in found.standings if s.record.preset in PRESETS] if found else []
    scored = [each for each in presets if each.n_scored]
    if not scored or not standing.n_scored:
        return None
    other = max(scored, key=lambda each: sign * each.mean)
    difference = sign * (standing.mean - other.mean)
    half = verdicts.comparison(study).half_width(standing.number, other.number, (1 + LEVEL) / 2)
    return Gain(other.record.preset, difference, (difference - half, difference + half))


def tutorials_text(task: Task, study: optuna.Study, number: int, runs_dir: Path) -> str:
    """What the tutorials report, beside what may be held against it: a score on the test set."""
    best = _best_reported(task)
    if best is None:
        told = [p.reported for p in presets_of(task.name) if p.reported != "none"]
        if not told:
            return "the tutorials report no figure to compare with"
        return f"the tutorials report {listed(told)}: no figure of unseen rows"
    preset, percent = best
    found = latest(runs_dir, study, number)
    if found and "accuracy" in found.scores:
        ours = f"this network scores {100 * found.scores['accuracy'].mean:.2f} % there"
    else:
        ours = "this network has not been tested there (`hpsearch evaluate` does it)"
    return f"the tutorials report up to {percent:.2f} % on the test rows ({preset.name}); {ours}"


def _best_reported(task: Task) -> tuple[Preset, float] | None:
    """The preset with the best test accuracy that its author reports, in percent."""
    found = [(p, re.search(r"([\d.]+) % test", p.reported)) for p in presets_of(task.name)]
    figures = [(preset, float(match[1])) for preset, match in found if match]
    return max(figures, key=lambda each: each[1], default=None)
