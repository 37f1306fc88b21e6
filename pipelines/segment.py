"""The unit of work that is sent to a worker: train one config from here to the next decision.

This module imports no TensorFlow: the coordinator needs its types, only workers run its functions.
"""

import functools
import gc
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipelines import runtime
from pipelines.runtime import Runtime
from pipelines.splits import Division, SearchData
from pipelines.tasks import find_task
from spaces.config import Config
from spaces.errors import InputError

if TYPE_CHECKING:
    from pipelines.session import TrainingSession

Row = dict[str, float]
Cause = Literal["diverged", "out of memory", "timed out", "invalid shape", "crashed"]


@dataclass(frozen=True)
class Segment:
    """One trial's training from epoch `begin` to epoch `until`.

    Attributes:
        key: Names the trial among all that a worker may have seen.
        begin: Where the trial stands; a session elsewhere than there is not used.
        seconds: Hand back at the first epoch's end after so long, that little is ever lost.
        checkpoint: Needed where the worker does not hold the session at `begin`.
        division: Which rows are train and which validation.
        data_digest: The data that the study is about.
    """

    key: str
    task: str
    config: Config
    seed: int
    how: Runtime
    data_dir: Path | None
    data_digest: str
    begin: float
    until: float
    seconds: float
    checkpoint: bytes | None = None
    division: Division = "search"


@dataclass(frozen=True)
class SegmentResult:
    """What came of a segment.

    Attributes:
        rows: One a whole epoch, and one at the end if that is inside an epoch.
        reached: Whether epoch `until` was reached; else the time was up.
        stop: Why training is over, None if it can go on.
        checkpoint: Restores the session; travels as bytes, no shared file system is needed.
        build_seconds: Making and tracing the network; 0 where the session was still there.
        train_seconds: Training and validation.
        total_seconds: From the worker's taking the segment to its answer.
    """

    rows: list[Row]
    best: Row
    reached: bool
    stop: str | None
    checkpoint: bytes
    summary: str
    n_parameters: int
    build_seconds: float
    train_seconds: float
    total_seconds: float


@dataclass(frozen=True)
class SegmentFailure:
    """The trial cannot go on; `message` is one sentence for a person."""

    cause: Cause
    message: str


class SessionLostError(RuntimeError):
    """The worker does not hold the session and got no checkpoint: send it one."""


@functools.lru_cache(maxsize=1)
def load_data(task: str, data_dir: Path | None, division: Division = "search") -> SearchData:
    """The data of a task, read once a process for as long as no other division is wanted."""
    return find_task(task).load(data_dir, division)


@functools.lru_cache(maxsize=1)
def prepare(task: str, data_dir: Path | None, how: Runtime) -> None:
    """Does what costs seconds and no trial should wait for: TensorFlow and the data."""
    runtime.choose_kernels(images=find_task(task).has_images)
    runtime.configure(how)
    import pipelines.session  # noqa: F401 - importing it is the point

    load_data(task, data_dir, "search")
    # What is there by now stays, and each new network would have it searched for garbage: 0.4 s.
    gc.collect()
    gc.freeze()


_held: dict[str, "TrainingSession"] = {}
"""The session of the trial that this worker trained last: a cache, the checkpoint is the truth."""


def train_segment(segment: Segment) -> SegmentResult | SegmentFailure:
    """Trains one segment in this process.

    Raises:
        SessionLostError: there is neither a session at `begin` nor a checkpoint.
        InputError: this machine's data are not the study's.
    """
    started = time.perf_counter()
    prepare(segment.task, segment.data_dir, segment.how)
    from tensorflow.errors import ResourceExhaustedError

    from pipelines.networks import InvalidShapeError

    try:
        session, build_seconds = _session_for(segment)
        training = time.perf_counter()
        rows = session.advance(segment.until, seconds=segment.seconds)
        train_seconds = time.perf_counter() - training
        return SegmentResult(
            rows=rows,
            best=dict(session.best),
            reached=session.reached(segment.until),
            stop=session.stop,
            checkpoint=session.save(),
            summary=session.summary() if segment.begin == 0 else "",
            n_parameters=session.model.count_params(),
            build_seconds=build_seconds,
            train_seconds=train_seconds,
            total_seconds=time.perf_counter() - started,
        )
    except InvalidShapeError as error:
        return SegmentFailure("invalid shape", str(error))
    except (ResourceExhaustedError, MemoryError):
        _held.clear()
        return SegmentFailure("out of memory", "the network and its batch did not fit in memory")


def has_artifacts(state: str, rows: Sequence[Row]) -> bool:
    """Whether a worker has anything to make for a trial that ended; one point is no curve."""
    return state == "completed" or len(rows) > 1


def finish_trial(segment: Segment, rows: Sequence[Row], state: str) -> dict[str, bytes]:
    """The artifacts of a trial that ended in `state`, by file name; forgets its session.

    Curves where there is more than one evaluation; the model and its report on the validation
    split for a completed trial.
    """
    from pipelines import pictures

    task = find_task(segment.task)
    artifacts: dict[str, bytes] = {}
    if len(rows) > 1:
        artifacts["curves.png"] = pictures.curves(rows, task.metrics)
    if state == "completed":
        prepare(segment.task, segment.data_dir, segment.how)
        session, _ = _session_for(segment)
        artifacts |= _reports(session, segment)
    _held.clear()
    return artifacts


def _session_for(segment: Segment) -> tuple["TrainingSession", float]:
    from pipelines.session import TrainingSession

    session = _held.get(segment.key)
    if session is not None and session.epoch == segment.begin:
        return session, 0.0
    if segment.begin > 0 and segment.checkpoint is None:
        raise SessionLostError(f"No session of {segment.key} at epoch {segment.begin:g}.")
    _held.clear()  # before the next is built: two networks at once might not fit
    data = load_data(segment.task, segment.data_dir, segment.division)
    if data.digest != segment.data_digest:
        raise InputError(
            f"The data of {segment.task} on this worker have the digest {data.digest}, the study"
            f" needs {segment.data_digest}: give all workers the same files."
        )
    session = TrainingSession(
        find_task(segment.task), data, segment.config, seed=segment.seed, how=segment.how
    )
    if segment.checkpoint is not None:
        session.restore(segment.checkpoint)
    _held[segment.key] = session
    return session, session.build_seconds


def _reports(session: "TrainingSession", segment: Segment) -> dict[str, bytes]:
    from pipelines import layer_picture, mistakes, scoring

    data = load_data(segment.task, segment.data_dir, segment.division)
    labels, probabilities = data.validation.labels, session.predict()
    report = scoring.classification_report(labels, probabilities, data.class_names)
    layers = layer_picture.layers_of(session.model)
    found = mistakes.find_mistakes(segment.task, data, probabilities)
    return {
        "model.keras": session.model_file(),
        "layers.png": layer_picture.drawing(layers, segment.config.title()),
        "classification_report.txt": report.encode(),
        "mistakes.json": json.dumps(found).encode(),
        **mistakes.drawn(found, data),
    }
