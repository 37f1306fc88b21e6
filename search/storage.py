"""Where studies are stored: a database of Optuna's layout, and how the one writer uses it."""

import sys
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages._cached_storage import _CachedStorage

from search.addresses import without_password
from search.settings import Settings
from search.sole_writer import SoleWriterStorage
from spaces.errors import InputError

_STORAGE_ERRORS = (
    sqlalchemy.exc.SQLAlchemyError,
    RuntimeError,  # the layout of another Optuna
    ValueError,  # a kind of storage that Optuna had once
    ImportError,  # no driver for this kind of database, or one that lacks a library
    OSError,
)
_PACKAGES = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
}
"""Of drivers that are installed under another name than they are imported by."""


def open_storage(
    runs_dir: Path, url: str | None, *, sole_writer: bool = False
) -> optuna.storages.BaseStorage:
    """The storage that `url` names, or the SQLite file in `runs_dir`.

    Args:
        sole_writer: Nobody else will write to the study that is opened: no trial is read twice.

    Raises:
        InputError: no answer, no such kind of database, no driver for it, or one of another
            Optuna's layout.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    place = url or str((runs_dir / "optuna.db").resolve())
    address = url or f"sqlite:///{place}"
    try:
        if url is None:
            runs_dir.mkdir(parents=True, exist_ok=True)
        local = address.startswith("sqlite")
        arguments = {"connect_args": {"timeout": 60}} if local else None
        storage = optuna.storages.RDBStorage(address, engine_kwargs=arguments)
        if local:
            _write_ahead(storage)
        return SoleWriterStorage(storage) if sole_writer else _CachedStorage(storage)
    except _STORAGE_ERRORS as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
        shown = without_password(place)
        remedy = "check --storage" if url else "move it away to start anew"
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and missing.name:
            reason = f"its driver {missing.name} is not installed"
            package = _PACKAGES.get(missing.name, missing.name)
            remedy = f"run `{sys.executable} -m pip install '{package}'`"
        raise InputError(f"Cannot use the Optuna storage {shown}: {reason}; {remedy}.") from error


def missing_file(settings: Settings) -> Path | None:
    """The SQLite file that the storage would be, where it is not there: opening would make it."""
    path = settings.runs_dir / "optuna.db"
    if settings.storage:
        try:
            url = sqlalchemy.engine.make_url(settings.storage)
        except _STORAGE_ERRORS:
            return None  # `open_storage` says what is wrong with it
        name = url.database or ":memory:"
        if url.get_backend_name() != "sqlite" or name.startswith((":memory:", "file:")):
            return None
        path = Path(name)
    return None if path.exists() else path


def _write_ahead(storage: optuna.storages.RDBStorage) -> None:
    """Readers (a dashboard, `leaderboard`) and the one writer do not wait for each other."""

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def _pragmas(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined] # sqlite3's, by SQLAlchemy
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    storage.engine.dispose()  # the constructor has already opened a connection without them
