"""Evaluations from a study to the ledger and MLflow, with real small refits."""

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from rich.console import Console

from pipelines import sealed, sources
from pipelines import segment as segment_module
from pipelines.refit import reports, settled
from pipelines.segment import Segment, train_segment
from pipelines.tasks import TASKS, Task
from pipelines.whole import predict
from search import study as studies
from search.evaluation import evaluate as evaluations
from search.evaluation.evaluate import Evaluation, EvaluationFailedError, evaluate
from search.evaluation.ledger import latest, openings
from search.finalists import verdict
from search.finalists.verdict import Retraining
from search.run import dataset_info
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import Tracker, TrackingError
from spaces.config import Config
from spaces.errors import InputError
from tests.inline import InlineEngine

# Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[3]
CONFIG = Config.model_validate(
    {
        "network": {"layers": [{"units": 8}]},
        "optimization": {"optimizer": "adam", "learning_rate": 0.02, "batch_size": 16},
        "training": {"epochs": 20, "patience": 1, "final_decay": 0.5},
    }
)
DIVERGING = Config.model_validate(
    {
        "network": {"layers": [{"units": 8}]},
        "optimization": {"optimizer": "sgd", "learning_rate": 10.0, "batch_size": 1},
        "regularization": {"l2": 1.0},
        "training": {"epochs": 20},
    }
)


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    segment_module._held.clear()
    yield
    segment_module._held.clear()


def installed(monkeypatch: pytest.MonkeyPatch, engine: InlineEngine) -> InlineEngine:
    monkeypatch.setattr(evaluations, "local_engine", lambda _: contextlib.nullcontext(engine))
    return engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> InlineEngine:
    """The workers of all evaluations of a test: its own process."""
    return installed(monkeypatch, InlineEngine())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(runs_dir=tmp_path / "mlruns", workers=2, seed=3)


def new_study(task: str = "iris", name: str = "", config: Config = CONFIG) -> optuna.Study:
    """A study of two completed trials, of which the second is the best with `config`."""
    goal = TASKS[task].goal
    study = optuna.create_study(study_name=name or f"{task}-1", direction=goal.direction)
    digest = TASKS[task].load(None).digest
    for key, value in (("task", task), ("metric", goal.metric), ("data_digest", digest)):
        study.set_user_attr(key, value)
    for score, each in ((0.8, CONFIG), (0.9, config)):
        trial = study.ask()
        record = Record(
            each.model_dump(mode="json"),
            seed=trial.number,
            state="completed",
            best={"epoch": 7.0, goal.metric: score},
        )
        studies.write(study, trial, record)
    return study


def run(
    settings: Settings, study: optuna.Study, draws: int = 2, task: Task | None = None
) -> tuple[Evaluation, str]:
    """The evaluation, and what it printed on 80 columns."""
    console = Console(width=80, file=io.StringIO(), record=True)
    found = evaluate(
        task or TASKS[study.user_attrs["task"]],
        settings,
        study,
        draws=draws,
        console=console,
        command="hpsearch evaluate iris",
    )
    return found, console.export_text()


def runs(settings: Settings, task: str = "iris") -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(f"sqlite:///{settings.runs_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(task)
    assert experiment is not None
    return client, list(client.search_runs([experiment.experiment_id]))


def segments(engine: InlineEngine) -> list[Segment]:
    return [given[0] for work, given in engine.sent if work is train_segment]


def test_the_winner_is_refitted_on_all_searched_rows_and_scored_once(
    engine: InlineEngine, settings: Settings
) -> None:
    found, printed = run(settings, new_study())
    opening = found.opening
    assert {s.division for s in segments(engine)} == {"refit"}
    assert {s.until for s in segments(engine)} == {20.0}
    assert {s.seed for s in segments(engine)} == set(opening.seeds)
    assert all(s.config.training.epochs == 20 for s in segments(engine))
    assert all(s.config.training.patience == 0 for s in segments(engine))
    assert (opening.number, opening.trial, opening.epochs) == (1, 1, 20.0)
    assert opening.promised == 0.9
    accuracy = opening.scores["accuracy"]
    assert len(accuracy.values) == 2
    assert accuracy.mean > 0.5
    assert opening.gap == pytest.approx(accuracy.mean - 0.9)
    assert latest(settings.runs_dir, "iris", "iris-1") == opening
    assert max(len(line) for line in printed.splitlines()) <= 80


def test_what_is_printed_says_scores_promise_gap_and_count(
    engine: InlineEngine, settings: Settings
) -> None:
    found, printed = run(settings, new_study())
    accuracy = found.opening.scores["accuracy"]
    assert accuracy.interval is not None
    low, high = accuracy.interval
    line = next(line for line in printed.splitlines() if line.strip().startswith("accuracy"))
    assert f"{accuracy.mean:.4f}" in line
    assert f"{low:.4f} to {high:.4f}" in line
    text = " ".join(printed.split())
    assert "t001, mlp d8 adam, refitted on 120 train and validation rows: 2 seeds, 20 ep" in text
    assert f"promised accuracy 0.9000, the test gave {accuracy.mean:.4f}: a gap of" in text
    assert "opened for this study for the first time" in text
    together = found.opening.ensemble["accuracy"]
    assert line.split()[-1] == f"{together.mean:.4f}"
    assert "the mean of what the 2 networks say, at 2 times the cost" in text
    assert found.report.split()[:4] == ["precision", "recall", "f1-score", "support"]
    assert "versicolor" in printed


def test_a_second_opening_is_counted_and_said(engine: InlineEngine, settings: Settings) -> None:
    study = new_study()
    first, _ = run(settings, study)
    second, printed = run(settings, study)
    assert second.opening.number == 2
    assert second.opening.scores == first.opening.scores  # the same seeds, the same refits
    assert "has now been opened 2 times for this study" in " ".join(printed.split())


def test_finalists_decide_who_is_refitted(engine: InlineEngine, settings: Settings) -> None:
    study = new_study()
    for number, score in ((0, 0.88), (1, 0.7)):
        for draw in range(3):
            last = {"epoch": 20.0, "val_accuracy": score}
            verdict.store(study, Retraining(number, draw, 100 + draw, last, 20.0, 1.0))
    opening = run(settings, study)[0].opening
    assert opening.trial == 0
    assert opening.promised == pytest.approx(0.88)


def test_finalists_that_all_failed_promise_nothing(
    engine: InlineEngine, settings: Settings
) -> None:
    study = new_study()
    verdict.store(study, Retraining(1, 0, 5, {}, 1.0, 1.0, cause="diverged"))
    opening = run(settings, study, 1)[0].opening
    assert (opening.trial, opening.promised) == (1, 0.9)


def test_nothing_is_trained_once_the_test_set_is_open(
    engine: InlineEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_sent_at_opening = []

    def open_sealed(*given: Any) -> Any:
        n_sent_at_opening.append(len(engine.sent))
        (entry,) = openings(settings.runs_dir, "iris", "iris-1")
        assert not entry.scores
        return sealed.open_sealed(*given)

    monkeypatch.setattr(evaluations, "open_sealed", open_sealed)
    run(settings, new_study())
    (opened,) = n_sent_at_opening
    before = {work for work, _ in engine.sent[:opened]}
    after = {work for work, _ in engine.sent[opened:]}
    assert (before, after) == ({train_segment, settled}, {predict, reports})
    with_test_rows = [given[-1] for work, given in engine.sent if work is predict]
    assert all(len(rows) == 30 for rows in with_test_rows)


def test_an_interrupted_evaluation_goes_on_with_what_it_has_trained(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, study = installed(monkeypatch, InlineEngine(1)), new_study()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluations, "ended_line", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(settings, study)
    (first,) = {s.seed for s in segments(engine)}
    engine.sent.clear()
    found, printed = run(settings, study)
    assert {s.seed for s in segments(engine)} == set(found.opening.seeds) - {first}
    assert f"seed {first}: trained before" in printed
    assert found.opening.number == 1
    assert not list((settings.runs_dir / "refits").iterdir())


def test_a_crash_after_the_opening_leaves_it_counted(
    engine: InlineEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = new_study()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(evaluations, "scored", crash)
        with pytest.raises(KeyboardInterrupt):
            run(settings, study, 1)
    assert latest(settings.runs_dir, "iris", "iris-1") is None
    assert run(settings, study, 1)[0].opening.number == 2


def test_mlflow_shows_scores_and_files_under_the_study(
    engine: InlineEngine, settings: Settings
) -> None:
    study = new_study()
    tracker = Tracker.open(settings.runs_dir, None)
    data = TASKS["iris"].load(None)
    dataset = dataset_info(TASKS["iris"], data)
    parent = tracker.open_study(
        "iris", "iris-1", parameters={}, tags={}, dataset=dataset, goal_metric="val_accuracy",
        command="",
    )  # fmt: skip
    trial = tracker.open_trial(
        parent, name="t001", number=1, parameters={}, tags={}, dataset=dataset
    )
    studies.write_run(study, 1, trial)
    opening = run(settings, study)[0].opening

    client, all_runs = runs(settings)
    (shown,) = [each for each in all_runs if each.data.tags["stage"] == "evaluation"]
    assert shown.info.status == "FINISHED"
    expected = {"mlflow.parentRunId": parent, "study": "iris-1", "trial": "1", "opening": "1"}
    assert expected.items() <= shown.data.tags.items()
    assert shown.data.metrics["test_accuracy"] == opening.scores["accuracy"].mean
    together = opening.ensemble["accuracy"].mean
    assert shown.data.metrics["test_ensemble_accuracy"] == together
    assert shown.data.metrics["promised_accuracy"] == 0.9
    names = {file.path for file in client.list_artifacts(shown.info.run_id)}
    pictures = {"confusion_matrix.png", "classification_report.txt"}
    assert names == {*pictures, "config.yaml", "ledger_entry.json"}
    path = client.download_artifacts(shown.info.run_id, "ledger_entry.json")
    assert json.loads(Path(path).read_text())["number"] == 1


def test_without_mlflow_the_ledger_stands(
    engine: InlineEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise TrackingError("MLflow: no answer.")

    monkeypatch.setattr(Tracker, "open_single", fail)
    found, printed = run(settings, new_study(), 1)
    assert "MLflow: no answer. The ledger has the scores all the same." in printed
    assert latest(settings.runs_dir, "iris", "iris-1") == found.opening


def test_a_seed_that_fails_is_said_and_the_others_are_scored(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, InlineEngine(1, faults={0: "memory"}))
    found, printed = run(settings, new_study(), 3)
    opening = found.opening
    assert opening.failed == {opening.seeds[0]: "out of memory"}
    assert len(opening.scores["accuracy"].values) == 2
    assert f"seed {opening.seeds[0]}: out of memory; not scored." in printed
    assert "Not scored: 1 of 3 seeds." in printed


def test_if_all_seeds_diverge_the_test_set_stays_closed(
    engine: InlineEngine, settings: Settings
) -> None:
    with pytest.raises(
        EvaluationFailedError, match=r"None of 2 refits .* stays closed.* diverged"
    ):
        run(settings, new_study(config=DIVERGING))
    assert openings(settings.runs_dir, "iris", "iris-1") == []
    assert not (settings.runs_dir / "mlflow.db").exists()


def test_a_lost_worker_predicts_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = installed(monkeypatch, InlineEngine(1, faults={2: "lost"}))
    run(settings, new_study(), 1)
    assert [work for work, _ in engine.sent[2:4]] == [predict, predict]


def test_a_worker_lost_twice_ends_it_with_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, InlineEngine(1, faults={2: "lost", 3: "lost"}))
    with pytest.raises(EvaluationFailedError, match=r"lost twice .* fewer --workers"):
        run(settings, new_study(), 1)
    assert len(openings(settings.runs_dir, "iris", "iris-1")) == 1


def test_churn_has_a_threshold_from_validation_rows_and_its_own_scores(
    engine: InlineEngine, settings: Settings
) -> None:
    if sources.find("churn", None) is None:
        pytest.skip(f"no churn table: name its folder in {sources.DATA_DIR_VARIABLE}")
    config = CONFIG.model_copy(
        update={"optimization": CONFIG.optimization.model_copy(update={"batch_size": 200})}
    )
    found, printed = run(settings, new_study("churn", config=config))
    opening = found.opening
    assert {s.division for s in segments(engine)} == {"search", "refit"}
    predicted = [len(given[-1]) for work, given in engine.sent if work is predict]
    assert predicted == [1600, 1600, 2000, 2000]
    assert opening.metric == "auc"
    assert len(opening.thresholds) == 2
    assert all(0.05 < threshold < 0.6 for threshold in opening.thresholds)
    scores = opening.scores
    assert scores["auc"].mean > 0.75
    assert scores["lift"].mean > 2
    assert scores["f1_at_threshold"].mean > 0.45
    assert max(len(line) for line in printed.splitlines()) <= 80


def test_the_whole_of_it_runs_on_real_workers(settings: Settings) -> None:
    found, _ = run(replace(settings, workers=2), new_study(), 2)
    assert found.opening.scores["accuracy"].mean > 0.5


def test_a_study_without_a_completed_trial_cannot_be_evaluated(
    engine: InlineEngine, settings: Settings
) -> None:
    study = new_study()
    empty = optuna.create_study(study_name="iris-2", direction="maximize")
    for key, value in study.user_attrs.items():
        empty.set_user_attr(key, value)
    with pytest.raises(InputError, match="No trial of iris-2 has completed yet"):
        run(settings, empty)
    assert engine.sent == []


def test_other_data_than_the_study_s_are_refused(engine: InlineEngine, settings: Settings) -> None:
    study = new_study()
    study.set_user_attr("data_digest", "another")
    with pytest.raises(InputError, match="the study was made with another: point --data-dir"):
        run(settings, study)
    assert engine.sent == []


def test_a_task_without_test_rows_cannot_be_evaluated(
    engine: InlineEngine, settings: Settings
) -> None:
    with pytest.raises(InputError, match="there is no test set to open"):
        run(settings, new_study("xor"))
    assert not settings.runs_dir.exists()


def test_missing_test_files_are_said_before_anything_is_trained(
    engine: InlineEngine, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "mnist").mkdir()
    study = new_study()
    with pytest.raises(InputError, match="mnist lacks t10k-images-idx3-ubyte"):
        run(replace(settings, data_dir=tmp_path), study, task=TASKS["mnist"])
    assert engine.sent == []
    assert not settings.runs_dir.exists()


def test_no_seed_at_all_is_an_error(engine: InlineEngine, settings: Settings) -> None:
    with pytest.raises(InputError, match="--seeds must be at least 1, got 0"):
        run(settings, new_study(), 0)


def test_seeds_are_fresh_and_follow_from_the_settings(
    engine: InlineEngine, settings: Settings
) -> None:
    study = new_study()
    seeds = run(settings, study)[0].opening.seeds
    others = run(replace(settings, seed=4), study)[0].opening.seeds
    assert len({*seeds, *others}) == 4
    assert np.array([*seeds, *others]).max() < 2**31
