"""A config for any test to change, and what the networks of each task take in."""

from typing import Any

from spaces.config import (
    Augmentation,
    Config,
    DenseLayer,
    Network,
    Optimization,
    Regularization,
    Training,
)

SHAPES: dict[str, tuple[int, ...]] = {
    "fashion": (28, 28, 1),
    "mnist": (28, 28, 1),
    "churn": (11,),
    "digits": (8, 8, 1),
    "iris": (4,),
    "xor": (2,),
}
SMALL = Network(layers=(DenseLayer(units=32),))


def configured(
    network: Network = SMALL,
    *,
    regularization: Regularization | None = None,
    augmentation: Augmentation | None = None,
    training: Training | None = None,
    **optimization: Any,
) -> Config:
    """A small network's; what is named replaces a part, or a field of its optimization."""
    fields = {"optimizer": "adam", "learning_rate": 3e-3, "batch_size": 64, **optimization}
    return Config(
        network=network,
        optimization=Optimization.model_validate(fields),
        regularization=regularization or Regularization(),
        augmentation=augmentation or Augmentation(),
        training=training or Training(epochs=3),
    )
