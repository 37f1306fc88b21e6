"""One search a study, wherever the others are."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest

from search import claim
from search.claim import FRESH_SECONDS, MARK, locked, refuse_others, sole_search
from search.storage import open_storage
from spaces.errors import InputError


def shared(folder: Path, name: str = "one") -> optuna.Study:
    """A study as a process of its own sees it, in a storage that a team shares."""
    storage = open_storage(folder, f"sqlite:///{folder}/team.db", sole_writer=True)
    return optuna.create_study(storage=storage, study_name=name, load_if_exists=True)


def test_a_study_has_one_search_at_a_time(tmp_path: Path) -> None:
    study = shared(tmp_path)
    with sole_search(tmp_path, study):
        with (
            pytest.raises(InputError, match="Another search is at work on the study one"),
            sole_search(tmp_path, study),
        ):
            pass
        with sole_search(tmp_path, shared(tmp_path, "another")):
            pass
    with sole_search(tmp_path, study):
        pass


def test_who_shares_the_storage_alone_is_kept_out_too(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    with sole_search(mine, shared(tmp_path)):
        with (
            pytest.raises(InputError, match=rf"study one, at .*{mine}: wait for its end, or"),
            sole_search(theirs, shared(tmp_path)),
        ):
            pass
        with pytest.raises(InputError, match="Another search is at work"):
            refuse_others(theirs, shared(tmp_path))
        refuse_others(mine, shared(tmp_path))
    with sole_search(theirs, shared(tmp_path)):
        pass


def test_a_mark_is_renewed_and_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "RENEWED_SECONDS", 0.01)
    study = shared(tmp_path)
    with sole_search(tmp_path, study):
        first = study.user_attrs[MARK]["time"]
        while study.user_attrs[MARK]["time"] == first:  # else pytest's own limit ends it
            time.sleep(0.01)
    assert study.user_attrs[MARK] is None


def test_a_mark_that_nobody_renews_any_more_is_taken_over(tmp_path: Path) -> None:
    study = shared(tmp_path)
    mark = {"place": "elsewhere:/mlruns", "time": time.time() - FRESH_SECONDS + 60}
    study.set_user_attr(MARK, mark)
    with pytest.raises(InputError, match=r"at elsewhere:/mlruns: .* wait \d+ seconds"):
        refuse_others(tmp_path, study)
    study.set_user_attr(MARK, {**mark, "time": time.time() - FRESH_SECONDS})
    with sole_search(tmp_path, study):
        assert study.user_attrs[MARK]["place"].endswith(str(tmp_path))


def test_a_search_that_was_killed_does_not_keep_others_out(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal\n"
        "from search.claim import sole_search\n"
        "from tests.search.test_claim import shared\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with sole_search(folder, shared(folder)):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    study = shared(tmp_path)
    assert study.user_attrs[MARK]["place"]
    with sole_search(tmp_path, study):
        pass


def test_a_look_leaves_no_mark(tmp_path: Path) -> None:
    study = shared(tmp_path)
    with locked(tmp_path, study):
        assert MARK not in study.user_attrs
