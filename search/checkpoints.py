"""Checkpoints of a study's trials, as files that are there whole or not at all."""

import contextlib
import os
from pathlib import Path


class Checkpoints:
    """One file a trial under `runs_dir/checkpoints/<study>/`; the coordinator alone writes.

    A trial has a file as long as something of it is still to be done: training, or storing its
    artifacts, for which a pruned or failed one needs no content.
    """

    def __init__(self, runs_dir: Path, study: str) -> None:
        self._folder = runs_dir / "checkpoints" / study

    def save(self, number: int, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(number), content)

    def load(self, number: int) -> bytes | None:
        try:
            return self._path(number).read_bytes()
        except FileNotFoundError:
            return None

    def holds(self, number: int) -> bool:
        return self._path(number).exists()

    def delete(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: other trials are still there
            self._folder.rmdir()

    def _path(self, number: int) -> Path:
        return self._folder / f"t{number:04d}.npz"


def write_whole(path: Path, content: bytes) -> None:
    """Writes beside `path` and renames, so that a crash leaves the old file or the new one."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
