"""Optuna's database: one that is made, and those that cannot be used."""

import sqlite3
from pathlib import Path

import optuna
import pytest

from search import study as studies
from search.settings import Settings
from spaces.errors import InputError
from tests.fakes import SPACE, TASK


def opened(folder: Path, storage: str | None = None) -> optuna.Study:
    settings = Settings(runs_dir=folder, storage=storage)
    return studies.open_study(settings, TASK, SPACE, TASK.training, "abc")


def test_the_database_writes_ahead(tmp_path: Path) -> None:
    assert opened(tmp_path).ask().number == 0
    with sqlite3.connect(tmp_path / "optuna.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    opened(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "optuna.db").exists()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_text("garbage " * 200)
    with pytest.raises(InputError, match=r"optuna\.db.*not a database; move it away") as caught:
        opened(tmp_path)
    assert_one_sentence(caught.value)
    assert (tmp_path / "optuna.db").read_text().startswith("garbage")


def test_a_database_of_another_optuna_is_named(tmp_path: Path) -> None:
    opened(tmp_path)
    with sqlite3.connect(tmp_path / "optuna.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v1.3.0.a'")
    connection.close()
    with pytest.raises(InputError, match=r"optuna\.db") as caught:
        opened(tmp_path)
    assert_one_sentence(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "nonsense://host/db",
        "redis://localhost",
        "postgresql://user:secret@localhost:1/db",
        "mysql://user:secret@localhost:1/db",
        "sqlite:////nowhere/at/all/optuna.db",
    ],
)
def test_a_storage_that_cannot_be_used_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="Cannot use the Optuna storage") as caught:
        opened(tmp_path, storage=url)
    assert_one_sentence(caught.value)
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("")
    with pytest.raises(InputError, match="mlruns") as caught:
        opened(tmp_path / "mlruns")
    assert_one_sentence(caught.value)


def assert_one_sentence(error: InputError) -> None:
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    assert ". " not in text.replace("optuna.", "")
