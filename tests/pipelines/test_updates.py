"""An update in one operation is the update that Keras computes in a dozen."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.optimizers import OPTIMIZERS

pytestmark = pytest.mark.usefixtures("how")
KERAS = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}


def after_steps(make: type[keras.optimizers.Optimizer], own: dict[str, float]) -> list[np.ndarray]:
    """Two weights and the optimizer's state, after 20 steps with a falling learning rate."""
    keras.config.set_dtype_policy("float32")
    weights = [keras.Variable(np.ones((3, 2), "float32")), keras.Variable(np.zeros(4, "float32"))]
    optimizer = make(learning_rate=keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.8), **own)
    optimizer.build(weights)
    random = np.random.default_rng(0)

    for _ in range(20):
        optimizer.apply(
            [tf.constant(random.normal(size=w.shape), tf.float32) for w in weights], weights
        )
    return [variable.numpy() for variable in (*weights, *optimizer.variables)]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("sgd", {}),
        ("sgd", {"momentum": 0.9}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        ("adam", {"beta_1": 0.8, "beta_2": 0.95}),
        ("adamw", {"beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.1}),
    ],
)
def test_weights_and_state_are_those_of_keras(name: str, own: dict[str, float]) -> None:
    assert OPTIMIZERS[name] is not KERAS[name]
    for ours, theirs in zip(
        after_steps(OPTIMIZERS[name], own), after_steps(KERAS[name], own), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)
