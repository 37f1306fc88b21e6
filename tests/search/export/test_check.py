"""The check of an export: what its script should score, and what is said where it does not."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from pipelines.tasks import TASKS
from search import study as studies
from search.export import check as script_check
from search.export import folder as exporting
from search.export.folder import UnverifiedError
from search.finalists.verdict import Verdict, verdict
from tests.search.export.winners import Export, add, card, retrain, scores


def printing(score: float | str) -> Callable[..., str]:
    return lambda *_: f"print('val_accuracy: {score}')\n"


def verdict_of(study: optuna.Study) -> Verdict:
    found = verdict(study)
    assert found is not None
    return found


@pytest.fixture
def confirmed(study: optuna.Study) -> optuna.Study:
    """Its winner is trial 1, whose own score is 0.98; the standard deviation is about 0.01."""
    retrain(study, 1, 0.96, 0.97, 0.98)
    retrain(study, 0, 0.93, 0.92, 0.94)
    return study


def test_the_interval_is_the_prediction_of_one_more_training(study: optuna.Study) -> None:
    retrain(study, 0, 0.86, 0.87, 0.88)  # of a standard deviation of 0.01
    record = dict(studies.best_first(study, ("completed",)))[0]
    quantile = 4.3027  # of Student's t with 2 degrees of freedom
    # Its own score, on the rows that the script scores on too, where the others are of folds.
    low, high = script_check.expected(study, TASKS["digits"], 0, record) or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(0.91)
    assert (high - low) / 2 == pytest.approx(quantile * 0.01 * 2**0.5, rel=1e-3)
    study.set_user_attr("task", "mnist")
    low, high = script_check.expected(study, TASKS["mnist"], 0, record) or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(0.87)
    assert (high - low) / 2 == pytest.approx(quantile * 0.01 * (4 / 3) ** 0.5, rel=1e-3)


def test_the_spread_of_a_trial_that_is_no_finalist_is_the_finalists(study: optuna.Study) -> None:
    retrain(study, 0, 0.86, 0.87, 0.88)
    records = dict(studies.best_first(study, ("completed",)))
    ends = [
        script_check.expected(study, TASKS["digits"], n, records[n]) or (0.0, 0.0) for n in (0, 2)
    ]
    assert ends[1][1] - ends[1][0] == pytest.approx(ends[0][1] - ends[0][0])
    assert sum(ends[1]) / 2 == pytest.approx(0.9)


def test_on_folds_the_luck_of_the_split_is_no_excuse(study: optuna.Study) -> None:
    """The folds differ by 0.1, one config's score on a fold from what is expected by 0.001."""
    for number, level in ((0, 0.8), (1, 0.83)):
        luck = (0.001, -0.001, 0.0) if number else (-0.001, 0.001, 0.0)
        folds = (0.0, 0.1, 0.05)
        retrain(study, number, *(level + f + e for f, e in zip(folds, luck, strict=True)))
    records = dict(studies.best_first(study, ("completed",)))
    deviation = (4 * 0.001**2 / 2) ** 0.5
    half, luckiest = 4.3027 * deviation, 7.6488 * deviation  # at 1 - .025 and 1 - .025 / 3
    for number in (0, 1, 2):  # the last one is no finalist
        score = records[number].best["val_accuracy"]
        low, high = script_check.expected(study, TASKS["digits"], number, records[number]) or (
            0,
            0,
        )
        assert high == pytest.approx(score + half * 2**0.5, abs=1e-5)
        assert low == pytest.approx(score - math.hypot(half, luckiest), abs=1e-5)


def test_a_finalist_that_was_pruned_is_expected_to_score_as_when_trained_again(
    study: optuna.Study,
) -> None:
    """It left off at 0.6; through its whole schedule the folds give it 0.80 to 0.82."""
    add(study, 0.6, state="pruned", epoch=5.0, preset="iris_mlp_32")
    for number, luck in ((0, 0.002), (5, -0.002)):
        folds = (0.80, 0.82, 0.81)
        signs = (1, -1, 0)
        retrain(study, number, *(f + s * luck for f, s in zip(folds, signs, strict=True)))
    standing = next(s for s in verdict_of(study).standings if s.number == 5)
    low, high = script_check.expected(study, TASKS["digits"], 5, standing.record) or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(0.81)
    # Between folds the deviation is 0.01; with 2 degrees of freedom, as all configs share it.
    assert (high - low) / 2 == pytest.approx(4.3 * 0.01 * (4 / 3) ** 0.5, rel=0.1)
    assert low > 0.6


def test_no_score_beyond_one_is_expected(study: optuna.Study) -> None:
    retrain(study, 1, 0.86, 0.87, 0.97)
    record = studies.best_first(study, ("completed",))[0][1]
    _, high = script_check.expected(study, TASKS["digits"], 1, record) or (0.0, 0.0)
    assert high == 1.0


def test_there_is_no_interval_without_a_config_trained_twice(study: optuna.Study) -> None:
    record = studies.best_first(study, ("completed",))[0][1]
    assert script_check.expected(study, TASKS["digits"], 1, record) is None
    retrain(study, 1, 0.96)
    assert script_check.expected(study, TASKS["digits"], 1, record) is None


def test_a_script_that_scores_as_the_search_is_verified(
    confirmed: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "training_script", printing(0.975))
    printed = io.StringIO()
    files = run(confirmed, verify=True, printed=printed)
    found = scores(files)
    assert found["verified"] is True
    assert found["verification"]["score"] == 0.975
    low, high = found["verification"]["interval"]
    assert low < 0.975 < high
    assert card(files).splitlines()[2].startswith("Verified in a clean process")
    assert "; model.keras scores as its training did." in card(files).splitlines()[2]
    assert "  val_accuracy: 0.975" in printed.getvalue()


def test_what_a_check_said_stays_with_the_same_model_and_script(
    confirmed: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "training_script", printing(0.975))
    verified = run(confirmed, verify=True)
    assert run(confirmed) == verified
    monkeypatch.setattr(exporting, "training_script", printing(0.9751))
    assert scores(run(confirmed))["verified"] is None
    monkeypatch.setattr(exporting, "training_script", printing(0.975))
    run(confirmed, verify=True)
    assert scores(run(confirmed, trial=0))["verified"] is None


@pytest.mark.parametrize(
    ("score", "problem"),
    [
        (0.5, "reached val_accuracy 0.5000, below"),
        (1.5, "reached val_accuracy 1.5000, above"),
        ("nan", "ended with val_accuracy nan"),
    ],
)
def test_a_script_that_scores_otherwise_is_marked_unverified(
    score: float | str,
    problem: str,
    confirmed: optuna.Study,
    run: Export,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(exporting, "training_script", printing(score))
    with pytest.raises(UnverifiedError, match=f"UNVERIFIED: train.py {problem}"):
        run(confirmed, verify=True)
    folder = tmp_path / "exports" / "digits"
    assert json.loads((folder / "scores.json").read_text())["verified"] is False
    top = (folder / "MODEL_CARD.md").read_text().splitlines()[2]
    assert top.startswith("> **UNVERIFIED")


def test_a_model_that_scores_otherwise_is_marked_unverified(
    confirmed: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[object] = []

    def problem(*arguments: object) -> str:
        asked.extend(arguments)
        return "model.keras scores val_accuracy 0.1000 where its training scored 0.9600"

    monkeypatch.setattr(exporting, "training_script", printing(0.975))
    monkeypatch.setattr(script_check, "model_problem", problem)
    with pytest.raises(
        UnverifiedError, match=r"UNVERIFIED: model\.keras scores val_accuracy 0\.1"
    ):
        run(confirmed, verify=True)
    # The score of the retraining, on the fold that it was scored on.
    assert asked == ["digits", tmp_path / "exports" / "digits", None, 0, 0.96]


@pytest.mark.parametrize(
    "line", ["raise SystemExit(3)", "import search", "import pipelines.tasks"]
)
def test_a_script_that_fails_or_needs_this_project_is_marked_unverified(
    line: str, study: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "training_script", lambda *_: f"{line}\n")
    with pytest.raises(UnverifiedError, match=r"train\.py ended with status"):
        run(study, verify=True)


def test_without_finalists_a_script_need_only_run(
    study: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "training_script", printing(0.1))
    printed = io.StringIO()
    found = scores(run(study, verify=True, printed=printed))
    assert found["verified"] is None
    assert found["verification"]["score"] == 0.1
    said = "not verified: train.py runs, but there are no finalists to compare its score with"
    assert f"{said}: search on with more time" in printed.getvalue()


def test_finalists_of_one_draw_each_are_not_called_none(
    study: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "training_script", printing(0.1))
    for number in (0, 1):
        retrain(study, number, 0.9)
    printed = io.StringIO()
    assert scores(run(study, verify=True, printed=printed))["verified"] is None
    assert "its study's finalists have one draw each, too few for" in printed.getvalue()


def test_the_clean_process_does_not_inherit_what_leads_to_this_project(
    study: optuna.Study, run: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONPATH", "HPSEARCH_DATA_DIR", "MLFLOW_TRACKING_URI", "KERAS_BACKEND"):
        monkeypatch.setenv(name, "here")
    lines = [
        "import os",
        "print('\\n'.join(f'{name}={value}' for name, value in os.environ.items()))",
        "print(os.getcwd(), __name__, 'val_accuracy: 0.5', sep='\\n')",
    ]
    monkeypatch.setattr(exporting, "training_script", lambda *_: "\n".join(lines))
    printed = io.StringIO()
    run(study, verify=True, printed=printed)
    assert "=here" not in printed.getvalue()
    assert "__main__" in printed.getvalue()
    assert "hpsearch-" in printed.getvalue()  # the temporary folder that it runs in
