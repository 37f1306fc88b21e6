"""What a study's trials say of their configs: the values used, and the score they came to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.study import StudyDirection
from pydantic import ValidationError

from search import study as studies
from search.study import Record
from spaces.domains import Value
from spaces.errors import InputError
from spaces.space import Space

Floats = NDArray[np.float64]

LEAST_PAIRS = 5
"""Completed trials from which on the gain after a rung is a line and not one number."""
JUST_AFTER = 1e-6
"""Epochs are sums of fractions."""


@dataclass(frozen=True)
class Evidence:
    """The trials of a study that tell how good their config is, in the order of their numbers.

    Attributes:
        metric: As the rows of a record name it.
        sign: 1 where a larger score is better, else -1.
        records: With their numbers; of one that diverged at once without rows.
        values: By trial, what its config uses, as the space encodes it.
        scores: What each trial reached; of a pruned one what it would probably have reached, of
            one that diverged the worst that any other has.
        measured: Whether the trial completed, so that its score is not an expected one.
        left_out: Trials with a score whose config lies outside the space of today.
        at_epoch: Where no trial has completed, the epoch at which `scores` compares them.
    """

    metric: str
    sign: float
    records: tuple[tuple[int, Record], ...]
    values: tuple[dict[str, Value], ...]
    scores: Floats
    measured: NDArray[np.bool_]
    left_out: int
    at_epoch: float | None = None

    def __len__(self) -> int:
        return len(self.records)


def evidence(study: optuna.Study, space: Space) -> Evidence:
    """All that a study knows of scores, the pruned trials included.

    What failed for another reason than its config's own divergence says nothing of the score.
    """
    metric = study.user_attrs["metric"]
    sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
    pairs = [(trial.number, studies.read(trial)) for trial in study.get_trials(deepcopy=False)]
    telling = [(n, record) for n, record in pairs if record and _tells(record, metric)]
    encoded = [(n, record, _encoded(record, space)) for n, record in telling]
    found = [(n, record, values) for n, record, values in encoded if values is not None]
    if all(_diverged(record) for _, record, _ in found):
        found = []
    records = [record for _, record, _ in found]
    scores, at_epoch = expected_scores(records, metric, sign)
    return Evidence(
        metric=metric,
        sign=sign,
        records=tuple((number, record) for number, record, _ in found),
        values=tuple(values for _, _, values in found),
        scores=scores,
        measured=np.array([record.state == "completed" for record in records], bool),
        left_out=sum(values is None for _, _, values in encoded),
        at_epoch=at_epoch,
    )


def expected_scores(
    records: Sequence[Record], metric: str, sign: float
) -> tuple[Floats, float | None]:
    """A score for each trial, and the epoch it is of where they are not the final ones.

    A completed trial has its best one. To that of a pruned one is added what completed trials
    gained between the epoch at which it ended and their own end: the median of it, or from
    `LEAST_PAIRS` of them on a line in the score at that epoch, since who is behind gains more.
    Nobody is expected to beat all who were measured. Where none has completed, trials are
    compared at the last epoch that all of them have seen.
    """
    found = np.array([sign * record.best.get(metric, math.nan) for record in records], float)
    finished = [record for record in records if record.state == "completed"]
    scored = [record for record in records if not _diverged(record)]
    at_epoch = None
    if finished:
        ends = np.array([sign * record.best[metric] for record in finished], float)
        for epoch in {record.epoch for record in records if record.state == "pruned"}:
            there = np.array([_best_until(each, epoch, metric, sign) for each in finished])
            known = np.isfinite(there)
            for position, record in enumerate(records):
                if record.state == "pruned" and record.epoch == epoch:
                    own = found[position]
                    gain = _gain(there[known], ends[known], float(own))
                    found[position] = min(max(own, own + gain), max(ends.max(), own))
    elif scored:
        at_epoch = min(record.epoch for record in scored)
        early = np.array([_best_until(each, at_epoch, metric, sign) for each in records])
        found = np.where(np.isfinite(early), early, found)
    diverged = np.array([_diverged(record) for record in records], bool)
    if diverged.any() and not diverged.all():
        found[diverged] = found[~diverged].min()
    return sign * found, at_epoch


def _tells(record: Record, metric: str) -> bool:
    if _diverged(record):
        return True
    scored = math.isfinite(record.best.get(metric, math.nan))
    return scored and record.state in ("completed", "pruned")


def _diverged(record: Record) -> bool:
    return record.state == "failed" and record.cause == "diverged"


def _encoded(record: Record, space: Space) -> dict[str, Value] | None:
    """None where the config does not lie in the space, or is of another version."""
    try:
        return space.encode(record.parsed_config())
    except (InputError, ValidationError):
        return None


def _best_until(record: Record, epoch: float, metric: str, sign: float) -> float:
    """The best score up to an epoch, larger is better; NaN before the first."""
    rows = [row for row in record.rows if row["epoch"] <= epoch + JUST_AFTER]
    seen = [sign * row.get(metric, math.nan) for row in rows]
    return max((score for score in seen if math.isfinite(score)), default=math.nan)


def _gain(there: Floats, ends: Floats, score: float) -> float:
    """What a trial with that score would have gained, as those did that went on."""
    if len(there) == 0:
        return 0.0
    gains = ends - there
    if len(there) < LEAST_PAIRS or np.ptp(there) == 0:
        return float(np.median(gains))
    slope = np.polyfit(there, gains, 1)[0]
    # Nobody gains less for being further behind, nor more than the whole distance.
    slope = min(max(float(slope), -1.0), 0.0)
    return float(slope * score + np.mean(gains - slope * there))
