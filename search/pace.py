"""How long a trial takes: measured on a stored study, or guessed from the size of the networks."""

import datetime as dt
import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import optuna

from search import study as studies
from search.finalists.verdict import retrainings
from search.pruner import REDUCTION
from search.sampler import NEIGHBOURS
from search.settings import TRIALS
from search.study import Record, State
from spaces.config import Config

LEAST_TRIALS = 5
HAND_OVER_SECONDS = 3.0
"""Between two trials; more than that and a trial's own length is a pause of the search."""
SECONDS_A_TRIAL = 1.5
"""Beside its training: after docs/speed.md, and a churn study."""


@dataclass(frozen=True)
class Pace:
    """What a trial costs.

    Attributes:
        seconds: Of a worker for a trial, pruned and failed ones included.
        spread: Standard deviation of it between trials, as a share; 0 for a guess.
        n_trials: That it was measured on; 0 for a guess.
        study: Where it was measured; empty for a guess.
        states: How those trials ended.
        retraining_seconds: Of a worker, for a finalist on one seed or fold.
    """

    seconds: float
    spread: float
    n_trials: int
    study: str
    states: Counter[State]
    retraining_seconds: float

    def fitting(self, worker_seconds: float) -> tuple[float, float]:
        """How many trials fit, with what chance alone may add or take (95 %); a guess has none."""
        count = worker_seconds / self.seconds
        if not self.n_trials:
            return count, count
        share = 1.96 * self.spread * math.sqrt(1 / max(count, 1) + 1 / self.n_trials)
        return count / (1 + share), count * (1 + share)


def measured(study: optuna.Study, epochs: int) -> Pace | None:
    """The pace of a study's trials of so many epochs; None with too few of them."""
    spans = _spans(study, epochs)
    if len(spans) < LEAST_TRIALS:
        return None
    wall, workers = _wall_seconds(spans), _most_at_once(spans)
    cost = [record.worker_seconds for _, _, record in spans]
    beside = statistics.fmean(r.worker_seconds - r.train_seconds for _, _, r in spans)
    retrained = [each.train_seconds + beside for each in retrainings(study)]
    completed = [r.worker_seconds for _, _, r in spans if r.state == "completed"]
    return Pace(
        seconds=wall * workers / len(spans),
        spread=statistics.stdev(cost) / statistics.fmean(cost),
        n_trials=len(spans),
        study=study.study_name,
        states=Counter(record.state for _, _, record in spans),
        retraining_seconds=statistics.fmean(retrained or completed or cost),
    )


def guessed(
    drawn: Sequence[Config],
    starts: Sequence[Config],
    presets: Sequence[Config],
    rungs: Sequence[float],
    an_epoch: Callable[[Config], float],
) -> Pace:
    """The mean pace of the first `TRIALS` trials if half go on at each rung and none stops early.

    Starting points are never pruned, and most of what comes later is drawn near the best, which
    is taken to cost as much as the dearest of them.

    Args:
        drawn: From the whole space.
        an_epoch: Guessed seconds of an epoch.
    """
    halved = sum(
        (end - begin) / REDUCTION**number
        for number, (begin, end) in enumerate(pairwise([0.0, *rungs]))
    )
    of_drawn = statistics.fmean(map(an_epoch, drawn))
    of_starts = [an_epoch(config) for config in starts]
    of_best = max(of_starts, default=of_drawn)
    first = [rungs[-1] * seconds for seconds in of_starts]
    first += [halved * an_epoch(config) for config in presets]
    other = halved * (NEIGHBOURS * of_best + (1 - NEIGHBOURS) * of_drawn)
    n_others = max(0, TRIALS - len(first))
    return Pace(
        seconds=SECONDS_A_TRIAL + (sum(first) + n_others * other) / (len(first) + n_others),
        spread=0.0,
        n_trials=0,
        study="",
        states=Counter(),
        retraining_seconds=SECONDS_A_TRIAL + rungs[-1] * of_best,
    )


Span = tuple[dt.datetime, dt.datetime, Record]


def _spans(study: optuna.Study, epochs: int) -> list[Span]:
    """Begin and end of the trials that were trained in one go, in the order of their begin."""
    spans = []
    for trial in study.get_trials(deepcopy=False):
        record, begin, end = studies.read(trial), trial.datetime_start, trial.datetime_complete
        if record is None or begin is None or end is None or not record.worker_seconds:
            continue
        seconds = (end - begin).total_seconds()
        in_one_go = 0.5 * record.worker_seconds < seconds
        in_one_go &= seconds < 2 * record.worker_seconds + 10 * HAND_OVER_SECONDS
        if in_one_go and record.parsed_config().training.epochs == epochs:
            spans.append((begin, end, record))
    return sorted(spans, key=lambda span: span[0])


def _wall_seconds(spans: Sequence[Span]) -> float:
    """The time in which they were trained, without the pauses between two searches."""
    own = statistics.fmean((end - begin).total_seconds() for begin, end, _ in spans)
    seconds, until = 0.0, spans[0][0]
    for begin, end, _ in spans:
        waited = (begin - until).total_seconds()
        seconds += waited if 0 < waited < own + HAND_OVER_SECONDS else 0.0
        seconds += max(0.0, (end - max(begin, until)).total_seconds())
        until = max(until, end)
    return seconds


def _most_at_once(spans: Sequence[Span]) -> int:
    """How many were in work at a time, which is how many workers there were."""
    changes = sorted([(begin, 1) for begin, _, _ in spans] + [(end, -1) for _, end, _ in spans])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
