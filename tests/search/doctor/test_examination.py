"""The doctor: what it finds, what it mends, and what it leaves alone."""

import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import typer
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna.trial import TrialState
from rich.console import Console
from typer.testing import CliRunner

from pipelines.tasks import TASKS
from search import study as studies
from search.checkpoints import Checkpoints
from search.claim import sole_search
from search.commands import advice as cli_advice
from search.doctor import examination as doctor
from search.doctor.marks import Finding
from search.sampler import ask
from search.settings import Settings
from search.storage import open_storage
from search.stored import stored_studies
from search.study import Record
from search.tracking.tracker import DatasetInfo, Tracker
from search.tracking.trial_log import MlflowTrialLog
from spaces.presets import PRESETS
from spaces.spaces import SPACES
from tests.hand_made import a_record
from tests.search.export.scripts import write_customers

NAME = "digits-00000000"
DIGITS = TASKS["digits"]
DATASET = DatasetInfo("digits", "abc", 1149, 288, (8, 8, 1), 10)


@pytest.fixture(autouse=True)
def _no_tracking_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs_dir=tmp_path / "mlruns")


@pytest.fixture
def study(settings: Settings) -> optuna.Study:
    """A study of digits in a storage of its own, without trials."""
    found = optuna.create_study(
        study_name=NAME, storage=open_storage(settings.runs_dir, None), direction="maximize"
    )
    for name, value in (("metric", "val_accuracy"), ("task", "digits"), ("data_digest", "abc")):
        found.set_user_attr(name, value)
    return found


class Logged:
    """The study's run in MLflow, as a search has left it."""

    def __init__(self, settings: Settings, study: optuna.Study) -> None:
        self.tracker = Tracker.open(settings.runs_dir, None)
        self.study = study
        self.parent = self.tracker.open_study(
            "digits",
            study.study_name,
            parameters={"trials": 3},
            tags={},
            dataset=DATASET,
            goal_metric="val_accuracy",
            command="hpsearch search digits",
        )
        self.log = MlflowTrialLog(self.tracker, self.parent, DATASET, {}, pytest.fail)

    def begin(self, record: Record, *, told: bool = True, written: bool = True) -> int:
        """A trial whose run is open; `told` ends it in Optuna, `written` with its record."""
        trial = ask(self.study, SPACES["digits"])
        record = replace(record, run_id=self.log.begin(trial.number, record))
        if written:
            studies.write(self.study, trial, record)
        if told and record.ended:
            studies.tell(self.study, trial, record)
        return trial.number

    def end(self, record: Record) -> int:
        number = self.begin(record)
        stored = studies.read(self.study.get_trials()[number])
        assert stored is not None
        self.log.end(stored, {})
        return number

    def close(self) -> None:
        self.tracker.close_study(self.parent, "completed", {})


@pytest.fixture
def logged(settings: Settings, study: optuna.Study) -> Logged:
    return Logged(settings, study)


def a_digit_record(*scores: float, **changes: Any) -> Record:
    config = PRESETS["mnist_conv_net"].config.with_epochs(40)
    return a_record(*scores, config=config, **changes)


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
    assert found[0].text == "t000: interrupted; the command that made it goes on"
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
