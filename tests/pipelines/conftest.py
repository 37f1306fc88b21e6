"""What the tests that train share: TensorFlow set up once, small data, small configs."""

from collections.abc import Callable
from typing import Any

import pytest

from pipelines.runtime import Runtime
from pipelines.segment import load_data, prepare
from pipelines.splits import SearchData
from spaces.config import (
    Augmentation,
    Config,
    DenseLayer,
    Network,
    Optimization,
    Regularization,
    Training,
)

MakeConfig = Callable[..., Config]
SMALL = Network(layers=(DenseLayer(units=32),))


@pytest.fixture(scope="session")
def how() -> Runtime:
    """How all tests of this process compute; TensorFlow is set up for it."""
    runtime = Runtime(threads=1)
    prepare("digits", None, runtime)
    return runtime


@pytest.fixture(scope="session")
def digits(how: Runtime) -> SearchData:
    return load_data("digits", None)


@pytest.fixture(scope="session")
def config() -> MakeConfig:
    """A config of a small network; what is named replaces its part or its optimization's field."""

    def make(
        network: Network = SMALL,
        *,
        regularization: Regularization | None = None,
        augmentation: Augmentation | None = None,
        training: Training | None = None,
        **optimization: Any,
    ) -> Config:
        fields = {"optimizer": "adam", "learning_rate": 3e-3, "batch_size": 64, **optimization}
        return Config(
            network=network,
            optimization=Optimization.model_validate(fields),
            regularization=regularization or Regularization(),
            augmentation=augmentation or Augmentation(),
            training=training or Training(epochs=3),
        )

    return make
