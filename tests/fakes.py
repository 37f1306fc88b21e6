"""A small task with its studies, and stand-ins for MLflow and the view of a search."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

import optuna

from pipelines.segment import Row, train_segment
from pipelines.tasks import ACCURACY, Task
from search.active import Active
from search.coordinator import Coordinator
from search.pruner import SparingHalving
from search.sampler import ReseededTPE
from search.study import Record, State
from spaces.config import Training
from spaces.domains import Choice, Float, Int
from spaces.space import Space
from tests.fake_engine import FakeJob


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

    def best_so_far(self, scores: Mapping[int, float]) -> None:
        self._on_call()
        self.best += [(score, n_finished) for n_finished, score in scores.items()]

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


def an_active(record: Record, number: int = 0) -> Active:
    """A trial in training, for what only looks at it."""
    study = optuna.create_study()
    for _ in range(number):
        study.ask()
    job = FakeJob(train_segment, None, "running", 0, None)  # type: ignore[arg-type] # never run
    return Active(record.parsed_config(), replace(record), study.ask(), job=job)
