"""Which trial a free worker of a replayed search trains next, and how far.

Stopping policies ask Optuna's pruners on a study in memory; promoting and screening ones, which
Optuna does not have, pause a trial and go on with it from its checkpoint later.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from benchmarks.replay_worlds import Curve


@dataclass(eq=False)
class Run:
    """A trial in a replay; `point` and `rung` are where it stands."""

    trial: optuna.Trial
    curve: Curve
    point: int = -1
    rung: int = 0
    paused: bool = False

    @property
    def score(self) -> float:
        return self.curve.scores[self.point]

    @property
    def over(self) -> bool:
        return self.point == len(self.curve.epochs) - 1

    @property
    def completed(self) -> bool:
        return self.over and not self.curve.diverged


class Source(Protocol):
    """Where configs come from."""

    study: optuna.Study

    def next(self) -> Run | None:
        """A new trial; None when there are no more configs."""


class Scheduler(Protocol):
    """A search policy."""

    def next(self) -> Run | None:
        """What a free worker trains; None if there is nothing to do."""

    def until(self, run: Run) -> int:
        """The point of its curve at which to decide again."""

    def reached(self, run: Run) -> None: ...


@dataclass(frozen=True)
class Levels:
    """Where to decide on a trial: `resources` in epochs, or in seconds, with Optuna's steps."""

    resources: Sequence[float]
    steps: Sequence[int]
    in_seconds: bool = False

    def point(self, run: Run) -> int:
        last = len(run.curve.epochs) - 1
        if run.rung >= len(self.resources):
            return last
        find = run.curve.point_after if self.in_seconds else run.curve.point_at
        return min(max(find(self.resources[run.rung]), run.point + 1), last)


def end(study: optuna.Study, run: Run) -> None:
    """Tells Optuna that a training is over, a diverged one as the project's search does."""
    if run.completed:
        study.tell(run.trial, run.score)
    else:
        run.trial.set_constraint("diverged", 1.0)
        study.tell(run.trial, state=TrialState.PRUNED)


class Stopping:
    """A trial goes on at once or never."""

    def __init__(self, source: Source, levels: Levels) -> None:
        self._source, self._levels = source, levels
        self._ready: list[Run] = []

    def next(self) -> Run | None:
        return self._ready.pop() if self._ready else self._source.next()

    def until(self, run: Run) -> int:
        return self._levels.point(run)

    def reached(self, run: Run) -> None:
        study = self._source.study
        if run.over:
            end(study, run)
            return
        run.trial.report(run.score, self._levels.steps[run.rung])
        run.rung += 1
        if run.trial.should_prune():
            study.tell(run.trial, state=TrialState.PRUNED)
        else:
            self._ready.append(run)


class Promoting:
    """Asynchronous successive halving as first published: the best of a rung are taken up again.

    With `thrifty` the trial with the shortest way to its next rung is promoted first, not the
    one on the highest rung.
    """

    def __init__(
        self, source: Source, levels: Levels, factor: int, *, thrifty: bool = False
    ) -> None:
        self._source, self._levels = source, levels
        self._factor, self._thrifty = factor, thrifty
        self._rungs: list[list[tuple[float, Run]]] = [[] for _ in levels.resources]

    def next(self) -> Run | None:
        promotable = [run for i in range(len(self._rungs)) if (run := self._best_paused(i))]
        if not promotable:
            return self._source.next()
        run = min(promotable, key=self._way) if self._thrifty else promotable[-1]
        _resume(self._source.study, run)
        return run

    def until(self, run: Run) -> int:
        return self._levels.point(run)

    def reached(self, run: Run) -> None:
        if run.over:
            end(self._source.study, run)
            return
        run.trial.report(run.score, self._levels.steps[run.rung])
        self._rungs[run.rung].append((run.score, run))
        run.rung += 1
        _pause(self._source.study, run)

    def _best_paused(self, index: int) -> Run | None:
        """The best trial that waits on a rung and belongs to the best that came there."""
        rung = self._rungs[index]
        rung.sort(key=lambda pair: -pair[0])
        best = (run for _, run in rung[: len(rung) // self._factor])
        return next((run for run in best if run.paused and run.rung == index + 1), None)

    def _way(self, run: Run) -> float:
        return run.curve.seconds[self.until(run)] - run.curve.seconds[run.point]


class Screening:
    """Trains `size` configs for one epoch and then finishes them, best first; then the next."""

    def __init__(self, source: Source, size: int) -> None:
        self._source, self._size = source, size
        self._n_begun = 0
        self._screened: list[Run] = []

    def next(self) -> Run | None:
        if not self._screened and self._n_begun >= self._size:
            self._n_begun = 0
        if self._n_begun < self._size and (run := self._source.next()):
            self._n_begun += 1
            return run
        if not self._screened:
            return None
        best = max(self._screened, key=lambda run: run.score)
        self._screened.remove(best)
        _resume(self._source.study, best)
        return best

    def until(self, run: Run) -> int:
        return run.curve.point_at(1.0) if run.rung == 0 else len(run.curve.epochs) - 1

    def reached(self, run: Run) -> None:
        if run.over:
            end(self._source.study, run)
            return
        run.rung += 1
        self._screened.append(run)
        run.trial.report(run.score, 1)
        _pause(self._source.study, run)


def _pause(study: optuna.Study, run: Run) -> None:
    """Shows the trial as a pruned one, from which TPE learns as it does from those."""
    run.paused = True
    _set_state(study, run, TrialState.PRUNED)


def _resume(study: optuna.Study, run: Run) -> None:
    run.paused = False
    _set_state(study, run, TrialState.RUNNING)


def _set_state(study: optuna.Study, run: Run, state: TrialState) -> None:
    """Optuna would not let an ended trial go on; the storage in memory has no such scruples."""
    storage = study._storage
    if not isinstance(storage, optuna.storages.InMemoryStorage):
        raise TypeError("only a study in memory can be paused")
    stored = copy.copy(storage.get_trial(run.trial._trial_id))
    stored.state = state
    storage._set_trial(run.trial._trial_id, stored)
    study._thread_local.cached_all_trials = None


class GentlePruner(BasePruner):
    """Successive halving that goes easy on trials while it knows few.

    Args:
        factor: One in so many goes on.
        spared: So many at a rung go on unseen.
        calm: Until so many have come to a rung, the better half goes on.
    """

    def __init__(self, factor: int, *, spared: int = 0, calm: int = 0) -> None:
        self._factor, self._spared, self._calm = factor, spared, calm

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        values = [
            other.intermediate_values[step]
            for other in study.get_trials(deepcopy=False)
            if step in other.intermediate_values
        ]
        if step is None or len(values) <= self._spared:
            return False
        factor = 2 if len(values) < self._calm else self._factor
        n_best = max(1, len(values) // factor)
        return trial.intermediate_values[step] < sorted(values)[-n_best]
