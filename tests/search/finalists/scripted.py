"""Studies whose trials have ended, and retrainings of their finalists on scripted workers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import optuna

from pipelines.segment import SegmentResult
from pipelines.tasks import Task
from search import study as studies
from search.finalists.selection import Attempt
from search.finalists.training import FinalistTraining
from search.settings import Settings
from search.study import Record
from search.worker_time import WorkerTime
from spaces.config import Config
from tests.fake_engine import FakeClock, FakeEngine, FakeJob, Fault
from tests.fakes import TASK, new_study

METRIC = TASK.goal.metric
Key = tuple[int, int]


def config(units: int) -> Config:
    return Config.model_validate(
        {
            "network": {"layers": [{"units": units}]},
            "optimization": {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 32},
            "training": {"epochs": 9},
        }
    )


def a_study(scores: Sequence[float], presets: Mapping[int, str] | None = None) -> optuna.Study:
    """Completed trials with these scores, numbered from 0, each with a config of its own."""
    study = new_study()
    for number, score in enumerate(scores):
        add(study, score, preset=(presets or {}).get(number, ""))
    return study


def add(study: optuna.Study, score: float, **changes: Any) -> None:
    trial = study.ask()
    record = Record(
        config(4 + trial.number).model_dump(mode="json", exclude_none=True),
        seed=studies.seed_of(0, trial.number),
        state="completed",
        epoch=9.0,
        best={"epoch": 9.0, METRIC: score},
        n_parameters=100 + trial.number,
    )
    record = replace(record, **changes)
    studies.write(study, trial, record)
    studies.tell(study, trial, record)


def attempt_of(job: FakeJob) -> Key:
    """Trial and draw that a job is for."""
    _, _, draw, number = job.segment.key.split("/")
    return int(number), int(draw)


class DrawingEngine(FakeEngine):
    """Workers whose scores depend on trial and draw; faults are by trial, draw and job."""

    def __init__(
        self,
        score: Callable[[int, int], float] = lambda *_: 0.5,
        *,
        faults: Mapping[tuple[int, int, int], Fault] | None = None,
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self._score, self._drawn_faults = score, faults or {}
        self._n_drawn: dict[Key, int] = {}

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Any) -> FakeJob:
        job = super().submit(work, *arguments, near=near)
        key = attempt_of(job)
        count = self._n_drawn.get(key, 0)
        self._n_drawn[key] = count + 1
        job.fault = self._drawn_faults.get((*key, count))
        return job

    def _trained(self, job: FakeJob) -> SegmentResult:
        self._curve = lambda _: [self._score(*attempt_of(job))] * 100
        return super()._trained(job)

    @property
    def begun(self) -> list[Key]:
        """Trainings in the order of their beginning."""
        return list(dict.fromkeys(attempt_of(job) for job in self.sent))


@dataclass
class Log:
    """MLflow as the finalists see it."""

    runs: dict[str, tuple[str, int, int, Record, Mapping[str, bytes]]] = field(
        default_factory=dict
    )
    down: bool = False

    def finalist(
        self,
        name: str,
        number: int,
        draw: int,
        record: Record,
        artifacts: Mapping[str, bytes],
    ) -> str:
        if self.down:
            return ""
        run_id = f"run-{len(self.runs)}"
        self.runs[run_id] = (name, number, draw, record, artifacts)
        return run_id


@dataclass
class View:
    """Remembers what it is shown; `stop_at` is the look after which the user wants an end."""

    stop_at: int | None = None
    n_looks: int = 0
    trained: list[Key] = field(default_factory=list)
    out: list[int] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    without_time: list[Key] = field(default_factory=list)

    def update_finalists(self, training: FinalistTraining) -> None:
        self.n_looks += 1

    def retrained(self, attempt: Attempt) -> None:
        self.trained.append(attempt.key)

    def gave_up(self, attempt: Attempt, message: str) -> None:
        self.given_up.append(message)

    def no_time(self, attempt: Attempt, seconds: float) -> None:
        self.without_time.append(attempt.key)

    def dropped(self, number: int) -> None:
        self.out.append(number)

    def stopped(self) -> bool:
        return self.stop_at is not None and self.n_looks >= self.stop_at


@dataclass
class Ran:
    training: FinalistTraining
    log: Log
    view: View
    spent: WorkerTime
    clock: FakeClock


def run(
    study: optuna.Study,
    engine: FakeEngine,
    *,
    task: Task = TASK,
    log: Log | None = None,
    view: View | None = None,
    clock: FakeClock | None = None,
    **settings: Any,
) -> Ran:
    log, view, clock, spent = log or Log(), view or View(), clock or FakeClock(), WorkerTime()
    training = FinalistTraining(
        task,
        study,
        engine,
        Settings(**settings),
        data_digest="abc",
        log=log,
        view=view,
        spent=spent,
        stopped=view.stopped,
        started=0.0,
        clock=clock,
    )
    training.run()
    return Ran(training, log, view, spent, clock)


def luck(number: int, draw: int) -> float:
    """Scores that are near to each other, whoever is first."""
    return 0.9 + 0.01 * math.sin(7 * number + 3 * draw)
