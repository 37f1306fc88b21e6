"""The verdict on finalists: which config is best on fresh seeds, by how much, and how sure."""

import math
import statistics
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass

import optuna
from optuna.study import StudyDirection

from pipelines.splits import FOLDS
from pipelines.tasks import TASKS
from search import study as studies
from search.finalists.comparison import LEVEL, UNKNOWN, Comparison, Interval, Scores
from search.study import Record
from spaces.errors import InputError

DROP_LEVEL = 0.99
"""How sure it must be that a config is worse than the leader before it is dropped.

One-sided, and strict because the leader is picked for its luck and there is a look after every
round. Of six simulated configs, one that was better than the others by one standard deviation of
the luck was dropped 4 times in 1,000 with three seeds and twice with ten folds.
"""
LEAST_DRAWS = 2
"""On which a config must have been scored to win where any has been.

The best of several single scores is mostly the luckiest, which is what finalists are to rule out.
"""
ROUNDING = 1e-9
CLEARLY_MORE = 1.2
"""Times as many weights, or as long: less is the noise of a machine, or no gain to anybody."""

_PREFIX = "retraining_"


@dataclass(frozen=True)
class Retraining:
    """One more training of a trial's config, through its whole schedule, that has ended.

    Attributes:
        number: The trial's.
        draw: Which fresh seed, or which fold, from 0.
        last: The last row, which nothing chose; empty if the training failed.
        run_id: In MLflow; empty unless all of it was stored there.
        cause: Why it failed.
    """

    number: int
    draw: int
    seed: int
    last: dict[str, float]
    epochs: float
    train_seconds: float
    run_id: str = ""
    cause: str = ""


@dataclass(frozen=True)
class Standing:
    """A config among the finalists.

    Attributes:
        mean: Over all draws. For one that a config lacks, the others' scores tell how lucky it
            is; without any such it is the plain mean. Not a number if nothing was scored.
        std: Of its scores; not a number for fewer than two.
        interval: 95 %, of the mean; infinite if too little is known.
        dropped: It was clearly behind, or failed where others did not.
    """

    number: int
    record: Record
    retrainings: tuple[Retraining, ...]
    mean: float
    std: float
    interval: Interval
    dropped: bool

    @property
    def causes(self) -> list[str]:
        """Of the retrainings that failed."""
        return [each.cause for each in self.retrainings if each.cause]

    @property
    def n_scored(self) -> int:
        return len(self.retrainings) - len(self.causes)

    @property
    def seconds(self) -> float:
        """Mean time of a retraining."""
        return statistics.fmean(each.train_seconds for each in self.retrainings)


@dataclass(frozen=True)
class Verdict:
    """What the retrainings say.

    Attributes:
        standings: Best mean first; those with too few draws to win after those with enough,
            those that were dropped last.
        runner_up: Which the winner was compared with; of the best two it may have the better
            mean, where they are tied and it costs clearly more.
        difference: The winner's mean less the runner-up's.
        difference_interval: 95 %; infinite if too little is known.
        tied: The interval of the difference holds zero; the winner is the cheaper of the two, or
            where neither is cheaper the one with the better mean.
        optimism: The search's best score less that trial's mean on fresh seeds; not a number
            if it has none.
        promised: That trial, one of the standings only if it has been trained again.
    """

    standings: tuple[Standing, ...]
    winner: Standing
    runner_up: Standing | None
    difference: float | None
    difference_interval: Interval | None
    tied: bool
    optimism: float
    promised: Standing

    def has_too_few(self, standing: Standing) -> bool:
        """Whether it cannot win yet: the winner was scored on `LEAST_DRAWS`, this one was not."""
        return not standing.causes and standing.n_scored < LEAST_DRAWS <= self.winner.n_scored


def retrainings(study: optuna.Study) -> list[Retraining]:
    """All that are stored, by trial and draw."""
    attributes = study.user_attrs.items()
    found = [Retraining(**fields) for name, fields in attributes if name.startswith(_PREFIX)]
    return sorted(found, key=lambda each: (each.number, each.draw))


def store(study: optuna.Study, retraining: Retraining) -> None:
    study.set_user_attr(f"{_PREFIX}{retraining.number}_{retraining.draw}", asdict(retraining))


def chosen(study: optuna.Study) -> tuple[int, Record, Standing | None]:
    """The winner; where no finalist was trained the best completed trial, without a standing.

    Raises:
        InputError: no trial has completed.
    """
    found = verdict(study)
    if found is not None:
        return found.winner.number, found.winner.record, found.winner
    completed = studies.best_first(study, ("completed",))
    if not completed:
        raise InputError(
            f"No trial of {study.study_name} has completed yet: run the command that began it"
            " for longer."
        )
    return *completed[0], None


def verdict(study: optuna.Study) -> Verdict | None:
    """What the stored retrainings say; None without any."""
    by_number: dict[int, list[Retraining]] = {}
    for each in retrainings(study):
        by_number.setdefault(each.number, []).append(each)
    if not by_number:
        return None
    sign, fit = _sign(study), comparison(study)
    out = dropped(study, by_number)
    trials = study.get_trials(deepcopy=False)
    standings = []
    for number, own in by_number.items():
        record = studies.read(trials[number])
        if record is None:
            raise KeyError(f"trial {number} has retrainings but no record")
        mean, std, interval = fit.mean(number), fit.std(number), fit.mean_interval(number)
        standings.append(Standing(number, record, tuple(own), mean, std, interval, number in out))
    metric = study.user_attrs["metric"]
    standings.sort(key=lambda s: -sign * s.record.best[metric])
    promised = _promised(study, standings)
    standings.sort(key=lambda s: _place(s, sign))
    optimism = promised.record.best[metric] - promised.mean
    return Verdict(tuple(standings), *_compared(standings, fit), optimism, promised)


def best_in_wait(study: optuna.Study) -> int | None:
    """The search's best trial where it has too few retrainings to win while others have enough.

    None where it took part, and where no finalist has been trained at all.
    """
    found = verdict(study)
    if found is None:
        return None
    best = found.promised
    waits = not best.retrainings or found.has_too_few(best)
    return best.number if waits else None


def comparison(study: optuna.Study) -> Comparison:
    """Of all configs that were trained again."""
    return Comparison(_scores(study), overlap=_overlap(study))


def on_folds(study: optuna.Study) -> bool:
    """Whether the draws are folds of the rows, and not seeds alone."""
    task = TASKS.get(study.user_attrs["task"])
    return task is not None and task.folds


def dropped(study: optuna.Study, finalists: Collection[int]) -> set[int]:
    """Which of the finalists, trials by number, are out of the running.

    Replayed from the first round on, where a round is one draw of all that are still in: what a
    search decided is decided again by the next, and by whoever looks at the study.
    """
    scores, sign, overlap = _scores(study), _sign(study), _overlap(study)
    out: set[int] = set()
    n_draws = 1 + max((draw for _, draw in scores), default=-1)
    for n_rounds in range(1, n_draws + 1):
        seen = {key: score for key, score in scores.items() if key[1] < n_rounds}
        if any((number, n_rounds - 1) not in seen for number in set(finalists) - out):
            break
        failed = {number for (number, _), score in seen.items() if math.isnan(score)}
        if set(finalists) - out - failed:
            out |= failed & set(finalists)
        if n_rounds > 1:
            out |= _clear_losers(Comparison(seen, overlap=overlap), set(finalists) - out, sign)
    return out


def _promised(study: optuna.Study, standings: Iterable[Standing]) -> Standing:
    """The best completed trial's; an empty one where a resumed search has just found it."""
    number, record = studies.best_first(study, ("completed",))[0]
    own = (standing for standing in standings if standing.number == number)
    unknown = Standing(number, record, (), math.nan, math.nan, UNKNOWN, dropped=False)
    return next(own, unknown)


def _place(standing: Standing, sign: float) -> tuple[bool, bool, float]:
    """What the standings are sorted by."""
    mean = -sign * round(standing.mean, 9) if standing.n_scored else math.inf
    return standing.dropped, standing.n_scored < LEAST_DRAWS, mean


def _compared(
    standings: list[Standing], fit: Comparison
) -> tuple[Standing, Standing | None, float | None, Interval | None, bool]:
    """Winner, runner-up, their difference with its interval, and whether they are tied.

    A config that failed on a fresh seed cannot win, unless all did; nor can one with fewer than
    `LEAST_DRAWS`, unless all others have fewer, too.
    """
    scored = [standing for standing in standings if standing.n_scored]
    sound = [standing for standing in scored if not standing.causes] or scored
    best = [standing for standing in sound if standing.n_scored >= LEAST_DRAWS] or sound
    if len(best) < 2:
        return (best or standings)[0], None, None, None, False
    winner, runner_up = best[:2]
    half = fit.half_width(winner.number, runner_up.number, (1 + LEVEL) / 2)
    # With a draw each there is no interval yet, and the better mean is all that is known.
    within = math.isfinite(half) and abs(winner.mean - runner_up.mean) <= half + ROUNDING
    tied = within and not runner_up.dropped
    if tied and is_cheaper(runner_up, winner):
        winner, runner_up = runner_up, winner
    difference = winner.mean - runner_up.mean
    return winner, runner_up, difference, (difference - half, difference + half), tied


def is_cheaper(one: Standing, other: Standing) -> bool:
    """Whether it has clearly fewer weights, or about as many and trains in clearly less time."""
    if has_fewer_weights(one, other) or has_fewer_weights(other, one):
        return has_fewer_weights(one, other)
    return other.seconds > CLEARLY_MORE * one.seconds


def has_fewer_weights(one: Standing, other: Standing) -> bool:
    return other.record.n_parameters > CLEARLY_MORE * one.record.n_parameters


def _clear_losers(fit: Comparison, numbers: Iterable[int], sign: float) -> set[int]:
    means = {number: sign * fit.mean(number) for number in numbers}
    means = {number: mean for number, mean in means.items() if math.isfinite(mean)}
    if not means:
        return set()
    leader = max(means, key=lambda number: means[number])
    return {
        number
        for number, mean in means.items()
        if means[leader] - mean > fit.half_width(leader, number, DROP_LEVEL) + ROUNDING
    }


def _scores(study: optuna.Study) -> Scores:
    metric = study.user_attrs["metric"]
    return {
        (each.number, each.draw): math.nan if each.cause else each.last[metric]
        for each in retrainings(study)
    }


def _sign(study: optuna.Study) -> float:
    return 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0


def _overlap(study: optuna.Study) -> float:
    return 1 / (FOLDS - 1) if on_folds(study) else 0.0
