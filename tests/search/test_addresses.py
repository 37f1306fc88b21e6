"""Addresses as they are shown, which have no password in them, and as another command has them."""

from pathlib import Path

import pytest

from search.addresses import where_options, without_password
from search.settings import Settings


@pytest.fixture(autouse=True)
def _no_tracking_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:secret@host/db", "postgresql+psycopg://me:***@host/db"),
        ("postgresql://me:sec@secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:sec/secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:sec:se?cret#secret@host/db", "postgresql://me:***@host/db"),
        ("https://:secret@mlflow.example", "https://:***@mlflow.example"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db?***"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Dme%3BPWD%3Dsecret", "mssql+pyodbc:///?***"),
        ("--storage=mysql://me:secret@host/db", "--storage=mysql://me:***@host/db"),
    ],
)
def test_nothing_is_left_of_a_password(address: str, shown: str) -> None:
    assert without_password(address) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/me/x.db?timeout=30",
        "http://127.0.0.1:5000",
        "postgresql://me@host/db",
        "models:/hpsearch-digits@champion",
        "learning_rate=1e-4..1e-2",
        "pass?word",
        "",
    ],
)
def test_what_has_no_password_stays(text: str) -> None:
    assert without_password(text) == text


@pytest.mark.parametrize(
    ("settings", "study", "options"),
    [
        (Settings(), None, ""),
        (Settings(runs_dir=Path("my runs")), "a", " --study a --runs-dir 'my runs'"),
        (Settings(storage="sqlite:///x.db"), None, " --storage sqlite:///x.db"),
        (Settings(storage="mysql://me:secret@x"), None, " --storage 'mysql://me:***@x'"),
        (Settings(tracking_uri="http://x:5000"), None, " --tracking-uri http://x:5000"),
    ],
)
def test_other_commands_find_the_same_place(
    settings: Settings, study: str | None, options: str
) -> None:
    assert where_options(settings, study) == options


def test_a_command_gets_the_options_that_it_has() -> None:
    settings = Settings(storage="sqlite:///x.db", tracking_uri="http://x:5000")
    assert where_options(settings, mlflow=False) == " --storage sqlite:///x.db"
    assert where_options(settings, storage=False) == " --tracking-uri http://x:5000"


def test_what_the_environment_says_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@x")
    assert where_options(Settings(tracking_uri="http://me:secret@x")) == ""
    assert where_options(Settings(tracking_uri="http://y")) == " --tracking-uri http://y"
