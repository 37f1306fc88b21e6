"""What the peers share: trained as a user would, and stopped when this project would stop."""

import json
import math
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import optuna
import pytest

from benchmarks.peers.shared import Order, ScoreEvents, build_model, early_stopping, fit_model
from pipelines.graph import PREDICTION_BATCH
from pipelines.tasks import find_task
from search.study import enqueue_presets
from spaces.config import Augmentation, Config, DenseLayer, Network, Optimization, Training
from spaces.presets import PRESETS
from spaces.starts import STARTS, known_configs


@pytest.mark.parametrize(
    ("schedule", "epochs", "patience", "ends"),
    [("constant", 60, 12, 13), ("one_cycle", 60, 12, 43), ("cosine", 15, 4, 12)],
)
def test_patience_counts_from_the_middle_of_a_falling_schedule(
    schedule: str, epochs: int, patience: int, ends: int
) -> None:
    """With scores that only fall. A session of this project's ends after 13, 42 and 12 epochs."""
    preset, task = PRESETS["churn_mlp_6_6"].config, find_task("churn")
    changed: dict[str, Any] = {
        "optimization": preset.optimization.model_copy(update={"schedule": schedule}),
        "training": task.training.model_copy(update={"epochs": epochs, "patience": patience}),
    }
    stopping, model = early_stopping(task, preset.model_copy(update=changed)), keras.Model()
    stopping.set_model(model)
    stopping.on_train_begin()
    model.stop_training = False
    epoch = 0
    while not model.stop_training:
        stopping.on_epoch_end(epoch, {"val_auc": -float(epoch)})
        epoch += 1
    assert epoch == ends


def order(folder: Path, task: str, *, presets: bool = False) -> Order:
    return Order(
        task, 0, presets=presets, project_training=False, folder=folder, began=0.0, ends=0.0
    )


def config(task: str, **training: int) -> Config:
    return Config(
        network=Network(layers=(DenseLayer(units=4),)),
        optimization=Optimization(
            optimizer="adam", learning_rate=0.03, schedule="one_cycle", batch_size=16
        ),
        augmentation=Augmentation(flip=True) if task == "digits" else Augmentation(),
        training=Training(**training),
    )


def test_every_epochs_score_counts_also_before_patience_begins(tmp_path: Path) -> None:
    """A config that gets no better after its first epoch has its best there."""
    peer, data = order(tmp_path, "iris"), find_task("iris").load(None)
    wanted = config("iris", epochs=6, patience=2)
    assert wanted.plateau_from == 3
    fit_model(peer, data, wanted, build_model(peer, data, wanted), [])
    events = [json.loads(line) for line in peer.events.read_text().splitlines()]
    assert len(events) == 6
    assert Config.model_validate(events[0]["config"]) == wanted


@pytest.mark.parametrize("task", ["iris", "digits"])
def test_validation_has_its_own_batch_size_also_where_images_are_augmented(
    tmp_path: Path, task: str
) -> None:
    peer, data, wanted = order(tmp_path, task), find_task(task).load(None), config(task, epochs=1)
    model = build_model(peer, data, wanted)
    with mock.patch.object(model, "fit") as fit:
        fit_model(peer, data, wanted, model, [])
    assert fit.call_args.kwargs["validation_batch_size"] == PREDICTION_BATCH
    assert ("batch_size" in fit.call_args.kwargs) == (task == "iris")


def test_a_failed_trial_is_noted_and_a_pruned_one_is_not(tmp_path: Path) -> None:
    peer = order(tmp_path, "iris")
    with pytest.raises(KeyError), peer.noting_failures(KeyError):
        raise KeyError
    assert not peer.events.exists()
    with pytest.raises(ValueError, match="no"), peer.noting_failures(KeyError):
        raise ValueError("no")
    assert json.loads(peer.events.read_text()) == {"failure": "ValueError: no"}


def test_a_training_that_diverges_is_noted_once(tmp_path: Path) -> None:
    peer = order(tmp_path, "iris")
    events = ScoreEvents(peer, config("iris", epochs=1))
    for epoch in range(3):
        events.on_epoch_end(epoch, {"loss": math.nan, "val_accuracy": 0.3})
    lines = [json.loads(line) for line in peer.events.read_text().splitlines()]
    assert [line["failure"] for line in lines if "failure" in line] == ["diverged"]
    assert sum("score" in line for line in lines) == 3


@pytest.mark.parametrize("task", ["churn", "fashion"])
def test_with_presets_a_peer_begins_with_all_that_our_search_begins_with(
    tmp_path: Path, task: str
) -> None:
    space = find_task(task).space
    study = optuna.create_study()
    n_ours = enqueue_presets(study, space, known_configs(task))
    assert n_ours > len(STARTS[task]) > 0
    assert order(tmp_path, task, presets=True).preset_values == [
        trial.system_attrs["fixed_params"] for trial in study.trials
    ]
    assert order(tmp_path, task).preset_values == []
