"""TrialBook: all that must be written down when something happens to a trial. The one writer."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipelines.segment import Cause, SegmentResult
from pipelines.tasks import Task
from search import audit, sampler
from search import study as studies
from search.active import Active
from search.checkpoints import Checkpoints
from search.settings import Settings
from search.study import Record, State
from spaces.config import Config, Training
from spaces.space import Space
from spaces.starts import STARTS

FILES_AT_ONCE = 8


class TrialLog(Protocol):
    """Where people look at trials. It may fail without harm: the study is the record."""

    def begin(self, number: int, record: Record) -> str:
        """Opens the trial's run, or goes on with `record.run_id`; returns the run's id."""

    def progress(self, record: Record, rows: list[dict[str, float]]) -> None: ...

    def end(self, record: Record, artifacts: Mapping[str, bytes]) -> bool:
        """Closes the run; whether all of it is stored."""

    def best_so_far(self, scores: Mapping[int, float]) -> None:
        """Shows the best score there was, by the number of trials that had ended."""


class TrialBook:
    """Trials as the study, the checkpoints and the log hold them.

    The order of writing is the promise: first the study, then the log. What the log misses can
    be made again from the study and the checkpoint.

    Attributes:
        counts: Ended trials of the whole study by state, without those taken over from another.
        best: Number and record of the best completed trial.
        quickest_seconds: What the cheapest completed trial took of a worker; 0 while none has.
        n_ended_here: Trials that ended since this book was opened.
    """

    def __init__(
        self,
        task: Task,
        space: Space,
        study: optuna.Study,
        settings: Settings,
        training: Training,
        log: TrialLog,
    ) -> None:
        self._goal, self._first_rung = task.goal, task.first_rung
        self._starts = STARTS.get(task.name, {})
        self._space, self._study, self._training, self._log = space, study, training, log
        self._seed = settings.seed
        self._checkpoints = Checkpoints(settings.runs_dir, study.study_name)
        self.counts: dict[State, int] = {"completed": 0, "pruned": 0, "failed": 0}
        self.best: tuple[int, Record] | None = None
        self.quickest_seconds = 0.0
        self.n_ended_here = 0
        self._purse = audit.Purse(training.epochs)
        self._in_audit: set[int] = set()
        self._unshown: deque[Callable[[], None]] = deque()
        self._unshown_best: dict[int, float] = {}

    @property
    def n_finished(self) -> int:
        return sum(self.counts.values())

    def take_up(self) -> list[Active]:
        """Counts the ended trials; returns those that a former search left undone.

        They are trials whose training is not over, and ended ones whose artifacts are missing.
        """
        undone = []
        for stored in self._study.get_trials(deepcopy=False):
            record = studies.read(stored)
            if stored.state == TrialState.RUNNING:
                undone.append(self._adopt(stored, record))
                if undone[-1].record.ended:  # the coordinator died before it could tell
                    self._settle(undone[-1])
            elif record is not None:
                self._count(stored.number, record, own=studies.ORIGIN not in stored.user_attrs)
                if self._checkpoints.holds(stored.number):
                    undone.append(self._adopt(stored, record))
        return undone

    def ask(self, fits: Callable[[Config], bool] = lambda _: True) -> Active:
        """The trial that the sampler wants next: one that `fits`, if it draws one."""
        return self._new(sampler.ask(self._study, self._space, fits))

    def opened(self, active: Active) -> None:
        """Writes down that the trial is in work, and shows it to people."""
        if not active.record.ended:
            self._write(active)
        run_id = self._log.begin(active.number, active.record)
        if run_id == active.record.run_id:
            return
        active.record = replace(active.record, run_id=run_id)
        if active.record.ended:
            studies.write_run(self._study, active.number, run_id)
        else:
            self._write(active)

    def trained(self, active: Active, result: SegmentResult) -> None:
        """Takes a segment's result in and judges whether the trial is over; `keep` comes next."""
        active.checkpoint = result.checkpoint
        record = active.record.with_segment(result)
        active.record = record = replace(record, rung=record.rung + result.reached)
        epoch = studies.epoch_text(record.epoch)
        if result.stop == "diverged":
            self.failed(active, "diverged", f"the loss was no number at epoch {epoch}")
        elif result.stop == "plateau":
            patience = self._training.patience
            _end(active, "completed", f"early stopping: no better for {patience} epochs")
        elif result.stop == "finished":
            _end(active, "completed", "all epochs trained")
        elif result.reached and not record.audited_from and self._falls_behind(active):
            if self._audits(active):
                active.record = replace(record, audited_from=record.epoch)
                self._in_audit.add(active.number)
            else:
                _end(active, "pruned", f"not in the better half at epoch {epoch}")

    def failed(self, active: Active, cause: Cause, message: str) -> None:
        """Judges the trial to have failed; `keep` comes next."""
        _end(active, "failed", message, cause)

    def keep(self, judged: Sequence[Active]) -> None:
        """Writes down in the study what was judged; `show` shows it to people."""
        self._store(judged)
        for active in judged:
            self._kept(active)

    def _kept(self, active: Active) -> None:
        record = active.record
        if record.ended:
            self._settle(active)
            self.n_ended_here += 1
            if self.best is not None:
                self._unshown_best[self.n_finished] = self.best[1].best[self._goal.metric]
        else:  # the last rows of an ended trial are shown as it is closed
            self._unshown.append(lambda: self._log.progress(record, record.rows))

    def show(self) -> None:
        """Shows people what was kept and closed since the last call."""
        while self._unshown:
            self._unshown.popleft()()
        best, self._unshown_best = self._unshown_best, {}
        if best:
            self._log.best_so_far(best)

    def interrupted(self, active: Active) -> None:
        """Leaves the trial as it is stored, to be taken up by the next search.

        Where its last checkpoint could not be written, that is the one before.
        """
        if not active.record.ended:
            active.record = replace(active.stored or active.record, state="interrupted")
            self._write(active)
        self._log.end(active.record, {})

    def set_aside(self, active: Active) -> None:
        """Interrupts a trial that is kept, once that is shown."""
        self._unshown.append(lambda: self.interrupted(active))

    def closed(self, active: Active, artifacts: Mapping[str, bytes]) -> None:
        """The trial is done with, once it is shown; but for a log that cannot be reached."""

        def close() -> None:
            if self._log.end(active.record, artifacts):
                self._checkpoints.delete(active.number)

        self._unshown.append(close)

    def _adopt(self, stored: FrozenTrial, record: Record | None) -> Active:
        trial = optuna.Trial(self._study, stored._trial_id)
        if record is None:  # the coordinator died between asking and writing
            return self._new(trial)
        record = replace(record, run_id=studies.run_of(self._study, stored.number, record))
        checkpoint = self._checkpoints.load(stored.number, record.epoch)
        if not record.ended:
            record = replace(record, state="running", note="")
            if checkpoint is None:
                record = replace(record, epoch=0.0, rung=0, rows=[], best={}, audited_from=0.0)
            if record.audited_from:
                self._in_audit.add(stored.number)
        return Active(record.parsed_config(), record, trial, checkpoint=checkpoint)

    def _new(self, trial: optuna.Trial) -> Active:
        config = self._space.sample(trial, self._training)
        record = Record(
            config=config.model_dump(mode="json", exclude_none=True),
            seed=studies.seed_of(self._seed, trial.number),
            preset=trial.user_attrs.get("preset", ""),
        )
        return Active(config, record, trial)

    def _falls_behind(self, active: Active) -> bool:
        step = studies.step_of(active.record.epoch, self._first_rung)
        studies.report(active.trial, active.record.best[self._goal.metric], step)
        # Asked for every trial: who never asks does not stand at the rung for others to beat.
        behind = active.trial.should_prune()
        # Our starting points are known to be good in the end, and some begin slowly.
        return behind and active.record.preset not in self._starts

    def _audits(self, active: Active) -> bool:
        return audit.is_drawn(active.record.seed) and self._purse.pays(len(self._in_audit))

    def _store(self, judged: Sequence[Active]) -> None:
        """Writes checkpoints, then the records that name them: a crash leaves fitting pairs.

        The disk takes many files in little more time than one.
        """
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            list(pool.map(self._save, judged))
            for active in judged:
                self._write(active)
            list(pool.map(self._drop_older, judged))

    def _save(self, active: Active) -> None:
        """For an ended trial the file means that its artifacts are missing."""
        number, record = active.number, active.record
        if record.state in ("running", "completed"):
            self._checkpoints.save(number, record.epoch, active.checkpoint or b"")
        else:
            self._checkpoints.mark(number, record.epoch)

    def _drop_older(self, active: Active) -> None:
        self._checkpoints.keep_only(active.number, active.record.epoch)

    def _settle(self, active: Active) -> None:
        studies.tell(self._study, active.trial, active.record)
        self._count(active.number, active.record)

    def _write(self, active: Active) -> None:
        studies.write(self._study, active.trial, active.record)
        active.stored = active.record

    def _count(self, number: int, record: Record, *, own: bool = True) -> None:
        self.counts[record.state] += own
        self._purse.count(record)
        self._in_audit.discard(number)
        if record.state != "completed":
            return
        metric = self._goal.metric
        if self.best is None or self._goal.better(record.best[metric], self.best[1].best[metric]):
            self.best = (number, record)
        if own:
            quickest = self.quickest_seconds or record.worker_seconds
            self.quickest_seconds = min(quickest, record.worker_seconds)


def _end(active: Active, state: State, note: str, cause: str = "") -> None:
    if active.record.audited_from:
        judged = studies.epoch_text(active.record.audited_from)
        note = f"{note}; it would have been pruned at epoch {judged}, and was let finish"
    active.record = replace(active.record, state=state, note=note, cause=cause)
