"""Where MLflow keeps its record: finds the place, checks it and opens it."""

import contextlib
import os
import socket
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from search.addresses import without_password
from spaces.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVER_SCHEMES = ("http", "https")
PORTS = {
    "http": 80,
    "https": 443,
    "sqlite": None,
    "postgresql": 5432,
    "mysql": 3306,
    "mssql": 1433,
}
ANSWER_SECONDS = 3.0
UI_PORT = 5000

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow's own 7 tries of 120 s would hold up a search for minutes when its server dies.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""MLflow reads these from the environment alone; what the user has set there stays."""


@dataclass(frozen=True)
class Store:
    """The address of an MLflow backend.

    Attributes:
        artifacts: File URI under which new experiments put their artifacts; None on a server,
            which has its own place for them.
        own: The place is the project's own `mlflow.db` and not one that the user named.
    """

    uri: str
    artifacts: str | None
    own: bool

    @property
    def shown(self) -> str:
        return without_password(self.uri)

    @property
    def ui_address(self) -> str:
        """Where people see it: at the server, or where `hpsearch ui` shows it by default."""
        return f"http://127.0.0.1:{UI_PORT}" if self.artifacts else self.shown.rstrip("/")

    @property
    def database_file(self) -> Path | None:
        path = self.uri.partition(":///")[2].partition("?")[0]
        is_file = self.uri.startswith("sqlite") and path not in ("", ":memory:")
        return Path(path) if is_file else None


def locate(runs_dir: Path, tracking_uri: str | None) -> Store:
    """The named address, else that of MLFLOW_TRACKING_URI, else `runs_dir/mlflow.db`.

    Raises:
        InputError: the address cannot be read, or `runs_dir` has the old file-store layout.
    """
    runs_dir = runs_dir.resolve()
    artifacts = (runs_dir / "artifacts").as_uri()
    address = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        _refuse_file_store(runs_dir)
        return Store(f"sqlite:///{runs_dir / 'mlflow.db'}", artifacts, own=True)
    scheme = _readable_scheme(address)
    return Store(address, None if scheme in SERVER_SCHEMES else artifacts, own=False)


def check_place(runs_dir: Path, tracking_uri: str | None) -> None:
    """Says at once, before anything is written, when MLflow cannot be used.

    Raises:
        InputError: as `locate`, or nothing answers there.
    """
    _knock(locate(runs_dir, tracking_uri))


def open_client(store: Store) -> "MlflowClient":
    """A client of a backend that was seen to answer and is ready to be written to.

    Raises:
        InputError: it does not answer, cannot be created, or has another schema.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if store.artifacts is None:
        return _open_server(store)
    if store.database_file:
        _make_folder(store.database_file.parent)
    _check_database(store)
    # Here and not at the top: MLflow takes 1-3 s to import, and --help needs none of it.
    from mlflow import MlflowClient

    client = MlflowClient(store.uri, registry_uri=store.uri)
    if store.database_file:
        _let_readers_in(store.database_file)
    return client


def ui_command(
    runs_dir: Path, tracking_uri: str | None, port: int
) -> tuple[list[str], dict[str, str]]:
    """The command line that serves the MLflow UI on loopback, and its extra environment.

    Raises:
        InputError: nothing was recorded yet, or a server shows the record already.
    """
    store = locate(runs_dir, tracking_uri)
    if store.artifacts is None:
        raise InputError(f"{store.shown} serves the MLflow UI itself: open it in a browser.")
    if store.database_file and not store.database_file.is_file():
        raise InputError(
            f"There is no MLflow record at {store.database_file} yet: "
            f"run `hpsearch search` first, or name the folder that has one."
        )
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri]
    command += ["--default-artifact-root", store.artifacts]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # Each of the 4 workers by default takes 250 MB, and the job runner is for MLflow's agents.
    return command, {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _refuse_file_store(runs_dir: Path) -> None:
    if (runs_dir / "mlflow.db").exists():
        return
    old = next((path for path in runs_dir.glob("*/meta.yaml") if path.parent.name.isdigit()), None)
    if old:
        raise InputError(
            f"{runs_dir} holds runs in MLflow's old layout of files ({old.parent.name}/meta.yaml),"
            f" which MLflow 3 no longer writes: move the folder away, or convert it with"
            f" `mlflow migrate-filestore`."
        )


def _readable_scheme(address: str) -> str:
    """The scheme without a driver: `postgresql` of `postgresql+psycopg`."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        scheme = parts.scheme.partition("+")[0]
        # Reading the port is what checks it.
        complete = "://" in address and (parts.port or parts.hostname or scheme == "sqlite")
        if complete and scheme in PORTS:
            return scheme
    raise InputError(
        f"The MLflow address '{without_password(address)}' cannot be read: give "
        f"http://host:port, sqlite:///file.db or postgresql://user@host/name."
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The folder {folder} for MLflow cannot be made ({error.strerror}): name another."
        ) from error


def _open_server(store: Store) -> "MlflowClient":
    import requests

    try:
        requests.get(f"{store.uri.rstrip('/')}/health", timeout=ANSWER_SECONDS)
    except requests.RequestException as error:
        raise _no_answer(store) from error

    # After the check, which is quick: a wrong address is told within a second.
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(store.uri, registry_uri=store.uri)
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise InputError(
            f"{store.shown} answers, but not as an MLflow server that lets you in "
            f"({first_line(error)}): check the address."
        ) from error
    return client


def _check_database(store: Store) -> None:
    """Looks before MLflow does: it tries a dead database for minutes, and migrates an old one."""
    import sqlalchemy
    from alembic.runtime.migration import MigrationContext

    _knock(store)
    try:
        engine = sqlalchemy.create_engine(store.uri, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise InputError(
            f"The MLflow database {store.shown} cannot be opened ({first_line(error)}): "
            f"check the address, or name another."
        ) from error

    import mlflow
    from alembic.script import ScriptDirectory

    migrations = Path(mlflow.__file__).parent / "store" / "db_migrations"
    needed = ScriptDirectory(str(migrations)).get_current_head()
    if found not in (None, needed):
        raise InputError(
            f"The MLflow database {store.shown} has schema {found}, but MLflow "
            f"{mlflow.__version__} needs {needed}: make a copy of it, then run "
            f"`mlflow db upgrade {store.shown}`."
        )


def _knock(store: Store) -> None:
    parts = urlsplit(store.uri)
    port = parts.port or PORTS[parts.scheme.partition("+")[0]]
    if parts.hostname is None or port is None:
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise _no_answer(store) from error


def _no_answer(store: Store) -> InputError:
    return InputError(
        f"Nothing answers at the MLflow address {store.shown}: start the server, correct the "
        f"address, or leave it out to record under the folder of the runs."
    )


def _let_readers_in(database_file: Path) -> None:
    """With a write-ahead log, which the file remembers, an open UI and a search do not wait."""
    # A search that runs beside this one may hold the file; it has set the same mode then.
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(database_file)) as connection,
    ):
        connection.execute("PRAGMA journal_mode=WAL")


def first_line(error: Exception) -> str:
    """As much of an error of MLflow or SQLAlchemy as fits into a sentence."""
    return str(error).partition("\n")[0][:160].rstrip(".")
