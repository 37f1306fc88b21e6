"""The card: what it says of a config, a verdict and a check."""

from dataclasses import replace
from typing import Any

import pytest

from pipelines.tasks import TASKS
from search.export.check import Check
from search.export.exported import Exported
from search.export.model_card import described, model_card
from search.finalists.verdict import verdict
from search.study import Record
from spaces.presets import PRESETS
from tests.fakes import new_study
from tests.search.export.winners import add, retrain

RECORD = Record(
    PRESETS["mnist_conv_net"].config.model_dump(mode="json"),
    seed=7,
    state="completed",
    best={"epoch": 3.0, "val_accuracy": 0.98, "val_auc": 0.87},
    n_parameters=93_322,
)
EXPORTED = Exported(1, RECORD, None, "run-1", 7, "search", {"exported_with": "Python"})
CHECK = Check(True, 0.97, (0.96, 0.98), 5, 12.3, "train.py reached val_accuracy 0.9700")


def card(task: str = "mnist", **changes: Any) -> str:
    study = new_study()
    study.set_user_attr("data_digest", "abc")
    arguments: dict[str, Any] = {"verdict": None, "check": None, "tested": "not opened."}
    return model_card(TASKS[task], study, EXPORTED, **{**arguments, **changes})


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_is_described_by_what_it_uses(name: str) -> None:
    config = PRESETS[name].config
    text = "\n".join(described(config))
    assert text.count("Block") == len(config.network.blocks)
    assert text.count("Dense layer") == len(config.network.layers)
    assert f"batch_size {config.optimization.batch_size}" in text
    assert ("Augmentation: none" in text) == (name != "mnist_conv_net_augmented")
    assert "False" not in text
    assert "None" not in text


def test_a_final_decay_is_told_only_where_the_learning_rate_is_constant() -> None:
    config = PRESETS["mnist_conv_net"].config
    training = config.training.model_copy(update={"final_decay": 0.25})
    for schedule in ("constant", "one_cycle"):
        optimization = config.optimization.model_copy(update={"schedule": schedule})
        falling = config.model_copy(update={"optimization": optimization, "training": training})
        said = "final_decay 0.25" in "\n".join(described(falling))
        assert said == (schedule == "constant")


@pytest.mark.parametrize(
    ("check", "top"),
    [
        (None, "Not verified yet: "),
        (CHECK, "Verified in a clean process (seed 5, 12 s): train.py reached"),
        (replace(CHECK, verified=None, note="it runs"), "Not verified (seed 5, 12 s): it runs."),
        (
            replace(CHECK, verified=False, note="train.py ended with status 1"),
            "> **UNVERIFIED. Do not rely on this export.** Train.py ended with status 1",
        ),
    ],
)
def test_the_check_stands_at_the_top(check: Check | None, top: str) -> None:
    title, empty, state, *_ = card(check=check).splitlines()
    assert title == "# MNIST: cnn 3x32-64-64 d64 adam"
    assert not empty
    assert state.startswith(top)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_says_its_data_and_how_to_ask_its_model(task: str) -> None:
    text = card(task)
    code = text.partition("```python\n")[2].partition("\n```")[0]
    compile(code, "card", "exec")
    assert len(code.splitlines()) == 4
    assert "model.keras" in code
    assert ("preprocessor.joblib" in text) == (task in ("churn", "iris"))


def test_a_config_that_was_not_trained_again_is_called_one_draw() -> None:
    assert "its score is one draw" in card()
    assert "retraining" not in card()


def test_the_verdict_is_told_with_its_optimism_and_its_runner_up() -> None:
    study = new_study()
    for score in (0.90, 0.99):
        add(study, score)
    retrain(study, 1, 0.95, 0.96, 0.97)
    retrain(study, 0, 0.91, 0.90, 0.89)
    found = verdict(study)
    assert found is not None
    exported = replace(EXPORTED, standing=found.winner, run_id="again-1-0", seed=100)
    study.set_user_attr("data_digest", "abc")
    text = model_card(
        TASKS["mnist"], study, exported, verdict=found, check=None, tested="not opened."
    )
    assert "That of the study's best trial lies +0.0300 from its mean" in text
    assert "mean of 3 retrainings on other seeds | 0.9600" in text
    assert "Difference to the runner-up t000: +0.0600, 95 % interval" in text
    assert "the config's first retraining, on the search's rows (seed 100)" in text
    assert "its score is one draw" not in text
