"""train.py moves and averages the weights as the search does."""

import numpy as np
import pytest

from pipelines.images import load_digits
from pipelines.tasks import TASKS
from search.export.script_training import loss_call, optimizer_call, schedule_call
from spaces.config import (
    ConvBlock,
    DenseLayer,
    Network,
    Regularization,
    Training,
)
from tests.configs import configured
from tests.search.export.scripts import configs, module


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("final_decay", [0.0, 0.25])
def test_the_learning_rate_is_the_searchs_at_every_step(schedule: str, final_decay: float) -> None:
    from pipelines.optimizers import Schedule

    config = configured(schedule=schedule, training=Training(epochs=5, final_decay=final_decay))
    steps = 200
    ours = Schedule(config, steps)
    theirs = eval(schedule_call(config), {**vars(module("digits", config)), "steps": steps})
    for step in (0, 1, 30, 59, 60, 61, 100, 149, 150, 151, 199):
        rate = theirs(step) if callable(theirs) else theirs
        assert float(rate) == pytest.approx(ours.at(step), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_the_optimizer_is_the_searchs(task: str) -> None:
    import keras

    from pipelines.optimizers import Schedule, build_optimizer

    for config in configs(task):
        names = {**vars(module(task, config)), "keras": keras, "steps": 10}
        built = eval(optimizer_call(config), names)
        expected = build_optimizer(config, Schedule(config, 10))
        assert isinstance(expected, type(built))
        for name in ("momentum", "nesterov", "rho", "beta_1", "beta_2", "epsilon", "weight_decay"):
            assert getattr(built, name, None) == getattr(expected, name, None)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_searchs(n_classes: int, smoothing: float) -> None:
    import keras
    import tensorflow as tf

    from pipelines.losses import cross_entropies

    binary = n_classes == 2
    config = configured(regularization=Regularization(label_smoothing=smoothing))
    labels = np.array([0, 1, n_classes - 1, 0])
    logits = tf.random.stateless_normal((4, 1 if binary else n_classes), [1, 2])
    probabilities = tf.sigmoid(logits) if binary else tf.nn.softmax(logits)
    call = eval(loss_call(config, binary=binary), {"keras": keras, "LABEL_SMOOTHING": smoothing})
    loss = keras.losses.get(call)
    targets = labels if binary or not smoothing else keras.utils.to_categorical(labels)
    if binary:
        targets = targets[:, None]
    expected = cross_entropies(tf.constant(labels), logits, smoothing)
    # A function of Keras gives a value a row, a class of it the mean.
    assert float(np.mean(loss(targets, probabilities))) == pytest.approx(
        float(np.mean(expected)), rel=1e-4
    )


def test_the_mean_of_the_weights_is_the_searchs() -> None:
    import keras

    from pipelines.optimizers import WeightAverage

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    config = configured(regularization=Regularization(weight_averaging=0.9))
    theirs = module("digits", config).WeightAverage()
    theirs.set_model(model)
    ours = WeightAverage(0.9, model.trainable_variables)
    theirs.on_train_begin()
    generator = np.random.default_rng(0)
    for step in range(1, 101):
        for weight in model.trainable_variables:
            weight.assign(generator.normal(size=weight.shape))
        theirs.on_train_batch_end(step - 1)
        ours.update(step)
    last = model.get_weights()
    theirs.on_test_begin()
    for weight, mean in zip(model.trainable_variables, ours.means, strict=True):
        np.testing.assert_allclose(weight, mean, rtol=1e-4, atol=1e-6)
    theirs.on_epoch_begin(1)
    for weight, value in zip(model.get_weights(), last, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_the_statistics_under_the_mean_are_the_searchs() -> None:
    from pipelines.graph import TrainingGraph

    network = Network(
        blocks=(ConvBlock(filters=4, batch_norm="before"),),
        layers=(DenseLayer(units=8, batch_norm="before"),),
    )
    config = configured(network, regularization=Regularization(weight_averaging=0.9))
    data = load_digits(None)
    ours = TrainingGraph(data, config, seed=1)
    made = module("digits", config)
    model = made.build_network(data.input_shape)
    model.set_weights(ours.model.get_weights())
    theirs = made.WeightAverage(data.train.inputs)
    theirs.set_model(model)
    theirs.on_train_begin()
    theirs.on_test_begin()
    with ours.averaged():
        for weight, expected in zip(model.get_weights(), ours.model.get_weights(), strict=True):
            np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=1e-4)
        assert not np.allclose(ours.model.get_layer("conv_norm_1").moving_variance, 1)


def test_every_batch_is_full_and_every_row_comes_once_an_epoch() -> None:
    made = module("digits", configured(batch_size=4)).batches(np.arange(10) * 10, np.arange(10))
    seen = [(x.numpy(), y.numpy()) for x, y in made.take(5)]
    assert all(len(y) == 4 and (x == y * 10).all() for x, y in seen)
    rows = np.concatenate([y for _, y in seen])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert list(rows[:10]) != list(rows[10:])
