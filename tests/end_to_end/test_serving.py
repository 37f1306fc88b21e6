"""MLflow's own server, as a user starts it, answers raw rows of a registered model."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.tasks import TASKS
from search.export.registry import register
from tests.end_to_end import commands
from tests.exported import churn_data, export_of, settings_of
from tests.fakes import new_study
from tests.ports import free_port

# Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

START_SECONDS = 120
CUSTOMER = {
    "RowNumber": 1,
    "CustomerId": 15634602,
    "Surname": "Hargrave",
    "CreditScore": 619,
    "Geography": "France",
    "Gender": "Female",
    "Age": 42,
    "Tenure": 2,
    "Balance": 0,
    "NumOfProducts": 1,
    "HasCrCard": 1,
    "IsActiveMember": 1,
    "EstimatedSalary": 101348.88,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of the churn champion, outside of this project."""
    folder = tmp_path_factory.mktemp("served")
    data_dir = churn_data(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        exported = export_of("churn", folder, data_dir)
        settings, quiet = settings_of(folder, data_dir), Console(file=io.StringIO())
        done = register(TASKS["churn"], settings, new_study(), exported, quiet, verified=True)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", done.uri]
    command += ["--env-manager", "local", "--port", str(port)]
    environment = commands.environment()
    environment.pop("PYTHONPATH")
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlruns/mlflow.db"
    environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    # It calls its server by name.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, log)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its workers too, which are in its session alone
        process.wait(timeout=30)


def wait_for(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    pytest.fail(f"no server after {START_SECONDS} s: {log.read_text()}")


def post(server: str, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and answer."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(server, json.dumps(content).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    "content",
    [
        {"dataframe_records": [CUSTOMER, CUSTOMER]},
        {"dataframe_split": {"columns": list(CUSTOMER), "data": [list(CUSTOMER.values())] * 2}},
        {"inputs": [CUSTOMER, CUSTOMER]},
    ],
    ids=lambda content: next(iter(content)),
)
def test_raw_rows_are_answered_by_class_name(server: str, content: dict[str, Any]) -> None:
    status, answer = post(server, content)
    assert status == 200
    first, second = answer["predictions"]
    assert first == second
    assert set(first["probabilities"]) == {"stayed", "left"}
    assert sum(first["probabilities"].values()) == pytest.approx(1)
    assert first["class"] == max(first["probabilities"], key=first["probabilities"].get)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"Geography": "Italy"}, "Row 1: Geography must be one of France, Germany, Spain, got 'Italy'."),
        ({"Age": "old"}, "Row 1: Age must be a number, got 'old'."),
        ({"Age": None}, "Row 1: Age must be a number, got nothing."),
    ],
)  # fmt: skip
def test_a_bad_row_is_answered_with_one_sentence(
    server: str, changes: dict[str, Any], sentence: str
) -> None:
    status, answer = post(server, {"dataframe_records": [{**CUSTOMER, **changes}]})
    assert (status, answer["message"]) == (400, sentence)
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "stack_trace" not in answer


def test_a_missing_column_is_answered_with_one_sentence(server: str) -> None:
    row = {name: value for name, value in CUSTOMER.items() if name != "Age"}
    status, answer = post(server, {"dataframe_records": [row]})
    assert status == 400
    assert answer["message"].startswith("The column Age is missing: a row needs Geography, ")
