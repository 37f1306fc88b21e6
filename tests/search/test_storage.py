"""Optuna's database: one that is made, and those that cannot be used."""

import sqlite3
import sys
from pathlib import Path

import optuna
import pytest

from search import study as studies
from search.settings import Settings
from search.storage import missing_file
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


@pytest.mark.parametrize(
    ("url", "driver", "package"),
    [
        ("postgresql+psycopg2://me:secret@localhost:1/db", "psycopg2", "psycopg2-binary"),
        ("postgresql+psycopg://me:secret@localhost:1/db", "psycopg", r"psycopg\[binary\]"),
        ("mysql+mysqldb://me:secret@localhost:1/db", "MySQLdb", "mysqlclient"),
        ("mysql+pymysql://me:secret@localhost:1/db", "pymysql", "pymysql"),
    ],
)
def test_a_missing_driver_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, driver: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    told = rf"its driver {driver} is not installed; run `\S+ -m pip install '{package}'`\.$"
    with pytest.raises(InputError, match=told) as caught:
        opened(tmp_path, storage=url)
    assert_one_sentence(caught.value)
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlruns").write_text("")
    with pytest.raises(InputError, match="mlruns") as caught:
        opened(tmp_path / "mlruns")
    assert_one_sentence(caught.value)


def test_a_password_with_an_at_sign_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        opened(tmp_path, storage="postgresql://me:sec@ret@localhost:1/db")
    assert "me:***@localhost" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "missing"),
    [
        (None, "optuna.db"),
        ("sqlite:///{folder}/x.db", "x.db"),
        ("sqlite:///{folder}/x.db?timeout=30", "x.db"),
        ("sqlite+pysqlite:///{folder}/x.db", "x.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:x.db?uri=true", None),
        ("postgresql://me@localhost/x.db", None),
        ("postgresql://me@localhost:port/x.db", None),
        ("nonsense", None),
    ],
)
def test_a_file_that_is_not_there_is_seen_and_not_made(
    tmp_path: Path, url: str | None, missing: str | None
) -> None:
    storage = url and url.format(folder=tmp_path)
    settings = Settings(runs_dir=tmp_path, storage=storage)
    assert missing_file(settings) == (missing and tmp_path / missing)
    assert list(tmp_path.iterdir()) == []
    if missing:
        (tmp_path / missing).touch()
        assert missing_file(settings) is None


def test_a_study_in_a_file_with_options_is_found(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db?timeout=30"
    made = opened(tmp_path, storage=url)
    found = studies.find_study(Settings(runs_dir=tmp_path, storage=url), "fake", None)
    assert found.study_name == made.study_name


def assert_one_sentence(error: InputError) -> None:
    text = str(error)
    assert text.endswith(".")
    assert "\n" not in text
    assert ". " not in text.replace("optuna.", "")
