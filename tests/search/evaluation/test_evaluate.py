"""Evaluations from a study to the ledger and MLflow, with real small refits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipelines import sealed, sources
from pipelines.refit import reports, settled
from pipelines.segment import train_segment
from pipelines.tasks import TASKS
from pipelines.whole import predict
from search import study as studies
from search.evaluation import evaluate as evaluations
from search.evaluation.ledger import latest, openings
from search.finalists import verdict
from search.finalists.verdict import Retraining
from search.run import dataset_info
from search.settings import Settings
from search.tracking.tracker import Tracker
from tests.inline import InlineEngine
from tests.search.evaluation.evaluated import CONFIG, new_study, run, segments

pytestmark = [
    pytest.mark.usefixtures("at_home"),
    # Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def runs(settings: Settings, task: str = "iris") -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(f"sqlite:///{settings.runs_dir / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(task)
    assert experiment is not None
    return client, list(client.search_runs([experiment.experiment_id]))


def test_the_winner_is_refitted_on_all_searched_rows_and_scored_once(
    engine: InlineEngine, settings: Settings
) -> None:
    study = new_study()
    found, printed = run(settings, study)
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
    assert latest(settings.runs_dir, study, 1) == opening
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


def test_how_long_it_takes_is_said_before_it_starts(
    engine: InlineEngine, settings: Settings
) -> None:
    study = new_study()
    for draw in range(2):
        last = {"epoch": 20.0, "val_accuracy": 0.9}
        verdict.store(study, Retraining(1, draw, 100 + draw, last, 20.0, 600.0 + draw))
    verdict.store(study, Retraining(1, 2, 102, {}, 1.0, 1.0, cause="diverged"))
    printed = run(settings, study, 3)[1]
    line = "About 20 min: 3 trainings on 2 workers, 10 min each."
    assert printed.index(line) < printed.index("trained in")


def test_without_finalists_the_trial_s_epochs_tell_how_long_it_takes(
    engine: InlineEngine, settings: Settings
) -> None:
    printed = run(settings, new_study(epoch=5.0, train_seconds=60.0), 1)[1]
    assert "About 4 min: 1 training on 2 workers, 4 min each." in printed


def test_a_second_opening_is_counted_and_said(engine: InlineEngine, settings: Settings) -> None:
    study = new_study()
    first, _ = run(settings, study)
    second, printed = run(settings, study)
    assert second.opening.number == 2
    assert second.opening.scores == first.opening.scores  # the same seeds, the same refits
    assert "has now been opened 2 times for this study" in " ".join(printed.split())


def test_an_opening_in_another_folder_is_counted(
    engine: InlineEngine, settings: Settings, tmp_path: Path
) -> None:
    study = new_study()
    run(settings, study, 1)
    found, printed = run(replace(settings, runs_dir=tmp_path / "elsewhere"), study, 1)
    assert found.opening.number == 2
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
    study, n_sent_at_opening = new_study(), []

    def open_sealed(*given: Any) -> Any:
        n_sent_at_opening.append(len(engine.sent))
        (entry,) = openings(settings.runs_dir, study)
        assert not entry.scores
        return sealed.open_sealed(*given)

    monkeypatch.setattr(evaluations, "open_sealed", open_sealed)
    run(settings, study)
    (opened,) = n_sent_at_opening
    before = {work for work, _ in engine.sent[:opened]}
    after = {work for work, _ in engine.sent[opened:]}
    assert (before, after) == ({train_segment, settled}, {predict, reports})
    with_test_rows = [given[-1] for work, given in engine.sent if work is predict]
    assert all(len(rows) == 30 for rows in with_test_rows)


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


def test_seeds_are_fresh_and_follow_from_the_settings(
    engine: InlineEngine, settings: Settings
) -> None:
    study = new_study()
    seeds = run(settings, study)[0].opening.seeds
    others = run(replace(settings, seed=4), study)[0].opening.seeds
    assert len({*seeds, *others}) == 4
    assert np.array([*seeds, *others]).max() < 2**31
