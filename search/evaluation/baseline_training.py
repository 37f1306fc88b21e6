"""The tutorials' models trained on the engine, each several times, with a forecast of the time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from pipelines.runtime import Runtime
from pipelines.segment import Segment, SegmentFailure, SegmentResult
from pipelines.tasks import Task
from pipelines.whole import train_whole
from search.dispatch import TICK_SECONDS
from search.engine import Engine, Job, WorkerLostError
from search.evaluation.measurements import Measurement, Measurements
from search.settings import Settings
from search.study import Record, epoch_text
from spaces.presets import Preset

LONG_SECONDS = 600.0
DRAWS_OF_LONG = 3
"""So many trainings are enough for a model of which one takes longer than that."""

Log = Callable[[Preset, int, Record], str]
"""Shows people a training that has ended; returns the id of its run, empty if it has none."""


@dataclass(eq=False)
class _Run:
    """The training of a preset with the seed of its `draw`, on its way."""

    preset: Preset
    draw: int
    record: Record
    checkpoint: bytes | None = None


class BaselineTraining:
    """Trains presets until each has its measurements; what is stored is not trained again."""

    def __init__(
        self,
        task: Task,
        settings: Settings,
        measured: Callable[[str, int], Measurement],
        engine: Engine,
        store: Measurements,
        log: Log,
        console: Console,
    ) -> None:
        """The training.

        Args:
            measured: The measurement of a model and draw, with nothing in it yet.
        """
        self._task, self._settings, self._new = task, settings, measured
        self._engine, self._store, self._log, self._console = engine, store, log, console
        self._in_work: dict[Job, _Run] = {}
        self._begun: set[tuple[str, int]] = set()

    def run(self, presets: Sequence[Preset], draws: int) -> None:
        """Trains what is missing: first an epoch of each preset, to know how long it takes."""
        fresh = [self._begin(preset, 0) for preset in presets if not self._stored(preset)]
        begun = list(self._trained(deque(fresh), first_epoch=True))
        queue = deque(run for run in begun if not run.record.ended)
        underway = {run.preset.name: run for run in queue}
        self._forecast(presets, underway, draws)
        for preset in presets:
            if preset.name in underway or self._stored(preset):
                queue += self._further(preset, draws)
        for run in self._trained(queue, first_epoch=False):
            if run.draw == 0:
                queue += self._further(run.preset, draws)

    def _trained(self, queue: deque[_Run], *, first_epoch: bool) -> Iterator[_Run]:
        """Trains what is in the queue, which may grow meanwhile; hands out each run as it ends."""
        while queue or self._in_work:
            while queue and len(self._in_work) < self._engine.n_workers:
                self._send(queue.popleft(), first_epoch=first_epoch)
            for job in self._engine.wait(TICK_SECONDS):
                run = self._in_work.pop(job)
                if self._received(run, job):
                    yield run

    def _send(self, run: _Run, *, first_epoch: bool) -> None:
        settings, task = self._settings, self._task
        segment = Segment(
            key=f"{run.preset.name}/{run.draw}",
            task=task.name,
            config=run.preset.config,
            seed=run.record.seed,
            how=Runtime(1, settings.precision, settings.deterministic),
            data_dir=settings.data_dir,
            data_digest=self._new(run.preset.name, run.draw).data_digest,
            begin=run.record.epoch,
            until=1.0 if first_epoch else float(run.preset.config.training.epochs),
            seconds=float("inf"),
            checkpoint=run.checkpoint,
            division=run.draw if task.folds else "search",
        )
        self._in_work[self._engine.submit(train_whole, segment, near=None)] = run

    def _received(self, run: _Run, job: Job) -> bool:
        """Takes in what came back; False if the worker died, of which nothing is stored."""
        try:
            result, network = job.result()
        except WorkerLostError as error:
            self._console.print(f"{_name(run)}: {error}; the same command tries it again.")
            return False
        run.record = _after(run.record, result)
        if isinstance(result, SegmentResult):
            run.checkpoint = result.checkpoint
        if run.record.ended:
            self._end(run, network)
        return True

    def _end(self, run: _Run, network: bytes) -> None:
        record, name = run.record, run.preset.name
        scores = {k: v for k, v in record.best.items() if k.startswith("val_")}
        measurement = replace(
            self._new(name, run.draw),
            seed=record.seed,
            config=_plain(run.preset),
            validation=scores,
            epochs=record.epoch,
            n_parameters=record.n_parameters,
            train_seconds=record.train_seconds,
            run_id=self._log(run.preset, run.draw, record),
            cause=record.cause,
        )
        self._store.put(measurement, network)
        metric = self._task.goal.metric
        what = f"{metric} {scores[metric]:.4f}" if scores else f"failed: {record.note}"
        self._console.print(
            f"{_name(run)}: {what}, {epoch_text(record.epoch)} epochs,"
            f" {duration_text(record.train_seconds)}"
        )

    def _stored(self, preset: Preset) -> list[Measurement]:
        """Those that still hold: of this very config, data and precision."""
        blank = replace(self._new(preset.name, 0), config=_plain(preset))
        return [m for m in self._store.of(preset.name) if not blank.replaces(m)]

    def _further(self, preset: Preset, draws: int) -> list[_Run]:
        return [self._begin(preset, draw) for draw in self._missing(preset, draws)]

    def _missing(self, preset: Preset, draws: int) -> list[int]:
        """Draws that are neither stored nor begun; of a model yet unknown those that are certain.

        Else a worker would wait for the first of them to end.
        """
        stored = self._stored(preset)
        wanted = n_draws(stored[0].train_seconds, draws) if stored else min(draws, DRAWS_OF_LONG)
        known = {(m.model, m.draw) for m in stored} | self._begun
        return [draw for draw in range(wanted) if (preset.name, draw) not in known]

    def _begin(self, preset: Preset, draw: int) -> _Run:
        self._begun.add((preset.name, draw))
        record = Record(_plain(preset), self._settings.seed + draw, preset=preset.name)
        return _Run(preset, draw, record)

    def _forecast(self, presets: Sequence[Preset], begun: dict[str, _Run], draws: int) -> None:
        """Says how long it will take, where anything is left to be done."""
        total = 0.0
        for preset in presets:
            epochs, name = preset.config.training.epochs, preset.name
            if name in begun:
                seconds = begun[name].record.train_seconds * epochs
                left = n_draws(seconds, draws)
            else:
                left = len(self._missing(preset, draws)) if self._stored(preset) else 0
                seconds = self._stored(preset)[0].train_seconds if left else 0.0
            if left:
                total += left * seconds
                self._console.print(
                    f"{name}: {left} x at most {epochs} epochs,"
                    f" about {duration_text(seconds)} each"
                )
        if total:
            n_workers = self._engine.n_workers
            self._console.print(
                f"All of it takes about {duration_text(total / n_workers)}; it can be stopped"
                " and gone on with at any time."
            )


def n_draws(seconds: float, draws: int) -> int:
    """How many trainings a model gets of which one takes so long."""
    return min(draws, DRAWS_OF_LONG) if seconds > LONG_SECONDS else draws


def duration_text(seconds: float) -> str:
    """As people read it: 0.4 s, 40 s, 12 min, 3 h 05 min."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 9.5 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02d} min" if hours else f"{minutes} min"


def _plain(preset: Preset) -> dict[str, object]:
    return preset.config.model_dump(mode="json")


def _name(run: _Run) -> str:
    return f"{run.preset.name}, seed {run.record.seed}"


def _after(record: Record, result: SegmentResult | SegmentFailure) -> Record:
    """The record with what a segment brought; its `best` is the last row, whose weights count."""
    if isinstance(result, SegmentFailure):
        return replace(record, state="failed", cause=result.cause, note=result.message)
    record = replace(record.with_segment(result), best=result.rows[-1])
    if result.stop == "diverged":
        note = f"the loss was no number at epoch {epoch_text(record.epoch)}"
        return replace(record, state="failed", cause="diverged", note=note, best={})
    if result.stop is None:
        return record
    note = "early stopping" if result.stop == "plateau" else "all epochs trained"
    return replace(record, state="completed", note=note)
