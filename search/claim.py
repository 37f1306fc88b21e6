"""Who may work on a study: one process at a time, be it on this machine or on another."""

import contextlib
import fcntl
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError

from spaces.errors import InputError

MARK = "at_work"
"""User attribute of a study: where it is worked on, and when that was last said."""
RENEWED_SECONDS = 20.0
FRESH_SECONDS = 90.0
"""A mark that is older was left behind by a process that died."""

_NO_ANSWER = (StorageInternalError, sqlalchemy.exc.SQLAlchemyError, KeyError)
"""Of a storage that fails, which is the search's to report; or the study has been deleted."""


@contextlib.contextmanager
def sole_search(runs_dir: Path, study: optuna.Study) -> Iterator[None]:
    """Keeps a second search out of the study, until the block or the process ends.

    A lock beside the checkpoints is exact, but only among those who share `runs_dir`. Who shares
    the storage alone sees a mark in it.

    Raises:
        InputError: another search is at work on it.
    """
    with locked(runs_dir, study), _marked(study, _place(runs_dir)):
        yield


@contextlib.contextmanager
def locked(runs_dir: Path, study: optuna.Study) -> Iterator[None]:
    """As `sole_search`, without a mark: for a look that writes nothing."""
    path = lock_path(runs_dir, study.study_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"Another search is at work on the study {study.study_name}: wait for its end, or"
                " stop it."
            ) from error
        refuse_others(runs_dir, study)
        yield


def refuse_others(runs_dir: Path, study: optuna.Study) -> None:
    """Raises InputError where somebody with another `runs_dir` is at work on the study."""
    mark = study.user_attrs.get(MARK)
    if not mark or mark["place"] == _place(runs_dir):  # the lock tells more of our own
        return
    age = time.time() - mark["time"]
    if age < FRESH_SECONDS:
        raise InputError(
            f"Another search is at work on the study {study.study_name}, at {mark['place']}: wait"
            f" for its end, or search with another --seed. If it was killed, wait"
            f" {FRESH_SECONDS - age:.0f} seconds."
        )


def lock_path(runs_dir: Path, study: str) -> Path:
    return runs_dir / "checkpoints" / f"{study}.lock"


def _place(runs_dir: Path) -> str:
    return f"{socket.gethostname()}:{runs_dir.resolve()}"


@contextlib.contextmanager
def _marked(study: optuna.Study, place: str) -> Iterator[None]:
    """Renews the mark meanwhile, from a thread: an epoch or a test may take minutes."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED_SECONDS):
            with contextlib.suppress(*_NO_ANSWER):
                _mark(study, place)

    _mark(study, place)
    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(*_NO_ANSWER):
            study.set_user_attr(MARK, None)


def _mark(study: optuna.Study, place: str) -> None:
    study.set_user_attr(MARK, {"place": place, "time": time.time()})
