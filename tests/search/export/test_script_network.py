"""train.py builds the network that was searched."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from pipelines.tasks import TASKS
from spaces.config import (
    ConvBlock,
    DenseLayer,
    Network,
    Regularization,
)
from tests.configs import SHAPES, configured
from tests.search.export.scripts import configs, module


def structure(model: Any) -> Counter[tuple[Any, ...]]:
    """Its layers without the activations, which may be part of another layer."""
    return Counter(
        (
            type(layer).__name__,
            tuple(layer.output.shape),
            layer.count_params(),
            getattr(layer, "rate", None),
            type(getattr(layer, "kernel_initializer", None)).__name__,
        )
        for layer in model.layers
        if type(layer).__name__ != "Activation"
    )


def with_known_weights(model: Any) -> Any:
    """The same weights for any two models: they follow from name and shape alone."""
    for weight in model.weights:
        generator = np.random.default_rng([len(weight.name), *weight.shape])
        weight.assign(np.abs(generator.normal(0.05, 0.1, weight.shape)))
    return model


ODD = [
    configured(
        Network(
            blocks=(
                ConvBlock(
                    filters=3, convolutions=2, residual=True, padding="same", batch_norm="before"
                ),
                ConvBlock(
                    filters=3, residual=True, padding="same", pooling="average", dropout=0.2
                ),
                ConvBlock(filters=5, convolutions=2, batch_norm="after", pooling="none"),
            ),
            head="average",
            activation="gelu",
            initializer="he_normal",
        ),
        regularization=Regularization(l1=1e-4, l2=1e-3),
    ),
    configured(
        Network(layers=(DenseLayer(units=8, batch_norm="after", dropout=0.1),), activation="elu"),
        regularization=Regularization(l1=1e-4),
    ),
]


@pytest.mark.parametrize("task", TASKS)
def test_a_script_builds_the_network_that_was_searched(task: str) -> None:
    import keras

    from pipelines.networks import build_network

    shape, n_classes = SHAPES[task], TASKS[task].n_classes
    inputs = np.random.default_rng(0).uniform(0, 255 if len(shape) == 3 else 1, (3, *shape))
    embedded = configured(Network(embedding=4, layers=(DenseLayer(units=8),)))
    odd = ODD if len(shape) == 3 else [*ODD[1:], embedded]
    odd = odd if task != "digits" else ODD[1:]
    keras.utils.clear_session()
    for config in configs(task) + odd:
        expected = with_known_weights(build_network(config, shape, n_classes))
        built = with_known_weights(module(task, config).build_network(shape))
        assert structure(built) == structure(expected), config.title()
        np.testing.assert_allclose(built(inputs), expected(inputs), rtol=1e-4, atol=1e-6)
        penalties = [float(sum(model.losses)) for model in (built, expected)]
        assert penalties[0] == pytest.approx(penalties[1], rel=1e-5)
