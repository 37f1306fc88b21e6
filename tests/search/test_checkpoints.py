"""Checkpoint files: whole or not at all, and one a trial."""

import os
from pathlib import Path

import pytest

from search.checkpoints import Checkpoints, write_whole


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path, "study")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_checkpoint_comes_back_as_it_was(checkpoints: Checkpoints) -> None:
    checkpoints.save(3, 1 / 3, b"first")
    checkpoints.save(4, 2.0, b"other")
    assert checkpoints.load(3, 1 / 3) == b"first"
    assert checkpoints.load(4, 2.0) == b"other"
    assert checkpoints.load(3, 2.0) is None
    assert checkpoints.load(5, 1.0) is None


def test_a_new_checkpoint_stands_beside_the_old_until_the_old_goes(
    checkpoints: Checkpoints,
) -> None:
    checkpoints.save(1, 1.0, b"old")
    checkpoints.save(1, 2.0, b"new")
    checkpoints.save(2, 1.0, b"another trial")
    assert checkpoints.load(1, 1.0) == b"old"
    checkpoints.keep_only(1, 2.0)
    assert checkpoints.load(1, 1.0) is None
    assert checkpoints.load(1, 2.0) == b"new"
    assert checkpoints.load(2, 1.0) == b"another trial"


def test_a_mark_is_there_but_no_checkpoint(checkpoints: Checkpoints) -> None:
    checkpoints.mark(1, 1.0)
    assert checkpoints.holds(1)
    assert checkpoints.load(1, 1.0) is None


def test_a_mark_leaves_a_checkpoint_as_it_is(checkpoints: Checkpoints) -> None:
    checkpoints.save(1, 1.0, b"content")
    checkpoints.mark(1, 1.0)
    assert checkpoints.load(1, 1.0) == b"content"


def test_deleting_leaves_nothing_behind(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.save(1, 1.0, b"content")
    checkpoints.save(10, 1.0, b"content")
    checkpoints.delete(1)
    assert not checkpoints.holds(1)
    assert checkpoints.holds(10)
    checkpoints.delete(10)
    assert not (tmp_path / "checkpoints" / "study").exists()
    checkpoints.delete(10)


def test_a_file_that_was_being_written_is_no_checkpoint_and_goes_with_the_trial(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    checkpoints.save(1, 1.0, b"content")
    (path,) = tmp_path.rglob("*.npz")
    path.rename(path.with_name(path.name + ".part"))
    assert not checkpoints.holds(1)
    assert checkpoints.load(1, 1.0) is None
    checkpoints.delete(1)
    assert files(tmp_path) == []


def test_a_crash_while_writing_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
