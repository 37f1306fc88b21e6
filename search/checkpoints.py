"""Checkpoints of a study's trials, as files that are there whole or not at all."""

import contextlib
import os
from pathlib import Path


class Checkpoints:
    """One file a trial under `runs_dir/checkpoints/<study>/`; the coordinator alone writes.

    A trial has a file as long as something of it is still to be done: training, or storing its
    artifacts, for which a pruned or failed one needs no content. The name holds the epoch: a new
    checkpoint stands beside the old one until the study's record names it.
    """

    def __init__(self, runs_dir: Path, study: str) -> None:
        self._folder = runs_dir / "checkpoints" / study

    def save(self, number: int, epoch: float, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(number, epoch), content)

    def mark(self, number: int, epoch: float) -> None:
        """Remembers that something is to be done; keeps the content that is there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path(number, epoch).touch()

    def load(self, number: int, epoch: float) -> bytes | None:
        """The checkpoint at `epoch`; None if there is none, or a mark only."""
        try:
            return self._path(number, epoch).read_bytes() or None
        except FileNotFoundError:
            return None

    def holds(self, number: int) -> bool:
        return any(path.suffix == ".npz" for path in self._files(number))

    def keep_only(self, number: int, epoch: float) -> None:
        for path in self._files(number):
            if path != self._path(number, epoch):
                path.unlink()

    def delete(self, number: int) -> None:
        for path in self._files(number):
            path.unlink()
        with contextlib.suppress(OSError):  # not empty: other trials are still there
            self._folder.rmdir()

    def _files(self, number: int) -> list[Path]:
        """All files of a trial, those included that were being written at a crash."""
        return list(self._folder.glob(f"t{number:04d}-*"))

    def _path(self, number: int, epoch: float) -> Path:
        return self._folder / f"t{number:04d}-{epoch:.6f}.npz"


def write_whole(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that a crash leaves the old file or the new one."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
