"""Stand-ins for the parts of a search that take time: workers, MLflow, the clock, the power."""

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NoReturn

import optuna

from pipelines.segment import (
    Row,
    Segment,
    SegmentFailure,
    SegmentResult,
    SessionLostError,
    finish_trial,
    train_segment,
)
from pipelines.tasks import ACCURACY, Task
from search.active import Active
from search.coordinator import Coordinator
from search.engine import Job, WorkerLostError
from search.pruner import SparingHalving
from search.sampler import ReseededTPE
from search.study import Record, State
from spaces.config import Training
from spaces.domains import Choice, Float, Int
from spaces.space import Space

Curve = Callable[[int], Sequence[float]]
"""Trial number -> validation accuracy at each epoch; not a number: the training diverges."""

Fault = Literal["lost", "memory", "hang", "session"] | Exception | SegmentFailure
"""What goes wrong with a job: it loses its worker, which may have outgrown its memory; it never
ends; the worker has forgotten the session; it raises; it returns the failure."""


def _no_data(*_: object) -> NoReturn:
    raise AssertionError("the coordinator must not load data")


SPACE = Space(
    task="fake",
    domains={
        "layers": Int(0, 1),
        "units_1": Int(4, 64, log=True),
        "optimizer": Choice("sgd", "adam"),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "batch_size": Choice(16, 32),
    },
)
TASK = Task(
    name="fake",
    title="Fake",
    space=SPACE,
    goal=ACCURACY,
    class_names=("no", "yes"),
    metrics=("accuracy",),
    training=Training(epochs=9),
    first_rung=1,
    load_division=_no_data,
)


def rising(number: int) -> list[float]:
    """A curve that comes nearer to a height of the trial's own with every epoch."""
    height = random.Random(number).random()
    return [height * (1 - 0.5**epoch) for epoch in range(1, 100)]


def flat(scores: Mapping[int, float]) -> Curve:
    """The same score at every epoch, by the trial's number."""
    return lambda number: [scores[number]] * 100


def new_study(
    storage: optuna.storages.BaseStorage | None = None, *, seed: int = 0, name: str = "fake-study"
) -> optuna.Study:
    """The study as `open_study` makes it, in memory unless told otherwise."""
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        direction=TASK.goal.direction,
        sampler=ReseededTPE(seed),
        pruner=SparingHalving(),
        load_if_exists=True,
    )
    study.set_user_attr("metric", TASK.goal.metric)
    study.set_user_attr("task", TASK.name)
    return study


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSession:
    """What `TrainingSession` is for the coordinator: it advances, is saved and restored."""

    epoch: float = 0.0
    best: Row = field(default_factory=dict)
    stop: str | None = None

    @classmethod
    def restored(cls, checkpoint: bytes) -> "FakeSession":
        return cls(**json.loads(checkpoint))

    def advance(
        self, scores: Sequence[float], training: Training, until: float, n_rows: float
    ) -> list[Row]:
        rows: list[Row] = []
        while self.stop is None and self.epoch < until - 1e-9 and len(rows) < n_rows:
            self.epoch = min(until, math.floor(self.epoch + 1e-9) + 1.0)
            score = scores[math.ceil(self.epoch - 1e-9) - 1]
            rows.append(
                {
                    "epoch": self.epoch,
                    "train_loss": 1 - score,
                    "val_loss": 1 - score,
                    "val_accuracy": score,
                    "learning_rate": 0.01,
                    "epoch_seconds": 1.0,
                }
            )
            self._judge(rows[-1], training)
        return rows

    def _judge(self, row: Row, training: Training) -> None:
        score = row["val_accuracy"]
        if math.isnan(score):
            self.stop = "diverged"
            return
        if not self.best or score > self.best["val_accuracy"] or not training.patience:
            self.best = row
        if self.epoch >= training.epochs:
            self.stop = "finished"
        elif training.patience and self.epoch - self.best["epoch"] >= training.patience:
            self.stop = "plateau"


@dataclass(eq=False)
class FakeJob:
    work: Callable[..., Any]
    segment: Segment
    state: State
    worker: int
    fault: Fault | None
    outcome: object = None

    @property
    def number(self) -> int:
        return int(self.segment.key.rpartition("/")[2])

    def result(self) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def in_order(jobs: list[FakeJob]) -> list[FakeJob]:
    return jobs[:1]


def shuffled(seed: int) -> Callable[[list[FakeJob]], list[FakeJob]]:
    """Any of the jobs ends first, or several at the same moment."""
    chance = random.Random(seed)
    return lambda jobs: chance.sample(jobs, chance.randint(1, len(jobs)))


class FakeEngine:
    """Workers that train by a script.

    As with Dask, each does its jobs one after the other, holds the session that it worked at
    last, and loses all its jobs when it is restarted.

    Attributes:
        sent: All jobs in the order of their coming.
        killed: Numbers of the trials whose worker was restarted.
        most_training: The most trials that were in training at one time.
    """

    def __init__(
        self,
        curve: Curve = rising,
        *,
        n_workers: int = 1,
        faults: Mapping[tuple[int, int], Fault] | None = None,
        choose: Callable[[list[FakeJob]], list[FakeJob]] = in_order,
        rows_per_segment: float = math.inf,
        clock: FakeClock | None = None,
        seconds_per_job: float = 0.0,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """The engine.

        Args:
            faults: By number of the trial and of its job, both from 0.
            choose: Which of the jobs that are being done end next.
            rows_per_segment: As if the time of a segment were up after so many.
            on_wait: Called before anything ends.
        """
        self.n_workers = n_workers
        self.sent: list[FakeJob] = []
        self.killed: list[int] = []
        self.most_training = 0
        self._curve, self._faults, self._choose = curve, faults or {}, choose
        self._rows_per_segment, self._on_wait = rows_per_segment, on_wait
        self._clock, self._seconds_per_job = clock or FakeClock(), seconds_per_job
        self._open: list[FakeJob] = []
        self._n_sent: Counter[int] = Counter()
        self._held: list[tuple[str, FakeSession] | None] = [None] * n_workers

    def submit(self, work: Callable[..., Any], *arguments: Any, near: Job | None) -> FakeJob:
        segment: Segment = arguments[0]
        load = [sum(job.worker == n for job in self._open) for n in range(self.n_workers)]
        worker = near.worker if isinstance(near, FakeJob) else 0
        worker = worker if load[worker] == min(load) else load.index(min(load))
        state: State = arguments[2] if work is finish_trial else "running"
        job = FakeJob(work, segment, state, worker, None)
        job.fault = self._faults.get((job.number, self._n_sent[job.number]))
        self._n_sent[job.number] += 1
        self.sent.append(job)
        self._open.append(job)
        return job

    def wait(self, seconds: float) -> list[Job]:
        self._on_wait()
        n_training = sum(job.work is train_segment for job in self._open)
        self.most_training = max(self.most_training, n_training)
        queues = [[job for job in self._open if job.worker == n] for n in range(self.n_workers)]
        able = [queue[0] for queue in queues if queue and queue[0].fault != "hang"]
        if not able:
            self._clock.now += seconds
            return []
        ended = self._choose(able)
        for job in ended:
            self._clock.now += self._seconds_per_job
            self._open.remove(job)
            job.outcome = self._outcome(job)
        return list(ended)

    def kill(self, job: Job) -> None:
        assert isinstance(job, FakeJob)
        self.killed.append(job.number)
        for other in self._open:
            if other.worker == job.worker:
                other.fault = "lost"

    def _outcome(self, job: FakeJob) -> object:
        if job.fault in ("lost", "memory"):
            self._held[job.worker] = None
            return WorkerLostError(out_of_memory=job.fault == "memory")
        if job.fault == "session":
            self._held[job.worker] = None
        elif job.fault is not None:
            return job.fault
        try:
            return self._trained(job) if job.work is train_segment else self._finished(job)
        except Exception as error:  # noqa: BLE001 - an engine carries it back
            return error

    def _trained(self, job: FakeJob) -> SegmentResult:
        segment, session = job.segment, self._session_for(job)
        n_rows = 1 if segment.seconds == 0 else self._rows_per_segment
        training = segment.config.training
        rows = session.advance(self._curve(job.number), training, segment.until, n_rows)
        return SegmentResult(
            rows=rows,
            best=session.best,
            reached=session.epoch >= segment.until - 1e-9,
            stop=session.stop,
            checkpoint=json.dumps(asdict(session)).encode(),
            summary="a network" if segment.begin == 0 else "",
            n_parameters=10,
            build_seconds=0.0,
            train_seconds=float(len(rows)),
            total_seconds=float(len(rows)),
        )

    def _finished(self, job: FakeJob) -> dict[str, bytes]:
        artifacts = {"curves.png": b"a picture"}
        if job.state == "completed":
            artifacts["model.keras"] = json.dumps(self._session_for(job).best).encode()
        self._held[job.worker] = None
        return artifacts

    def _session_for(self, job: FakeJob) -> FakeSession:
        segment, held = job.segment, self._held[job.worker]
        if held is not None and held[0] == segment.key and held[1].epoch == segment.begin:
            return held[1]
        if segment.begin > 0 and segment.checkpoint is None:
            raise SessionLostError(segment.key)
        fresh = segment.checkpoint is None
        session = FakeSession() if fresh else FakeSession.restored(segment.checkpoint or b"")
        self._held[job.worker] = (segment.key, session)
        return session


@dataclass
class FakeRun:
    number: int
    state: State = "running"
    rows: list[Row] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)


class FakeLog:
    """MLflow as the coordinator sees it.

    Attributes:
        runs: By their id.
        best: Every score that was the best, with the number of trials that had ended by then.
        down: It takes nothing in.
    """

    def __init__(self, on_call: Callable[[], None] = lambda: None) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.best: list[tuple[float, int]] = []
        self.down = False
        self._on_call = on_call

    def begin(self, number: int, record: Record) -> str:
        self._on_call()
        if self.down:
            return record.run_id
        left_open = [k for k, r in self.runs.items() if (r.number, r.state) == (number, "running")]
        run_id = record.run_id or (left_open or [f"run-{len(self.runs)}"])[0]
        run = self.runs.setdefault(run_id, FakeRun(number))
        run.state = "running"
        self._take(run_id, record.rows)
        return run_id

    def progress(self, record: Record, rows: Sequence[Row]) -> None:
        self._on_call()
        if record.run_id and not self.down:
            self._take(record.run_id, rows)

    def end(self, record: Record, artifacts: Mapping[str, bytes]) -> bool:
        self._on_call()
        if self.down or not record.run_id:
            return False
        self._take(record.run_id, record.rows)
        run = self.runs[record.run_id]
        run.state = record.state
        run.artifacts |= artifacts
        return True

    def best_so_far(self, score: float, n_finished: int) -> None:
        self._on_call()
        self.best.append((score, n_finished))

    def _take(self, run_id: str, rows: Sequence[Row]) -> None:
        run = self.runs[run_id]
        last = run.rows[-1]["epoch"] if run.rows else 0.0
        run.rows += [row for row in rows if row["epoch"] > last]


class SilentView:
    """Sees the search and says nothing; stops it at the `stop_at`-th look, from 1.

    Attributes:
        finished: Numbers of the trials that ended, in order.
    """

    def __init__(self, stop_at: int | None = None) -> None:
        self.finished: list[int] = []
        self._stop_at, self._n_looks = stop_at, 0

    def update(self, coordinator: Coordinator) -> None:
        self._n_looks += 1
        if self._n_looks == self._stop_at:
            coordinator.stop()

    def ended(self, number: int, record: Record) -> None:
        self.finished.append(number)


class PowerCutError(BaseException):
    """What no code can handle."""


class Power:
    """Is gone for good after so many uses; `None` means never."""

    def __init__(self, n_uses: int | None = None) -> None:
        self._left = n_uses
        self.used = 0

    def use(self) -> None:
        self.used += 1
        if self._left is not None:
            if self._left <= 0:
                raise PowerCutError
            self._left -= 1


class FragileStorage(optuna.storages.InMemoryStorage):
    """Keeps what was written before the power was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.power = Power()

    def create_new_trial(self, *args: Any, **kwargs: Any) -> int:
        self.power.use()
        return super().create_new_trial(*args, **kwargs)

    def set_trial_param(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_trial_param(*args, **kwargs)

    def set_trial_state_values(self, *args: Any, **kwargs: Any) -> bool:
        self.power.use()
        return super().set_trial_state_values(*args, **kwargs)

    def set_trial_intermediate_value(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_trial_intermediate_value(*args, **kwargs)

    def set_trial_user_attr(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_trial_user_attr(*args, **kwargs)

    def set_trial_system_attr(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_trial_system_attr(*args, **kwargs)

    def set_study_user_attr(self, *args: Any, **kwargs: Any) -> None:
        self.power.use()
        super().set_study_user_attr(*args, **kwargs)


def an_active(record: Record, number: int = 0) -> Active:
    """A trial in training, for what only looks at it."""
    study = optuna.create_study()
    for _ in range(number):
        study.ask()
    job = FakeJob(train_segment, None, "running", 0, None)  # type: ignore[arg-type] # never run
    return Active(record.parsed_config(), replace(record), study.ask(), job=job)
