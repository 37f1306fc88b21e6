"""What the report reads from MLflow, on a store of its own."""

import shutil
from pathlib import Path

import pytest

from search.tracking.reading import RunReader
from search.tracking.tracker import DatasetInfo, Tracker

DATASET = DatasetInfo("digits", "0123456789abcdef", 1200, 300, (8, 8), 10)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with one study, and the id of the study's run."""
    runs_dir = tmp_path_factory.mktemp("stored") / "mlruns"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracker = Tracker.open(runs_dir, None)
    run_id = tracker.open_study(
        "digits",
        "a-study",
        parameters={},
        tags={},
        dataset=DATASET,
        goal_metric="val_accuracy",
        command="hpsearch search digits",
    )
    tracker.describe_study(run_id, metrics={}, tags={}, artifacts={"a.txt": b"some text"})
    return runs_dir, run_id


def test_a_file_of_a_run_is_read(stored: tuple[Path, str]) -> None:
    runs_dir, run_id = stored
    reader = RunReader(runs_dir, None)
    assert reader.read(run_id, "a.txt") == b"some text"
    assert reader.lacks == ""


@pytest.mark.parametrize("name", ["b.txt", ""])
def test_a_file_that_is_not_there_is_none_and_no_failure(
    stored: tuple[Path, str], name: str
) -> None:
    runs_dir, run_id = stored
    reader = RunReader(runs_dir, None)
    assert reader.read(run_id, name) is None
    assert reader.read("0" * 32, "a.txt") is None
    assert reader.read("", "a.txt") is None
    assert reader.read(run_id, "a.txt") == b"some text"
    assert reader.lacks == ""


def test_the_run_of_a_study_is_found_with_its_tags(stored: tuple[Path, str]) -> None:
    runs_dir, run_id = stored
    found, tags = RunReader(runs_dir, None).study_run("digits", "a-study")
    assert found == run_id
    assert tags["command"] == "hpsearch search digits"


@pytest.mark.parametrize(("task", "study"), [("digits", "another"), ("mnist", "a-study")])
def test_a_study_without_a_run_has_none(stored: tuple[Path, str], task: str, study: str) -> None:
    assert RunReader(stored[0], None).study_run(task, study) == ("", {})


def test_a_page_is_put_beside_the_other_files(stored: tuple[Path, str], tmp_path: Path) -> None:
    runs_dir, run_id = stored
    page = tmp_path / "digits.html"
    page.write_text("a page")
    reader = RunReader(runs_dir, None)
    assert reader.attach(run_id, page, "report.html")
    assert reader.read(run_id, "report.html") == b"a page"
    assert not reader.attach("", page, "report.html")


def test_to_the_place_of_a_copied_folder_nothing_is_written(
    stored: tuple[Path, str], tmp_path: Path
) -> None:
    runs_dir, run_id = stored
    copy = tmp_path / "copy"
    shutil.copytree(runs_dir, copy)
    page = tmp_path / "digits.html"
    page.write_text("a page")
    reader = RunReader(copy, None)
    assert not reader.attach(run_id, page, "copied.html")
    assert reader.read(run_id, "copied.html") is None
    assert reader.lacks == ""


def test_without_a_record_nothing_is_made(tmp_path: Path) -> None:
    reader = RunReader(tmp_path / "none", None)
    assert reader.lacks.startswith("There is no MLflow record at")
    assert reader.read("a run", "a.txt") is None
    assert reader.study_run("digits", "a-study") == ("", {})
    assert not reader.attach("a run", tmp_path, "report.html")
    assert not (tmp_path / "none").exists()


def test_a_store_that_breaks_down_is_asked_no_more(
    stored: tuple[Path, str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(stored[0], copy)
    reader = RunReader(copy, None)
    (copy / "mlflow.db").write_bytes(b"no database")
    assert reader.study_run("digits", "a-study") == ("", {})
    assert reader.lacks.startswith("MLflow: ")
    assert reader.read(stored[1], "a.txt") is None
