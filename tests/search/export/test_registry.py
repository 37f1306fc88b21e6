"""Versions in the registry: what is logged, who gets which alias, and what can be loaded back."""

import contextlib
import io
import json
import shutil
import sqlite3
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from mlflow import MlflowClient
from rich.console import Console

from pipelines.tasks import TASKS, Goal
from search.export.promotion import Contender, promotion
from search.export.registry import RegisteredVersion, load_registered, register
from search.settings import Settings
from spaces.errors import InputError, RunFailedError
from tests.exported import churn_data, export_of, settings_of, write_scores
from tests.fakes import new_study

# Keras 3.15 on NumPy 2 when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

GOAL = Goal("val_accuracy", "max")
CHAMPION = Contender("digits", "abc", "val_accuracy", "mean of retrainings on folds", 0.9, True)


@pytest.fixture(autouse=True)
def _no_tracking_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def study() -> optuna.Study:
    return new_study()


def add(
    folder: Path, task: str, study: optuna.Study, /, *, verified: bool = True, **scores: Any
) -> tuple[RegisteredVersion, str]:
    """Registers an export, and returns what was printed too."""
    exported = folder / "exports" / task
    if not exported.exists():
        export_of(task, folder)
    write_scores(exported, **scores)
    printed = io.StringIO()
    console = Console(file=printed, width=80)
    settings = settings_of(folder)
    done = register(TASKS[task], settings, study, exported, console, verified=verified)
    return done, printed.getvalue()


def client(folder: Path) -> MlflowClient:
    uri = f"sqlite:///{folder}/mlruns/mlflow.db"
    return MlflowClient(uri, registry_uri=uri)


def aliases(folder: Path, name: str) -> dict[str, int]:
    found = client(folder).get_registered_model(name).aliases
    return {alias: int(number) for alias, number in found.items()}


# who becomes champion


@pytest.mark.parametrize(
    ("changes", "mode", "reason"),
    [
        ({"score": 0.89}, "max", "the champion is better (val_accuracy 0.8900 against 0.9000"),
        ({"score": 0.91}, "min", "the champion is better"),
        ({"score": 0.9}, "max", "the champion is as good"),
        ({"score": 0.9 + 1e-12}, "max", "the champion is as good"),
        ({"score": 0.9 - 1e-12}, "max", "the champion is as good"),
        ({"score": 0.91, "verified": False}, "max", "its export is not verified"),
        ({"score": 0.91, "data_digest": "def"}, "max", "data digest is 'abc' and not 'def'"),
        ({"score": 0.91, "metric": "val_auc"}, "max", "whose metric is 'val_accuracy'"),
        ({"score": 0.91, "kind": "score of one trial"}, "max", "whose kind is 'mean of"),
        ({"score": 0.91, "task": "mnist"}, "max", "whose task is 'digits'"),
    ],
)
def test_the_champion_stays_where_it_is_not_beaten_on_the_same_protocol(
    changes: dict[str, Any], mode: Any, reason: str
) -> None:
    goal = Goal("val_accuracy", mode)
    promoted, said = promotion(
        replace(CHAMPION, **changes), CHAMPION, goal, winner=True, note=None
    )
    assert not promoted
    assert reason in said


@pytest.mark.parametrize(("score", "mode"), [(0.91, "max"), (0.89, "min")])
def test_a_better_score_makes_the_champion(score: float, mode: Any) -> None:
    promoted, said = promotion(
        replace(CHAMPION, score=score),
        CHAMPION,
        Goal("val_accuracy", mode),
        winner=True,
        note=None,
    )
    assert promoted
    assert f"val_accuracy {score:.4f} against 0.9000" in said


def test_the_first_verified_export_is_the_champion() -> None:
    assert promotion(CHAMPION, None, GOAL, winner=True, note=None)[0]
    assert not promotion(replace(CHAMPION, verified=False), None, GOAL, winner=True, note=None)[0]


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (None, "(`hpsearch export digits --verify` runs its train.py)"),
        ("train.py runs, but there are no finalists", "(train.py runs, but there are no final"),
    ],
)
def test_who_is_not_verified_is_told_what_is_missing(note: str | None, said: str) -> None:
    new = replace(CHAMPION, verified=False)
    promoted, reason = promotion(new, None, GOAL, winner=True, note=note)
    assert not promoted
    assert reason.startswith(f"its export is not verified {said}")


@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_a_trial_that_its_study_did_not_choose_is_no_champion(champion: Contender | None) -> None:
    promoted, said = promotion(
        replace(CHAMPION, score=0.99), champion, GOAL, winner=False, note=None
    )
    assert not promoted
    assert said == "it is not its study's winner, which `hpsearch export digits` exports"


def test_a_contender_survives_as_tags() -> None:
    contender = replace(CHAMPION, score=0.1 + 0.2)
    assert Contender.read(contender.tags()) == contender
    assert Contender.read({**contender.tags(), "more": "x"}) == contender
    assert Contender.read({"score": "0.9"}) is None


# aliases in MLflow


def test_the_aliases_follow_what_is_registered(tmp_path: Path, study: optuna.Study) -> None:
    name = "hpsearch-digits"
    done, said = add(tmp_path, "digits", study, verified=False, finalist={"mean": 0.9})
    assert (done.number, done.champion) == (1, False)
    assert aliases(tmp_path, name) == {"challenger": 1}
    assert "version 1 of hpsearch-digits, @challenger and not @champion: its export is not" in said
    assert "--verify` runs its train.py" in said
    check = {"note": "train.py ended with status 1"}
    _, said = add(tmp_path / "2", "digits", study, verified=False, verification=check)
    assert "its export is not verified (train.py ended with status 1)." in said

    done, said = add(tmp_path, "digits", study, finalist={"mean": 0.7})
    assert done == RegisteredVersion(name, 2, True, "it is the first with a verified export")
    assert aliases(tmp_path, name) == {"challenger": 2, "champion": 2}
    assert "mlflow models serve -m models:/hpsearch-digits@champion --env-manager local" in said
    assert f"MLFLOW_TRACKING_URI=sqlite:///{tmp_path}/mlruns/mlflow.db" in said

    add(tmp_path, "digits", study, finalist={"mean": 0.6})
    assert aliases(tmp_path, name) == {"challenger": 3, "champion": 2}
    add(tmp_path, "digits", study, finalist={"mean": 0.7})
    assert aliases(tmp_path, name) == {"challenger": 4, "champion": 2}
    add(tmp_path, "digits", study, finalist={"mean": 0.8})
    assert aliases(tmp_path, name) == {"challenger": 5, "champion": 5}
    _, said = add(tmp_path, "digits", study, finalist=None)
    assert aliases(tmp_path, name) == {"challenger": 6, "champion": 5}
    assert "kind is 'mean of retrainings on folds' and not 'score of one trial'" in said
    _, said = add(tmp_path, "digits", study, finalist={"mean": 0.9}, winner=False)
    assert aliases(tmp_path, name) == {"challenger": 7, "champion": 5}
    assert "not @champion: it is not its study's winner" in said


def test_a_champion_from_elsewhere_is_left_alone(tmp_path: Path, study: optuna.Study) -> None:
    add(tmp_path, "xor", study, verified=False)
    store = client(tmp_path)
    store.create_model_version("hpsearch-xor", (tmp_path / "elsewhere").as_uri())
    store.set_registered_model_alias("hpsearch-xor", "champion", "2")
    done, _ = add(tmp_path, "xor", study)
    assert aliases(tmp_path, "hpsearch-xor") == {"challenger": 3, "champion": 2}
    assert "version 2, was not registered by this project" in done.reason


# what is logged


def test_a_version_leads_to_its_model_run_scores_and_data(
    tmp_path: Path, study: optuna.Study
) -> None:
    add(tmp_path, "iris", study)
    scores = json.loads((tmp_path / "exports" / "iris" / "scores.json").read_text())
    store = client(tmp_path)
    found = store.get_model_version("hpsearch-iris", "1")
    expected = {"task": "iris", "score": "0.7", "verified": "True", "trial": "7"}
    assert expected.items() <= found.tags.items()
    assert "raw rows of the table" in str(found.description)
    assert found.run_id == scores["run_id"]

    run = store.get_run(scores["run_id"])
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    model = store.get_logged_model(output.model_id)
    assert str(model.status) == "READY"
    assert model.source_run_id == run.info.run_id
    assert json.loads(model.tags["mlflow.modelVersions"]) == [
        {"name": "hpsearch-iris", "version": found.version}
    ]
    metrics = model.metrics or []
    assert {metric.key: metric.value for metric in metrics} == {
        "best_val_accuracy": 0.75,
        "best_val_loss": 0.5,
        "compared_val_accuracy": 0.7,
    }
    of_data = {(metric.dataset_name, metric.dataset_digest) for metric in metrics}
    assert of_data == {("iris-validation", scores["data_digest"])}
    # The run's own points are not there twice.
    assert len(store.get_metric_history(run.info.run_id, "best_val_accuracy")) == 1


def model_folder(folder: Path) -> Path:
    (path,) = (folder / "mlruns" / "artifacts" / "models").glob("*/artifacts")
    return path


def test_a_model_says_what_it_takes_needs_and_answers(tmp_path: Path, study: optuna.Study) -> None:
    data_dir = churn_data(tmp_path / "data")
    exported = export_of("churn", tmp_path, data_dir)
    settings = settings_of(tmp_path, data_dir)
    register(TASKS["churn"], settings, study, exported, Console(file=io.StringIO()), verified=True)

    path = model_folder(tmp_path)
    pinned = (path / "requirements.txt").read_text().split()
    needed = ("mlflow", "keras", "tensorflow", "numpy", "pandas", "scikit-learn", "joblib")
    assert pinned == [f"{package}=={version(package)}" for package in needed]
    model = mlflow.models.Model.load(path)
    inputs, outputs = model.signature.inputs, model.signature.outputs
    assert inputs.input_names()[:3] == ["Geography", "Gender", "CreditScore"]
    assert outputs.input_names() == ["class", "probabilities"]
    assert set(outputs.input_types()[1].to_dict()["properties"]) == {"left", "stayed"}
    example: Any = model.load_input_example(str(path))
    table = pd.read_csv(data_dir / "churn" / "Churn_Modelling.csv")[list(example.columns)]
    assert len(example.merge(table)) == len(example) == 2


def test_an_image_model_takes_any_number_of_images(tmp_path: Path, study: optuna.Study) -> None:
    add(tmp_path, "digits", study)
    model = mlflow.models.Model.load(model_folder(tmp_path))
    (images,) = model.signature.inputs.inputs
    assert (images.name, images.shape) == ("images", (-1,))
    example: Any = model.load_input_example(str(model_folder(tmp_path)))
    np.testing.assert_array_equal(example["images"], TASKS["digits"].load(None).train.inputs[:2])
    assert "scikit-learn" not in (model_folder(tmp_path) / "requirements.txt").read_text()


def test_the_global_state_of_mlflow_stays(tmp_path: Path, study: optuna.Study) -> None:
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    add(tmp_path, "xor", study)
    load_registered(settings_of(tmp_path), "models:/hpsearch-xor@champion")
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == before


# loading it back


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An iris champion, and a model that another project registered."""
    folder = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        add(folder, "iris", new_study())
    foreign = folder / "foreign"
    foreign.mkdir()
    mlflow.models.Model().save(str(foreign / "MLmodel"))
    store = client(folder)
    store.create_registered_model("other")
    store.create_model_version("other", foreign.as_uri())
    return folder


@pytest.mark.parametrize("address", ["hpsearch-iris@champion", "hpsearch-iris/1"])
def test_a_registered_model_answers(registered: Path, address: str) -> None:
    loaded = load_registered(settings_of(registered), f"models:/{address}")
    assert (loaded.task, loaded.verified) == ("iris", True)
    names = mlflow.models.Model.load(model_folder(registered)).signature.inputs.input_names()
    (answer,) = loaded.answers(pd.DataFrame([[5.1, 3.5, 1.4, 0.2]], columns=names))
    assert answer["class"] in TASKS["iris"].class_names
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    with pytest.raises(InputError, match=r"^The columns sepal width \(cm\), .* are missing"):
        loaded.answers(pd.DataFrame({"sepal length (cm)": [5.1], "colour": ["blue"]}))


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("hpsearch-iris", "is no address of a registered model"),
        ("models:/hpsearch-iris", "is no address of a registered model"),
        ("models:/hpsearch-iris/2", r"cannot be loaded from sqlite.* \(.*not found\): name one"),
        ("models:/hpsearch-iris@best", "cannot be loaded from sqlite"),
        ("models:/hpsearch-xor@champion", "cannot be loaded from sqlite"),
        ("models:/other/1", "was not registered by this project"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(
    registered: Path, address: str, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        load_registered(settings_of(registered), address)


def test_without_a_record_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no MLflow record at .*mlflow\.db"):
        load_registered(Settings(runs_dir=tmp_path / "new"), "models:/hpsearch-xor@champion")
    assert not (tmp_path / "new").exists()


# bad input


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"study": "another"}, "is an export of the study another and not of fake-study"),
        ({"data_digest": "abc"}, "the export was made with abc: point --data-dir"),
    ],
)
def test_another_export_than_the_studys_is_refused(
    tmp_path: Path, study: optuna.Study, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        add(tmp_path, "xor", study, **changes)
    assert client(tmp_path).search_registered_models() == []


@pytest.fixture
def copied(registered: Path, tmp_path: Path) -> Path:
    """Runs whose files, for MLflow, still lie in the folder that they were copied from."""
    with contextlib.closing(sqlite3.connect(registered / "mlruns" / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (tmp_path / "mlruns").mkdir()
    shutil.copy(registered / "mlruns" / "mlflow.db", tmp_path / "mlruns")
    return tmp_path


def test_nothing_is_registered_among_the_files_of_another_folder(
    registered: Path, copied: Path, study: optuna.Study
) -> None:
    console, exported = Console(file=io.StringIO()), registered / "exports" / "iris"
    settings = settings_of(copied)
    with pytest.raises(InputError, match="move the folder back, or name a new one"):
        register(TASKS["iris"], settings, study, exported, console, verified=True)


def test_no_model_is_loaded_from_the_files_of_another_folder(copied: Path) -> None:
    with pytest.raises(InputError, match="move the folder back, or name a new one"):
        load_registered(settings_of(copied), "models:/hpsearch-iris@champion")


def test_a_folder_without_an_export_is_refused(tmp_path: Path, study: optuna.Study) -> None:
    console = Console(file=io.StringIO())
    with pytest.raises(InputError, match="holds no export: run `hpsearch export` first"):
        register(TASKS["xor"], settings_of(tmp_path), study, tmp_path, console, verified=True)


def test_a_model_that_cannot_be_stored_gets_no_version(
    tmp_path: Path, study: optuna.Study
) -> None:
    exported = export_of("xor", tmp_path)
    (exported / "model.keras").unlink()
    with pytest.raises(RunFailedError, match="could not be registered"):
        add(tmp_path, "xor", study)
    store = client(tmp_path)
    assert store.search_registered_models() == []
    experiment = store.get_experiment_by_name("xor")
    assert experiment is not None
    models = store.search_logged_models([experiment.experiment_id])
    assert [str(model.status) for model in models] == ["FAILED"]
