"""The doctor's look at machine, data, storage and MLflow, and what it prints."""

import io
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from search.commands import advice as cli_advice
from search.doctor import examination as doctor
from search.settings import Settings
from tests.search.doctor.conftest import NAME, Logged, a_digit_record
from tests.search.export.scripts import write_customers


def test_a_place_where_nothing_was_done_yet_is_well_and_stays_empty(
    settings: Settings, tmp_path: Path
) -> None:
    found = {each.about: each for each in doctor.findings(settings, mend=True)}
    assert found["Optuna"].mark == "ok"
    assert found["MLflow"].mark == "ok"
    assert found["Python"].mark == "ok"
    assert "GiB" in found["machine"].text
    assert found["data of iris"].mark == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_storage_that_is_none_is_a_problem(settings: Settings) -> None:
    settings.runs_dir.mkdir()
    (settings.runs_dir / "optuna.db").write_bytes(b"no database at all, not even a small one")
    *_, last = doctor.findings(settings, mend=True)
    assert (last.mark, last.about) == ("problem", "Optuna")
    assert "Cannot use the Optuna storage" in last.text


def test_an_mlflow_that_does_not_answer_is_a_problem(
    settings: Settings, study: optuna.Study
) -> None:
    away = replace(settings, tracking_uri="http://127.0.0.1:9")
    found = {each.about: each for each in doctor.findings(away, mend=True)}
    assert found["MLflow"].mark == "problem"
    assert found[NAME].mark == "ok"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "lacks Churn_Modelling.csv"),
        ({"Churn_Modelling.csv": b"a,b\n1,2\n"}, "has column Geography"),
        ({"Churn_Modelling.csv": b"\x1f\x8bno gzip"}, "truncated or damaged"),
    ],
)
def test_data_that_no_search_could_read_are_a_problem(
    settings: Settings, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    folder = tmp_path / "data" / "churn"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    given = replace(settings, data_dir=tmp_path / "data")
    found = {each.about: each for each in doctor.findings(given, mend=True)}
    assert found["data of churn"].mark == "problem"
    assert said in found["data of churn"].text


def test_own_data_that_a_search_can_read_are_no_fault(settings: Settings, tmp_path: Path) -> None:
    write_customers(tmp_path / "data" / "churn")
    given = replace(settings, data_dir=tmp_path / "data")
    found = {each.about: each for each in doctor.findings(given, mend=True)}
    assert found["data of churn"].mark == "note"
    assert "other than published: your own?" in found["data of churn"].text


def test_data_that_are_not_here_are_no_fault(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPSEARCH_DATA_DIR", raising=False)
    monkeypatch.setattr("pipelines.sources.user_cache", lambda: tmp_path)
    found = {each.about: each for each in doctor.findings(settings, mend=True)}
    assert found["data of mnist"].text == "not here: the first search downloads it"
    assert found["data of mnist"].mark == "note"


def test_packages_of_another_version_are_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "search.doctor.examination.metadata.requires",
        lambda _: ["keras==1.0", "nonesuch", 'x; extra == "y"'],
    )
    found = doctor._packages()
    assert found.mark == "problem"
    assert "keras 3." in found.text
    assert "not ==1.0; nonesuch is missing" in found.text


def test_a_full_disk_is_a_problem(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("search.doctor.examination.LEAST_GIB", 1e9)
    assert doctor._disk(tmp_path / "not" / "there").mark == "problem"


def test_it_prints_a_line_a_check_and_says_whether_all_is_well(
    settings: Settings, logged: Logged
) -> None:
    logged.begin(a_digit_record(0.5, 0.9))
    console = Console(width=80, file=io.StringIO(), record=True)
    assert not doctor.examine(settings, console, mend=False)
    assert doctor.examine(settings, console, mend=True)
    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert sum(line.startswith("problem") for line in lines) == 2
    assert sum(line.startswith("mended") for line in lines) == 2


def test_the_command_ends_with_status_1_if_a_problem_remains(
    settings: Settings, logged: Logged
) -> None:
    logged.begin(a_digit_record(0.5, 0.9))
    app = typer.Typer()
    app.add_typer(cli_advice.app)
    place = ["--runs-dir", str(settings.runs_dir)]
    codes = [
        CliRunner().invoke(app, ["doctor", *more, *place]).exit_code
        for more in (["--check"], [], ["--check"])
    ]
    assert codes == [1, 0, 0]
