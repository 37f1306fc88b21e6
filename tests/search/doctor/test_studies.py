"""What the doctor finds and mends in a study, its trials, checkpoints and runs."""

import shutil
from dataclasses import replace
from pathlib import Path

import optuna
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState

from search import study as studies
from search.checkpoints import Checkpoints
from search.claim import sole_search
from search.doctor import examination as doctor
from search.doctor.marks import Finding
from search.sampler import ask
from search.settings import Settings
from search.stored import stored_studies
from spaces.spaces import SPACES
from tests.search.doctor.conftest import DIGITS, NAME, Logged, a_digit_record


def client(settings: Settings) -> MlflowClient:
    return MlflowClient(f"sqlite:///{settings.runs_dir.resolve() / 'mlflow.db'}")


def runs(settings: Settings, stage: str = "trial") -> dict[int, Run]:
    store = client(settings)
    experiment = store.get_experiment_by_name("digits")
    assert experiment is not None
    found = store.search_runs([experiment.experiment_id], f"tags.stage = '{stage}'")
    return {int(run.data.tags.get("trial", -1)): run for run in found}


def examined(settings: Settings, *, mend: bool = True) -> list[Finding]:
    """What it says of the study."""
    return [each for each in doctor.findings(settings, mend=mend) if each.about == NAME]


def marks(settings: Settings, *, mend: bool = True) -> list[str]:
    return [each.mark for each in examined(settings, mend=mend)]


def test_a_study_in_order_is_left_as_it_is(settings: Settings, logged: Logged) -> None:
    logged.end(a_digit_record(0.5, 0.9))
    logged.end(a_digit_record(0.5, state="pruned", note="not in the better half at epoch 1"))
    logged.close()
    before = {number: run.to_dictionary() for number, run in runs(settings).items()}
    (finding,) = examined(settings)
    assert finding == Finding("ok", NAME, "2 trials, nothing left over")
    assert {n: run.to_dictionary() for n, run in runs(settings).items()} == before


def test_a_search_at_work_is_left_alone(settings: Settings, logged: Logged) -> None:
    logged.begin(a_digit_record(0.5, state="running"))
    with sole_search(settings.runs_dir, logged.study):
        (finding,) = examined(settings)
    assert finding == Finding("ok", NAME, "a search is at work on it: left alone")
    assert runs(settings)[0].info.status == "RUNNING"


def test_a_mere_look_changes_nothing_and_says_what_could_be_mended(
    settings: Settings, logged: Logged
) -> None:
    logged.begin(a_digit_record(0.5, 0.9))
    assert marks(settings, mend=False) == ["problem", "problem"]
    assert all("without --check" in each.text for each in examined(settings, mend=False))
    assert runs(settings)[0].info.status == "RUNNING"
    assert marks(settings) == ["mended", "mended"]
    assert marks(settings, mend=False) == ["ok"]


def test_a_run_whose_trial_has_ended_is_closed_with_its_scores(
    settings: Settings, logged: Logged
) -> None:
    logged.begin(a_digit_record(0.5, 0.9))
    examined(settings)
    run = runs(settings)[0]
    assert run.info.status == "FINISHED"
    assert run.data.tags["state"] == "completed"
    assert run.data.metrics["best_val_accuracy"] == 0.9
    assert runs(settings, "study")[-1].info.status == "KILLED"


def test_a_run_whose_trial_was_interrupted_is_closed_as_that(
    settings: Settings, logged: Logged, study: optuna.Study
) -> None:
    logged.begin(a_digit_record(0.5, state="running"))
    found = examined(settings)
    assert [each.mark for each in found] == ["note", "mended", "mended"]
    assert found[0].text == "t000: interrupted; repeat the search to go on"
    run = runs(settings)[0]
    assert (run.info.status, run.data.tags["state"]) == ("KILLED", "interrupted")
    assert study.get_trials()[0].state == TrialState.RUNNING


def test_a_trial_that_was_never_logged_is_logged(
    settings: Settings, logged: Logged, study: optuna.Study
) -> None:
    logged.close()
    trial = ask(study, SPACES["digits"])
    record = a_digit_record(0.5, 0.9)
    studies.write(study, trial, record)
    studies.tell(study, trial, record)
    (finding,) = examined(settings)
    assert finding.text == "MLflow lacked the end of 1 trial"
    run = runs(settings)[0]
    assert run.info.run_id == studies.run_of(study, 0, record)
    assert run.data.metrics["val_accuracy"] == 0.9
    assert marks(settings) == ["ok"]


def test_a_run_that_a_user_deleted_stays_deleted(settings: Settings, logged: Logged) -> None:
    logged.end(a_digit_record(0.5, 0.9))
    logged.close()
    client(settings).delete_run(runs(settings)[0].info.run_id)
    assert marks(settings) == ["ok"]
    assert runs(settings) == {}


def test_a_lost_record_of_mlflow_is_made_again_from_the_study(
    settings: Settings, logged: Logged, study: optuna.Study, tmp_path: Path
) -> None:
    logged.end(a_digit_record(0.5, 0.9))
    lost = replace(settings, runs_dir=tmp_path / "elsewhere")
    lost.runs_dir.mkdir()
    for path in settings.runs_dir.glob("optuna.db*"):
        shutil.copy(path, lost.runs_dir)
    found = {each.about: each for each in doctor.findings(lost, mend=False)}
    assert found["MLflow"].mark == "problem"
    assert not (lost.runs_dir / "mlflow.db").exists()
    assert marks(lost) == ["problem"]  # the data are not the study's
    (copied,) = stored_studies(lost)
    copied.set_user_attr("data_digest", DIGITS.load(None).digest)
    assert marks(lost) == ["mended"]
    assert runs(lost)[0].data.metrics["best_val_accuracy"] == 0.9
    assert runs(lost, "study")[-1].data.tags["study"] == NAME
    assert marks(lost) == ["ok"]


def test_a_trial_that_ended_without_optuna_being_told_is_told(
    settings: Settings, logged: Logged, study: optuna.Study
) -> None:
    logged.begin(a_digit_record(0.5, 0.9), told=False)
    assert examined(settings)[0].text == "t000: ended, but Optuna was not told"
    stored = study.get_trials()[0]
    assert (stored.state, stored.value) == (TrialState.COMPLETE, 0.9)


def test_a_trial_that_no_command_can_go_on_with_is_given_up(
    settings: Settings, logged: Logged, study: optuna.Study
) -> None:
    narrow = SPACES["digits"].replace(batch_size=SPACES["fashion"].domains["batch_size"])
    trial = ask(study, narrow)
    while trial.params["batch_size"] <= 128:
        trial = ask(study, narrow)
    record = a_digit_record(0.5, state="running")
    studies.write(study, trial, record)
    files = Checkpoints(settings.runs_dir, NAME)
    files.save(trial.number, 1.0, b"weights")
    mended = [each for each in examined(settings) if "left behind" in each.text]
    assert [each.mark for each in mended] == ["mended"]
    assert study.get_trials()[trial.number].state == TrialState.FAIL
    assert not files.holds(trial.number)
    assert runs(settings)[trial.number].data.tags["state"] == "failed"


def test_what_was_asked_and_never_begun_can_go_on(
    settings: Settings, logged: Logged, study: optuna.Study
) -> None:
    logged.close()
    study.ask()
    assert marks(settings) == ["note"]
    assert study.get_trials()[0].state == TrialState.RUNNING


def test_checkpoints_of_ended_trials_wait_for_the_search(
    settings: Settings, logged: Logged
) -> None:
    number = logged.end(a_digit_record(0.5, 0.9))
    logged.close()
    files = Checkpoints(settings.runs_dir, NAME)
    files.save(number, 2.0, b"weights")
    half = settings.runs_dir / "checkpoints" / NAME / "t0000-3.npz.part"
    half.write_bytes(b"half")
    assert marks(settings, mend=False) == ["problem", "note"]
    assert half.exists()
    assert marks(settings) == ["mended", "note"]
    assert not half.exists()
    assert files.holds(number)


def test_a_study_of_a_task_that_is_gone_is_left_alone(
    settings: Settings, study: optuna.Study
) -> None:
    study.set_user_attr("task", "gone")
    (finding,) = examined(settings, mend=False)
    assert finding == Finding("note", NAME, "its task is unknown here: left alone")
