"""An update in one operation is the update that Keras computes in a dozen."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.optimizers import OPTIMIZERS

pytestmark = pytest.mark.usefixtures("how")
KERAS = {
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.8)


class Training:
    """Two weights that an optimizer moves with a falling learning rate."""

    def __init__(self, make: type[keras.optimizers.Optimizer], own: dict[str, float]) -> None:
        keras.config.set_dtype_policy("float32")
        values = np.ones((3, 2), "float32"), np.zeros(4, "float32")
        self._weights = [keras.Variable(value) for value in values]
        self._optimizer = make(learning_rate=SCHEDULE, **own)
        self._optimizer.build(self._weights)
        self._variables = [*self._weights, *self._optimizer.variables]

    def run(self, first: int, last: int) -> None:
        """Steps whose gradients follow from their number, and spread over eight magnitudes."""
        for step in range(first, last):
            random = np.random.default_rng(step)
            gradients = [
                random.normal(size=weight.shape) * 10.0 ** random.uniform(-6, 2, weight.shape)
                for weight in self._weights
            ]
            self._optimizer.apply(
                [tf.constant(gradient, tf.float32) for gradient in gradients], self._weights
            )

    def save(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self._variables]

    def restore(self, state: list[np.ndarray]) -> None:
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("sgd", {}),
        ("sgd", {"momentum": 0.9}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        ("rmsprop", {"rho": 0.8}),
        ("rmsprop", {"rho": 0.95, "momentum": 0.9}),
        ("adam", {"beta_1": 0.8, "beta_2": 0.95}),
        ("adamw", {"beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.1}),
    ],
)
def test_weights_and_state_are_those_of_keras(name: str, own: dict[str, float]) -> None:
    assert OPTIMIZERS[name] is not KERAS[name]
    ours, theirs = Training(OPTIMIZERS[name], own), Training(KERAS[name], own)
    for training in (ours, theirs):
        training.run(0, 50)
    for our, their in zip(ours.save(), theirs.save(), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("momentum", [{}, {"momentum": 0.9}])
@pytest.mark.parametrize("name", ["sgd", "rmsprop"])
def test_a_restored_state_goes_on_as_if_never_saved(name: str, momentum: dict[str, float]) -> None:
    at_once, first = Training(OPTIMIZERS[name], momentum), Training(OPTIMIZERS[name], momentum)
    at_once.run(0, 20)
    first.run(0, 8)
    restored = Training(OPTIMIZERS[name], momentum)
    restored.restore(first.save())
    restored.run(8, 20)
    for own, expected in zip(restored.save(), at_once.save(), strict=True):
        np.testing.assert_array_equal(own, expected)
