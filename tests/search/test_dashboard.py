"""Optuna's dashboard: what its notes say, and that they are written once."""

import json
import socket
import threading
import urllib.request
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna_dashboard import get_note, save_note

from search import dashboard
from search.settings import Settings
from search.storage import open_storage
from search.study import NoStudyError, Record, tell, write
from spaces.errors import InputError
from tests.fakes import SPACE, TASK, new_study

MLFLOW = "http://127.0.0.1:5000"


def trial(study: optuna.Study, **changes: object) -> optuna.Trial:
    """A trial with a record; it ends where its state says so."""
    asked = study.ask()
    config = SPACE.sample(asked, TASK.training)
    record = Record(
        config.model_dump(mode="json", exclude_none=True),
        seed=1,
        state="completed",
        run_id="abc",
        epoch=9.0,
        best={"epoch": 5.0, "val_accuracy": 0.875},
        note="all epochs trained",
    )
    record = replace(record, **changes)  # type: ignore[arg-type] # a test's own
    write(study, asked, record)
    if record.ended:
        tell(study, asked, record)
    return asked


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return new_study(open_storage(tmp_path, None))


def test_a_note_says_what_the_trial_was_and_leads_to_its_run(study: optuna.Study) -> None:
    done = trial(study)
    assert dashboard.write_notes(study, MLFLOW) == 2
    note = get_note(done)
    assert note.startswith("**t000** `mlp ")
    assert "Completed after 9 epochs: all epochs trained." in note
    assert "Best at epoch 5: val_accuracy 0.8750." in note
    assert f"[Its run in MLflow]({MLFLOW}/#/runs/abc)" in note
    assert "`hpsearch show fake 0 --study fake-study`" in note
    assert "search for **fake**; the objective is `val_accuracy`" in get_note(study)


def test_a_trial_without_a_run_has_a_note_without_a_link(study: optuna.Study) -> None:
    lost = trial(study, run_id="")
    dashboard.write_notes(study, MLFLOW)
    assert "It has no run in MLflow" in get_note(lost)
    assert MLFLOW not in get_note(lost)


def test_a_long_note_is_kept_whole(study: optuna.Study) -> None:
    failed = trial(study, state="failed", cause="crashed", note="x" * 5000, best={})
    dashboard.write_notes(study, MLFLOW)
    assert "x" * 5000 in get_note(failed)
    assert get_note(failed).endswith("`hpsearch show fake 0 --study fake-study`.")


def test_notes_that_are_there_stay_and_only_new_ones_are_written(study: optuna.Study) -> None:
    first = trial(study)
    save_note(first, "mine")
    open_ = trial(study, state="running")
    assert dashboard.write_notes(study, MLFLOW) == 1
    assert dashboard.write_notes(study, MLFLOW) == 0
    assert get_note(first) == "mine"
    assert get_note(open_) == ""
    second = trial(study, state="pruned", note="not in the better half at epoch 3")
    assert dashboard.write_notes(study, MLFLOW) == 1
    assert "Pruned after 9 epochs: not in the better half" in get_note(second)


def test_a_trial_that_was_asked_for_and_never_sent_has_no_note(study: optuna.Study) -> None:
    asked = study.ask()
    dashboard.write_notes(study, MLFLOW)
    assert get_note(asked) == ""


def test_without_a_task_all_studies_of_ours_are_chosen(tmp_path: Path) -> None:
    storage = open_storage(tmp_path, None)
    for name in ("one", "two"):
        new_study(storage, name=name).set_user_attr("task", "digits")
    optuna.create_study(study_name="a colleague's", storage=storage)
    new_study(storage, name="of a task that is gone")
    settings = Settings(runs_dir=tmp_path)
    chosen = dashboard.chosen_studies(settings, None)
    assert [each.study_name for each in chosen] == ["one", "two"]
    (last,) = dashboard.chosen_studies(settings, "digits")
    assert last.study_name in ("one", "two")
    assert dashboard.address(chosen, 8080) == "http://127.0.0.1:8080/dashboard"
    expected = f"http://127.0.0.1:8080/dashboard/studies/{last._study_id}"
    assert dashboard.address([last], 8080) == expected


@pytest.mark.parametrize("file", ["optuna.db", "typo.db"])
@pytest.mark.parametrize("task", [None, "digits"])
def test_where_nothing_is_stored_it_says_so_and_makes_nothing(
    tmp_path: Path, task: str | None, file: str
) -> None:
    storage = None if file == "optuna.db" else f"sqlite:///{tmp_path / file}"
    settings = Settings(runs_dir=tmp_path, storage=storage)
    with pytest.raises(NoStudyError, match=rf"here is no .*{file}.*hpsearch search"):
        dashboard.chosen_studies(settings, task)
    assert list(tmp_path.iterdir()) == []


def test_a_storage_without_studies_of_ours_is_an_input_error(tmp_path: Path) -> None:
    optuna.create_study(storage=open_storage(tmp_path, None))
    with pytest.raises(NoStudyError, match="No study of ours is stored yet"):
        dashboard.chosen_studies(Settings(runs_dir=tmp_path), None)


def test_it_serves_the_study_with_its_notes(study: optuna.Study) -> None:
    trial(study)
    dashboard.write_notes(study, MLFLOW)
    with dashboard.open_server(study, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        start = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(f"{start}/api/studies/{study._study_id}") as answer:
            told = answer.read().decode()
        server.shutdown()
    assert "Its run in MLflow" in told
    assert json.loads(told)["objective_names"] == ["val_accuracy"]


def test_a_port_that_is_taken_is_an_input_error(study: optuna.Study) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"Port {port} on 127.0.0.1 cannot be had"):
            dashboard.open_server(study, port)
