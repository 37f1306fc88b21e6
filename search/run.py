"""One search from its settings to its end: the walk of DESIGN.md, in order."""

import contextlib
import errno
import gc
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from rich.console import Console
from rich.table import Table

from pipelines.runtime import Runtime
from pipelines.segment import prepare
from pipelines.splits import SearchData
from pipelines.tasks import Task
from search import study as studies
from search.checkpoints import Checkpoints
from search.claim import sole_search
from search.coordinator import Coordinator
from search.engine import DaskEngine, local_engine
from search.finalists.selection import kept_seconds, missing
from search.finalists.standings import summary, whole_verdict
from search.finalists.training import FinalistTraining
from search.first_trials import Known, begin
from search.forecast import EpochGuess
from search.settings import Settings
from search.study import State
from search.tracking.store import first_line
from search.tracking.tracker import DatasetInfo, Tracker, TrackingError
from search.tracking.trial_log import MlflowTrialLog, git_commit
from search.view import SearchView, already_complete, beginning, ending
from spaces.config import Training
from spaces.errors import RunFailedError
from spaces.space import Space

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def run_search(
    task: Task,
    space: Space,
    settings: Settings,
    data: SearchData,
    machine: str,
    console: Console,
    command: str,
) -> bool:
    """Searches, going on with what is stored; whether it was left to end by itself.

    Args:
        machine: A line on what the settings owe to this machine.
        command: What the user typed, for the record.

    Raises:
        InputError: storage or MLflow cannot be used, or another search is at work on the study.
        BrokenSearchError: one trial after the other crashes.
        TrackingError: MLflow fails at the start.
        RunFailedError: the disk or the storage fails on the way.
    """
    started = time.monotonic()
    training = task.training_for(settings.epochs)
    known = Known.of(task, settings)  # before anything is stored: a wrong name leaves nothing
    study = studies.open_study(settings, task, space, training, data.digest)
    with sole_search(settings.runs_dir, study), _storage_errors(study.study_name):
        fresh = not study.get_trials(deepcopy=False)
        for line in begin(task, space, study, settings, training, known, fresh=fresh):
            console.print(line, soft_wrap=not console.is_terminal)
        if _is_complete(study, task, settings):
            done = f"Study {study.study_name}: {already_complete(study)}"
            console.print(done, soft_wrap=not console.is_terminal)
            return True
        console.print(machine, soft_wrap=not console.is_terminal)
        return _search(
            task, space, study, settings, training, data, console, command, started, fresh=fresh
        )


@contextlib.contextmanager
def _storage_errors(study: str) -> Iterator[None]:
    """Says in a sentence that the disk is full, or the database gone."""
    try:
        yield
    except (OSError, StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
        if isinstance(error, OSError) and error.errno not in _DISK_ERRORS:
            raise
        raise RunFailedError(
            f"The search of study {study} could not store what it did"
            f" ({first_line(error)}): what was stored before is whole, and the same command goes"
            " on from there."
        ) from error


def _is_complete(study: optuna.Study, task: Task, settings: Settings) -> bool:
    """Whether a search would do nothing, so that no cluster need be started for it."""
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    checkpoints = Checkpoints(settings.runs_dir, study.study_name)
    kept = any(checkpoints.holds(trial.number) for trial in ended)
    enough = studies.n_finished(study) >= settings.most_trials
    return enough and not kept and not missing(study, task, settings)


def _search(
    task: Task,
    space: Space,
    study: optuna.Study,
    settings: Settings,
    training: Training,
    data: SearchData,
    console: Console,
    command: str,
    started: float,
    *,
    fresh: bool,
) -> bool:
    for line in beginning(task, data, study, settings, training, fresh=fresh):
        console.print(line, soft_wrap=not console.is_terminal)
    view = SearchView(console, task.goal.metric)
    with (
        _opening_tracker(settings) as tracker,
        local_engine(settings.workers) as engine,
        _parent_run(task, study, settings, data, engine, tracker, console, command) as log,
    ):
        studies.touch(study)
        coordinator = Coordinator(
            task,
            space,
            study,
            engine,
            settings,
            training=training,
            data_digest=data.digest,
            log=log,
            view=view,
            an_epoch=EpochGuess.of(task, data, settings.precision),
            kept_seconds=lambda: kept_seconds(study, settings),
            started=started,
        )
        with _stop_on_signals(coordinator, console), view.live():
            coordinator.run()
            FinalistTraining(
                task,
                study,
                engine,
                settings,
                data_digest=data.digest,
                log=log,
                view=view,
                spent=coordinator.spent,
                stopped=lambda: coordinator.stopped,
                started=started,
            ).run()
        log.describe(*summary(study))
    _print_ending(task, study, settings, coordinator, log.seconds, console)
    return not coordinator.stopped


def _print_ending(
    task: Task,
    study: optuna.Study,
    settings: Settings,
    coordinator: Coordinator,
    log_seconds: float,
    console: Console,
) -> None:
    left = len(missing(study, task, settings))
    finalists = whole_verdict(study)
    for line in ending(coordinator, log_seconds, finalists=finalists, n_retrainings_left=left):
        soft = not console.is_terminal and not isinstance(line, Table)
        console.print(line, soft_wrap=soft)


def dataset_info(task: Task, data: SearchData) -> DatasetInfo:
    return DatasetInfo(
        name=task.name,
        digest=data.digest,
        n_train=len(data.train.labels),
        n_validation=len(data.validation.labels),
        shape=data.input_shape,
        n_classes=task.n_classes,
    )


def run_tags(settings: Settings, digest: str) -> dict[str, str]:
    """Tags of every run, by which its result can be traced to its causes."""
    tags = {"precision": settings.precision, "data_digest": digest}
    commit = git_commit()
    return {**tags, "git_commit": commit} if commit else tags


@contextlib.contextmanager
def _opening_tracker(settings: Settings) -> Iterator[Future[Tracker]]:
    """MLflow, which takes three seconds to open, while the workers start."""

    def open_it() -> Tracker:
        try:
            return Tracker.open(settings.runs_dir, settings.tracking_uri)
        finally:
            gc.enable()

    # Dask's scheduler watches collections of garbage from its start on, and prints a traceback
    # at the end of one that another thread had begun before.
    gc.disable()
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit(open_it)


@contextlib.contextmanager
def _parent_run(
    task: Task,
    study: optuna.Study,
    settings: Settings,
    data: SearchData,
    engine: DaskEngine,
    opening: Future[Tracker],
    console: Console,
    command: str,
) -> Iterator[MlflowTrialLog]:
    """The study's run in MLflow, closed as what it was: finished, or interrupted."""
    # The workers read their data while MLflow is opened here.
    how = Runtime(1, settings.precision, settings.deterministic)
    for _ in range(engine.n_workers):
        engine.submit(prepare, task.name, settings.data_dir, how, near=None)
    tracker = opening.result()
    dataset, tags = dataset_info(task, data), run_tags(settings, data.digest)
    parent_id = tracker.open_study(
        task.name,
        study.study_name,
        parameters={
            "trials": settings.trials,
            "budget_seconds": settings.budget_seconds,
            "workers": settings.workers,
            "seed": settings.seed,
            "epochs": task.training_for(settings.epochs).epochs,
        },
        tags=tags,
        dataset=dataset,
        goal_metric=task.goal.metric,
        goal_mode=task.goal.mode,
        command=command,
        seed=settings.seed,
    )
    state: State = "interrupted"
    try:
        yield MlflowTrialLog(
            tracker, parent_id, dataset, tags, lambda text: console.print(text, style="yellow")
        )
        state = "completed"
    finally:
        with contextlib.suppress(TrackingError):  # the trial log has said so already
            tracker.close_study(parent_id, state, {})


@contextlib.contextmanager
def _stop_on_signals(coordinator: Coordinator, console: Console) -> Iterator[None]:
    """The first Ctrl-C ends the search in order, the second at once."""

    def handle(_: int, __: FrameType | None) -> None:
        if coordinator.stopped:
            raise KeyboardInterrupt
        coordinator.stop()
        console.print("Stopping: closing what is open. Ctrl-C again to leave at once.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
