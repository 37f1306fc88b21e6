"""Where the record lies: folders, databases and servers, and those that cannot hold one."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from mlflow import MlflowClient

from search.tracking.store import locate, ui_command
from search.tracking.tracker import Tracker
from spaces.errors import InputError
from tests.ports import free_port
from tests.search.tracking.logged import open_trial, rows, steps


def old_layout(folder: Path) -> str | None:
    (folder / "0").mkdir()
    (folder / "0" / "meta.yaml").write_text("name: Default\n")
    return None


def file_in_the_way(folder: Path) -> str | None:
    folder.rmdir()
    folder.write_text("")
    return None


def damaged_database(folder: Path) -> str | None:
    (folder / "mlflow.db").write_bytes(b"no database " * 1000)
    return None


def nobody_listens(scheme: str) -> Callable[[Path], str]:
    return lambda _: f"{scheme}://me:secret@127.0.0.1:{free_port()}"


def address(text: str) -> Callable[[Path], str]:
    return lambda _: text


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (old_layout, r"old layout of files \(0/meta.yaml\)"),
        (file_in_the_way, "cannot be made"),
        (damaged_database, r"cannot be opened .*not a database"),
        (nobody_listens("http"), r"Nothing answers at .*127.0.0.1"),
        (nobody_listens("postgresql"), r"Nothing answers at .*127.0.0.1"),
        (address("ftp://example.invalid/mlflow"), r"'ftp://.*cannot be read"),
        (address("./mlruns"), "'./mlruns' cannot be read"),
        (address("localhost:5000"), "'localhost:5000' cannot be read"),
        (address("http://"), "'http://' cannot be read"),
        (address("http://me:secret@localhost:port"), "port' cannot be read"),
    ],
)
def test_a_place_that_cannot_hold_the_record_is_an_input_error(
    tmp_path: Path, prepare: Callable[[Path], str | None], message: str
) -> None:
    folder = tmp_path / "mlruns"
    folder.mkdir()
    uri = prepare(folder)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(InputError, match=message) as caught:
        Tracker.open(folder, uri)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_server_that_is_not_mlflow_is_an_input_error(tmp_path: Path) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match=r"answers, but not as an MLflow server .*501"):
            Tracker.open(tmp_path, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def test_the_address_in_the_environment_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://from.the.environment")
    with pytest.raises(InputError, match=r"from.the.environment"):
        Tracker.open(tmp_path, None)


def test_a_database_with_another_schema_is_left_alone(
    tracker: Tracker, runs_dir: Path, tmp_path: Path
) -> None:
    with (
        contextlib.closing(sqlite3.connect(runs_dir / "mlflow.db")) as source,
        contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy,
    ):
        source.backup(copy)
        copy.execute("UPDATE alembic_version SET version_num = '0a8213491aaa'")
        # With a table missing, MLflow would migrate the file without being asked.
        copy.execute("DROP TABLE trace_tags")
        copy.commit()
    before = (tmp_path / "mlflow.db").read_bytes()

    with pytest.raises(InputError, match=r"has schema 0a8213491aaa.*mlflow db upgrade"):
        Tracker.open(tmp_path, None)
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_the_ui_command_opens_the_record_on_loopback(runs_dir: Path, tracker: Tracker) -> None:
    command, environment = ui_command(runs_dir, None, 5055)
    options = dict(zip(command[4::2], command[5::2], strict=True))

    assert command[:4] == [sys.executable, "-m", "mlflow", "ui"]
    assert options == {
        "--backend-store-uri": f"sqlite:///{runs_dir / 'mlflow.db'}",
        "--default-artifact-root": (runs_dir / "artifacts").as_uri(),
        "--host": "127.0.0.1",
        "--port": "5055",
        "--workers": "1",
    }
    assert environment == {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (None, r"no MLflow record .* yet"),
        ("sqlite:///absent/mlflow.db", r"no MLflow record at absent/mlflow.db"),
        ("http://127.0.0.1:5000", r"http://127.0.0.1:5000 serves the MLflow UI itself"),
        ("ftp://there", "cannot be read"),
    ],
)
def test_a_ui_without_a_record_of_its_own_is_an_input_error(
    tmp_path: Path, uri: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ui_command(tmp_path, uri, 5000)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        (None, "http://127.0.0.1:5000"),
        ("https://me:secret@mlflow.example/", "https://me:***@mlflow.example"),
    ],
)
def test_runs_are_seen_at_the_server_or_where_the_ui_is_by_default(
    tmp_path: Path, uri: str | None, address: str
) -> None:
    assert locate(tmp_path, uri).ui_address == address


def test_the_database_keeps_its_write_ahead_log(tracker: Tracker, runs_dir: Path) -> None:
    Tracker.open(runs_dir, None)
    with contextlib.closing(sqlite3.connect(runs_dir / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_reader_does_not_hold_up_the_search(
    tracker: Tracker, client: MlflowClient, study_id: str, runs_dir: Path
) -> None:
    run_id = open_trial(tracker, study_id)
    with contextlib.closing(sqlite3.connect(runs_dir / "mlflow.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runs").fetchone()
        tracker.log_epochs(run_id, rows(1, 1))

    assert steps(client, run_id) == [1]


def test_the_first_use_prints_nothing_and_tells_no_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from search.tracking.tracker import Tracker;"
        "Tracker.open(Path(sys.argv[1]), None);"
        "from mlflow.telemetry import get_telemetry_client; assert get_telemetry_client() is None"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
