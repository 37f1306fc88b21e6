"""Pruner audit: a few trials that would be pruned may finish, to see what pruning costs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import optuna
from optuna.study import StudyDirection
from scipy.stats import beta

from search import study as studies
from search.study import Record

DRAWN = 0.2
"""Share of the trials to be pruned that are drawn for the audit."""
EXTRA_EPOCHS = 0.1
"""The audit may cost this share of all epochs; while it cannot pay a whole training it waits."""
TOP = 5
"""Places that would be a loss: as many as there are finalists."""


def is_drawn(seed: int) -> bool:
    """Whether a trial with this seed is among those that may finish, if it can be paid."""
    # Not the trial's own stream of random numbers, which its weights are drawn from.
    return bool(np.random.default_rng([seed, 1]).random() < DRAWN)


class Purse:
    """What the audit may still spend, in epochs."""

    def __init__(self, whole_training: int) -> None:
        self._whole = whole_training
        self._trained = self._spent = 0.0

    def count(self, record: Record) -> None:
        """Takes in a trial that has ended."""
        self._trained += record.epoch
        if record.audited_from:
            self._spent += record.epoch - record.audited_from

    def pays(self, n_open: int) -> bool:
        """Whether one more may finish beside `n_open` that are still at it.

        Asked for a whole training, not for the rest of one: those judged late are not preferred.
        """
        return self._spent + (n_open + 1) * self._whole <= EXTRA_EPOCHS * self._trained


@dataclass(frozen=True)
class Audited:
    """A trial that would have been pruned, and finished.

    Attributes:
        epoch: At which it would have been pruned.
        then: Its best score by that epoch.
        score: Its best score in the end.
        place: Among all completed trials of the study; 1 is the best.
    """

    number: int
    epoch: float
    then: float
    score: float
    place: int


@dataclass(frozen=True)
class Audit:
    """What pruning saved and cost in one study.

    Attributes:
        n_trials: That have ended and were not broken off by a failure.
        n_pruned: Those among them that were pruned.
        saved_seconds: Of training; by the mean length of trials that were not pruned.
        trained_seconds: What all the trials took.
        extra_seconds: What the audited trials took after they would have been pruned.
    """

    audited: tuple[Audited, ...]
    n_trials: int
    n_pruned: int
    saved_seconds: float
    trained_seconds: float
    extra_seconds: float

    @cached_property
    def n_lost(self) -> int:
        """Audited trials that came out among the best `TOP`."""
        return sum(each.place <= TOP for each in self.audited)

    @cached_property
    def most_lost(self) -> float:
        """Share of the pruned trials that may have been among the best: 95 % upper bound.

        Clopper and Pearson, one-sided.
        """
        n, lost = len(self.audited), self.n_lost
        return float(beta.ppf(0.95, lost + 1, n - lost)) if lost < n else 1.0


def audit(study: optuna.Study) -> Audit | None:
    """The audit of a study; None while nothing has been pruned or audited."""
    found = [(t.number, studies.read(t)) for t in study.get_trials(deepcopy=False)]
    ended = [(n, r) for n, r in found if r and r.state in ("completed", "pruned") and r.rows]
    pruned = [record for _, record in ended if record.state == "pruned"]
    whole = [record for _, record in ended if record.state == "completed"]
    metric = study.user_attrs["metric"]
    sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
    scores = [sign * record.best[metric] for record in whole]
    audited = tuple(
        Audited(
            number,
            record.audited_from,
            _best_until(record, metric, sign),
            record.best[metric],
            1 + sum(score < sign * record.best[metric] for score in scores),
        )
        for number, record in ended
        if record.state == "completed" and record.audited_from
    )
    if not pruned and not audited:
        return None
    length = float(np.mean([record.epoch for record in whole])) if whole else 0.0
    return Audit(
        audited=audited,
        n_trials=len(ended),
        n_pruned=len(pruned),
        saved_seconds=sum(max(0.0, length - r.epoch) * _epoch_seconds(r) for r in pruned),
        trained_seconds=sum(record.train_seconds for _, record in ended),
        extra_seconds=sum(
            (r.epoch - r.audited_from) * _epoch_seconds(r) for r in whole if r.audited_from
        ),
    )


def lines(found: Audit) -> list[str]:
    """What the audit says, a sentence each."""
    n_judged = found.n_pruned + len(found.audited)
    whole = found.trained_seconds + found.saved_seconds - found.extra_seconds
    said = [
        (
            f"Of {found.n_trials} trials {n_judged} fell behind at a rung;"
            f" {found.n_pruned} of these were ended there."
        ),
        (
            f"That saved about {found.saved_seconds / 60:.1f} of {whole / 60:.1f} minutes of"
            " training, had they trained as long as the others do on average."
        ),
    ]
    if not found.audited:
        return [*said, "None was let finish yet, so nothing is known of what pruning has cost."]
    n = len(found.audited)
    return [
        *said,
        (
            f"{n} drawn by chance {'was' if n == 1 else 'were'} let finish, for"
            f" {found.extra_seconds / 60:.1f} minutes of training:"
            f" {found.n_lost or 'none'} came out among the best {TOP}."
        ),
        f"So of those that were ended at most {found.most_lost:.0%} would have (95 % bound).",
    ]


def _best_until(record: Record, metric: str, sign: float) -> float:
    seen = [row[metric] for row in record.rows if row["epoch"] <= record.audited_from + 1e-6]
    return min(seen, key=lambda score: sign * score)


def _epoch_seconds(record: Record) -> float:
    return record.train_seconds / record.epoch if record.epoch else 0.0
