"""Finalists: which configs are trained again, on which seeds or folds, and what is left."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import optuna

from pipelines.segment import Cause, SegmentResult
from pipelines.splits import FOLDS
from pipelines.tasks import Task
from search import study as studies
from search.dispatch import Work
from search.finalists import verdict as verdicts
from search.finalists.verdict import LEAST_DRAWS, Retraining
from search.settings import Settings
from search.study import Record
from search.tracking.trial_log import trial_name
from spaces.presets import PRESETS

LEAST_SHARE = 0.25
MOST_SHARE = 0.5
"""Of a budget, that may be kept for the finalists."""
HEADROOM = 1.1
"""A retraining may take a little longer than its trial did."""
SEEDS = 3
REPEATS = 2
"""Of all folds, for tasks whose finalists are compared on folds."""
LEAST_CONFIGS = 2
FRESH = 2**32
"""Where the finalists' stream of seeds begins: no trial has such a number."""


@dataclass(eq=False)
class Attempt(Work):
    """A retraining that is to be done, or that a worker is at.

    Attributes:
        number: The trial whose config it is.
        expected_seconds: What it will take: as long as other retrainings of the config, or else
            as long an epoch as in the trial.
    """

    number: int
    draw: int
    expected_seconds: float

    @property
    def name(self) -> str:
        """As people read it: t017 seed 1, or t017 fold 1 for the first fold."""
        kind = "seed" if self.division == "search" else "fold"
        return f"{trial_name(self.number)} {kind} {self.draw + 1}"

    @property
    def key(self) -> tuple[int, int]:
        return self.number, self.draw

    def retraining(self) -> Retraining:
        record = self.record
        failed = record.state == "failed"
        return Retraining(
            number=self.number,
            draw=self.draw,
            seed=record.seed,
            last={} if failed else record.best,
            epochs=record.epoch,
            train_seconds=record.train_seconds,
            run_id=record.run_id,
            cause=record.cause,
        )

    def trained(self, result: SegmentResult) -> None:
        """Takes a segment's result in."""
        self.checkpoint = result.checkpoint
        self.record = self.record.with_segment(result)
        if result.stop == "diverged":
            epoch = studies.epoch_text(self.record.epoch)
            self.fail("diverged", f"the loss was no number at epoch {epoch}")
        elif result.stop is not None:
            self.record = replace(self.record, state="completed", note="all epochs trained")

    def fail(self, cause: Cause, note: str) -> None:
        self.record = replace(self.record, state="failed", cause=cause, note=note)


def n_draws(task: Task, settings: Settings) -> int:
    """On how many fresh seeds or folds each finalist is trained."""
    return settings.draws or (REPEATS * FOLDS if task.folds else SEEDS)


def kept_seconds(study: optuna.Study | None, settings: Settings) -> float:
    """Seconds of the budget that are not for trials, by what is known so far.

    As much as the best configs need for the draws on which they must meet; nothing where the most
    that is kept would not do for the best of them once.
    """
    budget = settings.budget_seconds
    if budget is None or not settings.finalists:
        return 0.0
    best = select(study, settings.finalists)[:LEAST_CONFIGS] if study else []
    if best and HEADROOM * _whole_seconds(best[0][1]) > MOST_SHARE * budget:
        return 0.0
    of_workers = LEAST_DRAWS * HEADROOM * sum(_whole_seconds(trial) for _, trial in best)
    return min(max(of_workers / settings.workers, LEAST_SHARE * budget), MOST_SHARE * budget)


def select(study: optuna.Study, count: int) -> list[tuple[int, Record]]:
    """The best completed trials by their own score, and the best preset; no config twice.

    The preset may have been pruned: what the tutorials reach is to be seen beside the others.
    """
    if not count:
        return []
    scored = studies.best_first(study, ("completed", "pruned"))
    ranked = sorted(scored, key=lambda pair: pair[1].state != "completed")
    chosen: list[tuple[int, Record]] = []
    for pair in ranked:
        if pair[1].state != "completed" or len(chosen) == count:
            break
        if not _holds(chosen, pair[1]):
            chosen.append(pair)
    preset = next((pair for pair in ranked if pair[1].preset in PRESETS), None)
    if chosen and preset and not _holds(chosen, preset[1]):
        chosen.append(preset)
    return chosen


def _holds(chosen: Sequence[tuple[int, Record]], record: Record) -> bool:
    return any(record.config == other.config for _, other in chosen)


def plan(study: optuna.Study, task: Task, settings: Settings) -> list[Attempt]:
    """Every retraining that the settings ask for, round by round: all configs on each draw.

    So the configs have been compared on the same draws whenever it ends.
    """
    finalists = select(study, settings.finalists)
    seconds = {number: _expected_seconds(study, number, trial) for number, trial in finalists}
    return [
        Attempt(
            trial.parsed_config().without_patience(),
            Record(trial.config, seed_of(settings.seed, draw), preset=trial.preset),
            number,
            draw,
            seconds[number],
            division=draw if task.folds else "search",
        )
        for draw in range(n_draws(task, settings))
        for number, trial in finalists
    ]


def _whole_seconds(trial: Record) -> float:
    """What the whole schedule takes, of which the trial may have trained a part."""
    return trial.worker_seconds * trial.parsed_config().training.epochs / trial.epoch


def _expected_seconds(study: optuna.Study, number: int, trial: Record) -> float:
    own = [each for each in verdicts.retrainings(study) if each.number == number]
    took = [each.train_seconds for each in own if not each.cause]
    if not took:
        return _whole_seconds(trial)
    return statistics.fmean(took) + trial.worker_seconds - trial.train_seconds


def missing(study: optuna.Study, task: Task, settings: Settings) -> list[Attempt]:
    """What of the plan is neither done nor needless."""
    planned = plan(study, task, settings)
    done = {(each.number, each.draw) for each in verdicts.retrainings(study)}
    out = verdicts.dropped(study, {attempt.number for attempt in planned})
    return [each for each in planned if each.key not in done and each.number not in out]


def most_telling_first(attempts: Sequence[Attempt], worker_seconds: float) -> list[Attempt]:
    """The attempts in the order to train them in where so much time of workers is left.

    Where it does not reach for all, fewer configs meet on `LEAST_DRAWS`: of five on one draw
    each nobody could say which is better.
    """
    numbers = list(dict.fromkeys(attempt.number for attempt in attempts))
    count = len(numbers)
    while True:
        chosen = set(numbers[:count])
        first = [each for each in attempts if each.draw < LEAST_DRAWS and each.number in chosen]
        seconds = sum(attempt.expected_seconds for attempt in first)
        if seconds <= worker_seconds or count <= LEAST_CONFIGS:
            return [*first, *(each for each in attempts if each not in first)]
        count -= 1


def seed_of(study_seed: int, draw: int) -> int:
    """The seed of a draw, the same for all configs and no trial's."""
    return studies.seed_of(study_seed, FRESH + draw)
