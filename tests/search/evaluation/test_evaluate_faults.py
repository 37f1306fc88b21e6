"""Evaluations that cannot be, fail or are stopped: the test set stays closed, or it is counted."""

from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from pipelines.tasks import TASKS
from pipelines.whole import predict
from search.evaluation import evaluate as evaluations
from search.evaluation.calls import CallsFailedError
from search.evaluation.evaluate import EvaluationFailedError
from search.evaluation.ledger import latest, openings
from search.settings import Settings
from search.tracking.tracker import Tracker, TrackingError
from spaces.config import Config
from spaces.errors import InputError
from tests.inline import InlineEngine
from tests.search.evaluation.evaluated import installed, new_study, run, segments

pytestmark = [
    pytest.mark.usefixtures("at_home"),
    # Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

DIVERGING = Config.model_validate(
    {
        "network": {"layers": [{"units": 8}]},
        "optimization": {"optimizer": "sgd", "learning_rate": 10.0, "batch_size": 1},
        "regularization": {"l2": 1.0},
        "training": {"epochs": 20},
    }
)


def test_an_interrupted_evaluation_goes_on_with_what_it_has_trained(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, study = (
        installed(monkeypatch, InlineEngine(1)),
        new_study(epoch=5.0, train_seconds=60.0),
    )

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
    assert "About 4 min: 1 training on 1 worker, 4 min each." in printed
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
    assert latest(settings.runs_dir, study, 1) is None
    assert run(settings, study, 1)[0].opening.number == 2


def test_without_mlflow_the_ledger_stands(
    engine: InlineEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise TrackingError("MLflow: no answer.")

    monkeypatch.setattr(Tracker, "open_single", fail)
    study = new_study()
    found, printed = run(settings, study, 1)
    assert "MLflow: no answer. The ledger has the scores all the same." in printed
    assert latest(settings.runs_dir, study, 1) == found.opening


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
    study = new_study(config=DIVERGING)
    with pytest.raises(
        EvaluationFailedError, match=r"None of 2 refits .* stays closed.* diverged"
    ):
        run(settings, study)
    assert openings(settings.runs_dir, study) == []
    assert not (settings.runs_dir / "mlflow.db").exists()


def test_a_lost_worker_predicts_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = installed(monkeypatch, InlineEngine(1, faults={2: "lost"}))
    run(settings, new_study(), 1)
    assert [work for work, _ in engine.sent[2:4]] == [predict, predict]


def test_a_worker_lost_twice_ends_it_with_a_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, InlineEngine(1, faults={2: "lost", 3: "lost"}))
    study = new_study()
    with pytest.raises(CallsFailedError, match=r"lost twice .* fewer --workers"):
        run(settings, study, 1)
    assert len(openings(settings.runs_dir, study)) == 1


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
