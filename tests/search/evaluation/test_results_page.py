"""docs/results.md from stored measurements, studies made by hand, and a ledger."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from pipelines.tasks import TASKS
from search import study as studies
from search.evaluation.ledger import Opening, Score, write_opened, write_scored
from search.evaluation.measurements import Measurement, Measurements
from search.evaluation.published import Published
from search.evaluation.results_page import check_page, new_page, section, write_page
from search.settings import Settings
from search.study import Record
from spaces.errors import InputError
from spaces.presets import PRESETS, presets_of

ROOT = Path(__file__).parents[3]
MNIST, CHURN = TASKS["mnist"], TASKS["churn"]
CONV = PRESETS["mnist_conv_net"]
CHURN_MLP = PRESETS["churn_mlp_6_6"]


def measurement(model: str, config: Any, draw: int = 0, **changes: Any) -> Measurement:
    new = Measurement(model, draw, draw, config, data_digest="abc", precision="float32")
    return replace(new, **changes)


def measured(store: Measurements, scores: Sequence[float], tests: Sequence[float] = ()) -> None:
    """Trainings of `mnist_conv_net`."""
    config = CONV.config.model_dump(mode="json")
    for draw, score in enumerate(scores):
        test = {"accuracy": tests[draw]} if tests else {}
        each = measurement(CONV.name, config, draw, validation={"val_accuracy": score}, test=test)
        store.put(replace(each, n_parameters=93322, train_seconds=300.0))


def table(folder: Path, task: str, study: optuna.Study | None = None) -> dict[str, list[str]]:
    """The cells of each row of a table by its first cell."""
    lines = section(TASKS[task], Settings(runs_dir=folder), study, Published())
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


def notes(folder: Path, task: str, study: optuna.Study | None = None) -> str:
    lines = section(TASKS[task], Settings(runs_dir=folder), study, Published())
    return "\n".join(line for line in lines if line.startswith("- "))


def a_study(task: str, best: dict[str, float], config: Any = CONV.config) -> optuna.Study:
    study = optuna.create_study(study_name=f"{task}-abcd", direction="maximize")
    study.set_user_attr("metric", TASKS[task].goal.metric)
    study.set_user_attr("task", task)
    study.set_user_attr("data_digest", "abc")
    trial = study.ask()
    plain = config.model_dump(mode="json", exclude_none=True)
    record = Record(plain, 1, "completed", best={"epoch": 9.0, **best}, n_parameters=500)
    studies.write(study, trial, replace(record, train_seconds=80.0))
    studies.tell(study, trial, replace(record, best=record.best))
    return study


def retrained(study: optuna.Study, metric: str, scores: Sequence[float]) -> None:
    for draw, score in enumerate(scores):
        fields = {"number": 0, "draw": draw, "seed": draw, "last": {metric: score, "epoch": 9.0}}
        more = {"epochs": 9.0, "train_seconds": 60.0, "run_id": "", "cause": ""}
        study.set_user_attr(f"retraining_0_{draw}", {**fields, **more})


# the page


def test_every_preset_has_a_row_before_anything_was_measured() -> None:
    page = new_page()
    for preset in PRESETS.values():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{preset.name}` "))
        assert f"| {preset.reported} | not measured yet |" in row
        if preset.note:
            assert f"- `{preset.name}`: {preset.note}" in page
    assert "not a contest" in page
    assert "There is no test, and validation is on the rows that were trained on" in page


def test_only_the_table_of_the_task_is_replaced(tmp_path: Path) -> None:
    path, settings = tmp_path / "docs" / "results.md", Settings(runs_dir=tmp_path)
    write_page(MNIST, settings, None, path)
    assert path.read_text() == new_page()
    edited = path.read_text().replace("# Results", "# Our results") + "\nThe end.\n"
    path.write_text(edited)
    measured(Measurements(tmp_path, "mnist"), [0.99, 0.992])
    write_page(MNIST, settings, None, path)
    before, after = edited.splitlines(), path.read_text().splitlines()
    row, precision = (line for line in after if line not in before)
    assert row.startswith("| `mnist_conv_net` (cnn 3x32-64-64 d64 adam) |")
    assert precision == "- The presets were trained in float32."
    assert len([line for line in before if line not in after]) == 1
    write_page(CHURN, settings, None, path)
    assert path.read_text().splitlines() == after


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    path.write_text("my own page")
    with pytest.raises(InputError, match="has no lines <!-- results:mnist -->"):
        write_page(MNIST, Settings(runs_dir=tmp_path), None, path)
    assert path.read_text() == "my own page"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """The project's own page, as a fresh clone has it."""
    path = tmp_path / "results.md"
    path.write_text((ROOT / "docs" / "results.md").read_text())
    return path


@pytest.mark.parametrize("task", ["fashion", "mnist", "churn", "iris", "xor"])
def test_where_nothing_is_measured_the_page_keeps_what_it_says(
    tmp_path: Path, published: Path, task: str
) -> None:
    before = published.read_text()
    write_page(TASKS[task], Settings(runs_dir=tmp_path / "none"), None, published)
    assert published.read_text() == before


def test_a_measured_preset_leaves_the_rows_and_notes_of_the_others(
    tmp_path: Path, published: Path
) -> None:
    before = published.read_text().splitlines()
    measured(Measurements(tmp_path, "mnist"), [0.99, 0.992])
    write_page(MNIST, Settings(runs_dir=tmp_path), None, published)
    after = published.read_text().splitlines()
    row, precisions = (line for line in after if line not in before)
    assert row.startswith("| `mnist_conv_net` (cnn 3x32-64-64 d64 adam) |")
    assert precisions == "- The presets were trained in bfloat16 and float32."
    assert len(after) == len(before)


def test_a_measured_search_replaces_the_published_one_and_its_comparison(
    tmp_path: Path, published: Path
) -> None:
    study = a_study("churn", {"val_auc": 0.9, "val_accuracy": 0.8}, CHURN_MLP.config)
    write_page(CHURN, Settings(runs_dir=tmp_path), study, published)
    text = published.read_text().partition("<!-- results:churn -->")[2].partition("<!-- /")[0]
    assert text.count("**found by the search**") == 1
    assert "networks of the test together" not in text
    assert "t123" not in text
    assert "Whether the boosting wins over the search's network is not measured yet." in text
    assert "On the test rows, which chose neither" not in text
    assert (
        "| HistGradientBoostingClassifier of scikit-learn, tuned | not in the tutorial | 0.8679"
        in text
    )


def test_published_failures_and_openings_stay(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    notes = [
        "- `mnist_conv_net`: 1 of 3 trainings failed: diverged.",
        "- `mnist_conv_net`: the test rows were opened 2 times for it.",
    ]
    end = "<!-- /results:mnist -->"
    path.write_text(new_page().replace(end, "\n".join([*notes, end])))
    write_page(MNIST, Settings(runs_dir=tmp_path), None, path)
    assert [line for line in path.read_text().splitlines() if line in notes] == notes
    measured(Measurements(tmp_path, "mnist"), [0.99, 0.992])
    write_page(MNIST, Settings(runs_dir=tmp_path), None, path)
    assert not [line for line in path.read_text().splitlines() if line in notes]


def test_a_row_of_another_table_s_columns_is_not_kept(tmp_path: Path, published: Path) -> None:
    published.write_text(published.read_text().replace(" | a training |", " |"))
    text = published.read_text().replace(" | 7.0 s |", " |")
    published.write_text(text)
    write_page(MNIST, Settings(runs_dir=tmp_path), None, published)
    (row,) = [x for x in published.read_text().splitlines() if x.startswith("| `mnist_mlp_300` ")]
    assert "not measured yet" in row


def test_a_page_is_checked_before_anything_is_measured(tmp_path: Path) -> None:
    check_page(MNIST, tmp_path / "docs" / "results.md")
    assert list((tmp_path / "docs").iterdir()) == []
    (tmp_path / "mine.md").write_text("my own page")
    with pytest.raises(InputError, match="has no lines <!-- results:mnist -->"):
        check_page(MNIST, tmp_path / "mine.md")


@pytest.mark.parametrize("use", [check_page, lambda t, p: write_page(t, Settings(), None, p)])
def test_a_page_that_cannot_be_used_is_said_in_a_sentence(tmp_path: Path, use: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"Cannot write the page .*: .*; choose another --page\."):
        use(MNIST, tmp_path / "file" / "results.md")
    with pytest.raises(InputError, match=r"Cannot read the page .*: Is a directory; choose"):
        use(MNIST, tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"Cannot read the page .*: it is no text; choose"):
        use(MNIST, tmp_path / "bytes")


# rows


def test_a_row_has_mean_and_deviation_of_the_trainings(tmp_path: Path) -> None:
    measured(Measurements(tmp_path, "mnist"), [0.99, 0.992, 0.994], [0.98, 0.98, 0.98])
    row = table(tmp_path, "mnist")["`mnist_conv_net` (cnn 3x32-64-64 d64 adam)"]
    expected = ["99.34 % test", "99.20 ± 0.20 %", "98.00 ± 0.00 %", "3 / 3", "93,322", "5 min"]
    assert row == expected


def test_one_training_has_no_deviation(tmp_path: Path) -> None:
    measured(Measurements(tmp_path, "mnist"), [0.99])
    row = table(tmp_path, "mnist")["`mnist_conv_net` (cnn 3x32-64-64 d64 adam)"]
    assert row[1:4] == ["99.00 %", "not measured yet", "1 / -"]


def test_a_measurement_of_other_hyperparameters_is_none_of_the_preset(tmp_path: Path) -> None:
    other = CONV.config.with_epochs(2).model_dump(mode="json")
    store = Measurements(tmp_path, "mnist")
    store.put(measurement(CONV.name, other, validation={"val_accuracy": 0.9}))
    row = table(tmp_path, "mnist")["`mnist_conv_net` (cnn 3x32-64-64 d64 adam)"]
    assert row[1] == "not measured yet"


def test_failed_trainings_are_named_and_not_counted(tmp_path: Path) -> None:
    store = Measurements(tmp_path, "mnist")
    measured(store, [0.99, 0.992])
    config = CONV.config.model_dump(mode="json")
    store.put(measurement(CONV.name, config, 2, cause="diverged"))
    row = table(tmp_path, "mnist")["`mnist_conv_net` (cnn 3x32-64-64 d64 adam)"]
    assert (row[1], row[3]) == ("99.10 ± 0.14 %", "2 / -")
    assert "- `mnist_conv_net`: 1 of 3 trainings failed: diverged." in notes(tmp_path, "mnist")


def test_xor_has_no_test_to_be_measured(tmp_path: Path) -> None:
    assert table(tmp_path, "xor")["`xor_8_4` (mlp d8-4 adam)"][1:3] == ["not measured yet", "none"]
    study = a_study("xor", {"val_accuracy": 1.0}, PRESETS["xor_8_4"].config)
    assert "t000 of the 1 trials" in notes(tmp_path, "xor", study)
    assert "ledger" not in notes(tmp_path, "xor", study)


# the search


FOUND = "**found by the search** (cnn 3x32-64-64 d64 adam)"


def test_a_winner_has_the_scores_of_its_finalists_and_of_the_ledger(tmp_path: Path) -> None:
    study = a_study("mnist", {"val_accuracy": 0.999})
    retrained(study, "val_accuracy", [0.995, 0.997])
    opening = Opening("mnist", study.study_name, "accuracy", "abc", trial=0, seeds=(0, 1, 2))
    opening = write_opened(tmp_path, opening)
    scores = {"accuracy": Score((0.994, 0.996)), "log_loss": Score((0.1, 0.2))}
    opening = replace(opening, scores=scores, failed={2: "diverged"})
    write_scored(tmp_path, replace(opening, ensemble={"accuracy": Score((0.997,))}))
    row = table(tmp_path, "mnist", study)[FOUND]
    assert row == ["-", "99.60 ± 0.14 %", "99.50 ± 0.14 %", "2 / 2", "500", "60 s"]
    together = table(tmp_path, "mnist", study)[
        "its 2 networks of the test together, the mean of their probabilities"
    ]
    assert together == ["-", "trained on", "99.70 %", "-", "1,000", "2 min"]
    said = notes(tmp_path, "mnist", study)
    assert "t000 of the 1 trials of study mnist-abcd, trained again as a finalist." in said
    assert "opened once for this study" in said


def test_validation_and_test_have_their_own_counts(tmp_path: Path) -> None:
    study = a_study("mnist", {"val_accuracy": 0.999})
    retrained(study, "val_accuracy", [0.995])
    opening = write_opened(tmp_path, Opening("mnist", study.study_name, "accuracy", "a", trial=0))
    write_scored(tmp_path, replace(opening, scores={"accuracy": Score((0.99, 0.992, 0.994))}))
    rows = table(tmp_path, "mnist", study)
    assert rows["model"][3] == "trainings, validation / test"
    assert rows[FOUND][1:4] == ["99.50 %", "99.20 ± 0.20 %", "1 / 3"]


def test_the_test_score_of_another_trial_is_not_the_winners(tmp_path: Path) -> None:
    study = a_study("mnist", {"val_accuracy": 0.999})
    retrained(study, "val_accuracy", [0.995, 0.997])
    opening = write_opened(
        tmp_path, Opening("mnist", study.study_name, "accuracy", "abc", trial=7)
    )
    scores = {"accuracy": Score((0.994, 0.996))}
    ensemble = {"accuracy": Score((0.997,))}
    write_scored(tmp_path, replace(opening, scores=scores, ensemble=ensemble))
    rows = table(tmp_path, "mnist", study)
    assert rows[FOUND] == ["-", "99.60 ± 0.14 %", "not measured yet", "2 / -", "500", "60 s"]
    assert not any("networks of the test together" in name for name in rows)
    assert "t000 has not been tested; t007 has: test accuracy" in notes(tmp_path, "mnist", study)


def test_without_finalists_the_search_says_that_its_score_is_too_good(tmp_path: Path) -> None:
    study = a_study("mnist", {"val_accuracy": 0.999})
    row = table(tmp_path, "mnist", study)[FOUND]
    assert row == ["-", "99.90 %", "not measured yet", "1 / -", "500", "80 s"]
    assert "no finalist was trained again: it is too good" in notes(tmp_path, "mnist", study)


@pytest.mark.parametrize("trials", [0, 1])
def test_a_study_without_a_completed_trial_has_found_nothing(tmp_path: Path, trials: int) -> None:
    study = optuna.create_study()
    study.set_user_attr("metric", "val_accuracy")
    study.set_user_attr("task", "mnist")
    for _ in range(trials):
        study.ask()
    row = table(tmp_path, "mnist", study)["**found by the search**"]
    assert row == ["-", "not measured yet", "not measured yet", "-", "-", "-"]


# churn


def churn_store(folder: Path, boosting: Sequence[float], test: float | None = None) -> None:
    store = Measurements(folder, "churn")
    for draw, auc in enumerate(boosting):
        each = measurement("boosting", {"max_iter": 50, "tuned_trials": 40}, draw)
        tested = {"auc": test, "accuracy": 0.86} if test else {}
        store.put(replace(each, validation={"val_auc": auc, "val_accuracy": 0.865}, test=tested))


NETWORK = [0.860, 0.862, 0.858, 0.861, 0.859]


@pytest.mark.parametrize(
    ("boosting", "verdict"),
    [
        ([0.870, 0.873, 0.867, 0.872, 0.869], "the boosting wins: the boosting's"),
        ([0.850, 0.853, 0.847, 0.852, 0.849], "the network wins: the boosting's"),
        ([0.861, 0.861, 0.859, 0.860, 0.860], "the boosting and the network are tied"),
    ],
)
def test_who_wins_is_said_with_its_interval(
    tmp_path: Path, boosting: list[float], verdict: str
) -> None:
    churn_store(tmp_path, boosting)
    study = a_study("churn", {"val_auc": 0.9, "val_accuracy": 0.8}, CHURN_MLP.config)
    retrained(study, "val_auc", NETWORK)
    said = notes(tmp_path, "churn", study)
    chosen = "Over the same 5 folds, which chose the network among the finalists, "
    assert f"{chosen}{verdict}" in said
    assert "95 % interval" in said
    assert said.count("boosting wins") == ("boosting wins" in verdict)


def test_the_difference_is_paired_by_fold(tmp_path: Path) -> None:
    churn_store(tmp_path, [auc + 0.01 for auc in NETWORK] + [0.1], test=0.87)
    study = a_study("churn", {"val_auc": 0.9, "val_accuracy": 0.8}, CHURN_MLP.config)
    retrained(study, "val_auc", NETWORK)
    opening = write_opened(
        tmp_path, Opening("churn", study.study_name, "auc", "abc", trial=0, seeds=(0, 1))
    )
    scores = {"auc": Score((0.86, 0.86), sampling=(0.84, 0.88)), "accuracy": Score((0.85, 0.85))}
    write_scored(tmp_path, replace(opening, scores=scores))
    said = notes(tmp_path, "churn", study)
    assert "AUC is +0.0100 from the network's (95 % interval +0.0100 to +0.0100)" in said
    assert (
        "On the test rows, which chose neither, the boosting is ahead: AUC 0.8700 ± 0.0000 of the"
        " boosting, 0.8600 ± 0.0000 of the network (95 % interval 0.8400 to 0.8800 over other test"
        " rows). Over the same" in said
    )


def test_churn_has_columns_for_both_goals(tmp_path: Path) -> None:
    churn_store(tmp_path, [0.86, 0.87])
    found = table(tmp_path, "churn")
    assert found["model"][1:5] == [
        "validation AUC",
        "validation accuracy",
        "test AUC",
        "test accuracy",
    ]
    row = found["HistGradientBoostingClassifier of scikit-learn, tuned"]
    assert row[:3] == ["not in the tutorial", "0.8650 ± 0.0071", "86.50 ± 0.00 %"]
    said = notes(tmp_path, "churn")
    assert "tuned with 40 trials: max_iter 50." in said
    assert "Whether the boosting wins over the search's network is not measured yet." in said


@pytest.mark.parametrize("task", ["fashion", "mnist", "churn", "iris", "xor"])
def test_tables_are_markdown(tmp_path: Path, task: str) -> None:
    lines = [
        x
        for x in section(TASKS[task], Settings(runs_dir=tmp_path), None, Published())
        if x[:1] == "|"
    ]
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) >= 2 + len(presets_of(task)) + 1
