"""The leaderboard, from studies with records in them."""

import csv
import io
import json
from dataclasses import replace
from typing import Any

import optuna
import pytest
from rich.console import Console

from search import results
from search import study as studies
from search.study import Record
from spaces.config import Augmentation, Config
from spaces.errors import InputError
from spaces.presets import PRESETS
from tests.fakes import new_study

CNN = PRESETS["mnist_conv_net"].config
MLP = Config.model_validate(
    {
        "network": {"layers": [{"units": 32}]},
        "optimization": {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 32},
        "training": {"epochs": 300},
    }
)


def add(study: optuna.Study, score: float | None, config: Config = CNN, **changes: Any) -> None:
    trial = study.ask()
    record = Record(
        config.model_dump(mode="json", exclude_none=True),
        seed=trial.number,
        state="completed",
        run_id=f"run-{trial.number}",
        best={} if score is None else {"epoch": 1 / 3, "val_accuracy": score, "val_loss": 0.25},
        n_parameters=34826,
        train_seconds=12.4,
    )
    studies.write(study, trial, replace(record, **changes))


@pytest.fixture
def study() -> optuna.Study:
    """Three completed trials, the best in the middle, one pruned and one failed."""
    found = new_study()
    found.set_user_attr("data_digest", "abc")
    add(found, 0.91234)
    add(found, 0.98765, preset="mnist_conv_net")
    add(found, 0.9, MLP)
    add(found, 0.99, state="pruned")
    add(found, None, state="failed")
    return found


def lines(study: optuna.Study) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(results.leaderboard_table(study, results.leaders(study, 10)))
    return console.export_text().splitlines()


def test_only_completed_trials_are_leaders(study: optuna.Study) -> None:
    assert [number for number, _ in results.leaders(study, 10)] == [1, 0, 2]
    assert [number for number, _ in results.leaders(study, 1)] == [1]


def test_a_study_without_a_completed_trial_has_no_leaders() -> None:
    empty = new_study()
    add(empty, 0.5, state="pruned")
    with pytest.raises(InputError, match="has completed yet: run the command that began it"):
        results.leaders(empty, 10)


def test_the_table_fits_and_shows_what_decides(study: optuna.Study) -> None:
    shown = lines(study)
    assert max(len(line) for line in shown) <= 80
    (best,) = (line for line in shown if "t001" in line)
    assert best.split()[:6] == ["1", "t001", "0.9877", "0.33", "34,826", "12"]
    assert "cnn 3x32-64-64 d64 adam" in best


def test_the_table_shows_the_preset_in_its_brackets(study: optuna.Study) -> None:
    assert "[mnist_conv_net]" in " ".join(lines(study))


def test_json_has_a_flat_entry_a_trial(study: optuna.Study) -> None:
    rows = json.loads(
        results.as_json(results.leaderboard_rows(results.leaders(study, 10), images=True))
    )
    assert [row["trial"] for row in rows] == [1, 0, 2]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    expected = {"best_val_accuracy": 0.98765, "preset": "mnist_conv_net", "seed": 1}
    assert expected.items() <= rows[0].items()
    assert CNN.parameters().items() <= rows[0].items()


def test_whole_numbers_have_no_decimals(study: optuna.Study) -> None:
    add(study, 0.8, best={"epoch": 42.0, "val_accuracy": 0.8})
    rows = results.leaderboard_rows(results.leaders(study, 10), images=True)
    read = list(csv.DictReader(io.StringIO(results.as_csv(rows))))
    assert [row["best_epoch"] for row in read][2:] == [str(1 / 3), "42"]
    assert {row["n_parameters"] for row in read} == {"34826"}
    assert '"best_epoch": 42,' in results.as_json(rows)


def test_csv_has_a_column_for_every_parameter_of_any_trial(study: optuna.Study) -> None:
    text = results.as_csv(results.leaderboard_rows(results.leaders(study, 10), images=True))
    assert not text.endswith("\n")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["trial"] for row in rows] == ["1", "0", "2"]
    assert set(rows[0]) >= set(CNN.parameters()) | set(MLP.parameters())
    assert rows[2]["filters_1"] == ""
    assert rows[2]["units_1"] == "32"


def test_rows_of_tables_have_no_augmentation(study: optuna.Study) -> None:
    rows = results.leaderboard_rows(results.leaders(study, 10), images=False)
    assert not any(set(Augmentation.model_fields) & set(row) for row in rows)
