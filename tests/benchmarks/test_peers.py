"""What the peers share: trained as a user would, and stopped when this project would stop."""

from typing import Any

import keras
import pytest

from benchmarks.peers.shared import early_stopping
from pipelines.tasks import find_task
from spaces.presets import PRESETS


@pytest.mark.parametrize(
    ("schedule", "epochs", "patience", "ends"),
    [("constant", 60, 12, 13), ("one_cycle", 60, 12, 43), ("cosine", 15, 4, 12)],
)
def test_patience_counts_from_the_middle_of_a_falling_schedule(
    schedule: str, epochs: int, patience: int, ends: int
) -> None:
    """With scores that only fall. A session of this project's ends after 13, 42 and 12 epochs."""
    config, task = PRESETS["churn_mlp_6_6"].config, find_task("churn")
    changed: dict[str, Any] = {
        "optimization": config.optimization.model_copy(update={"schedule": schedule}),
        "training": task.training.model_copy(update={"epochs": epochs, "patience": patience}),
    }
    stopping, model = early_stopping(task, config.model_copy(update=changed)), keras.Model()
    stopping.set_model(model)
    stopping.on_train_begin()
    model.stop_training = False
    epoch = 0
    while not model.stop_training:
        stopping.on_epoch_end(epoch, {"val_auc": -float(epoch)})
        epoch += 1
    assert epoch == ends
