"""A study of digits for the doctor to look at, and its record in MLflow."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from pipelines.tasks import TASKS
from search import study as studies
from search.sampler import ask
from search.settings import Settings
from search.storage import open_storage
from search.study import Record
from search.tracking.tracker import DatasetInfo, Tracker
from search.tracking.trial_log import MlflowTrialLog
from spaces.presets import PRESETS
from spaces.spaces import SPACES
from tests.hand_made import a_record

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
