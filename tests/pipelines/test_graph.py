"""How a network is trained, and how it stands under the mean of its weights."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest

from pipelines import runtime
from pipelines.graph import TrainingGraph
from pipelines.runtime import Runtime
from pipelines.splits import SearchData
from spaces.config import ConvBlock, DenseLayer, Network, Regularization
from tests.pipelines.conftest import MakeConfig

NETWORKS = {
    "images": Network(
        blocks=(ConvBlock(filters=8, padding="same", batch_norm="before", dropout=0.2),),
        layers=(DenseLayer(units=16, batch_norm="before", dropout=0.3),),
    ),
    "rows": Network(layers=(DenseLayer(units=16, batch_norm="before", dropout=0.3),)),
}
FIRST = {"images": "conv_norm_1", "rows": "norm_1"}


@pytest.fixture(params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def trained(name: str, how: Runtime, digits: SearchData, config: MakeConfig) -> TrainingGraph:
    """Two epochs at a high learning rate, so that the mean lies far from the last weights."""
    averaging = Regularization(weight_averaging=0.99)
    configured = config(NETWORKS[name], regularization=averaging, learning_rate=0.02)
    graph = TrainingGraph(digits, configured, seed=3)
    n_steps = graph.steps_per_epoch
    order = np.resize(np.arange(len(digits.train.labels)), n_steps * graph.batch_size)
    for epoch in range(2):
        graph.train(order.astype(np.int32), 0, n_steps, epoch)
    return graph


def moments(graph: TrainingGraph, name: str, data: SearchData) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, by channel, of what the first normalization gets for the training rows."""
    norm = graph.model.get_layer(FIRST[name])
    before = keras.Model(graph.model.input, norm.input)
    seen = before.predict(data.train.inputs.astype("float32"), batch_size=500, verbose=0)
    axes = tuple(range(seen.ndim - 1))
    return seen.mean(axes), seen.var(axes)


def distance(graph: TrainingGraph, name: str, data: SearchData) -> float:
    """How far the statistics lie from the moments: 0.1 is a tenth of a standard deviation."""
    norm = graph.model.get_layer(FIRST[name])
    means, variances = moments(graph, name, data)
    shifts = np.abs(norm.moving_mean.numpy() - means) / np.sqrt(variances)
    scales = np.abs(norm.moving_variance.numpy() / variances - 1)
    return float(max(shifts.max(), scales.max()))


def test_the_statistics_are_those_of_the_averaged_weights(
    trained: TrainingGraph, name: str, digits: SearchData
) -> None:
    norm = trained.model.get_layer(FIRST[name])
    last = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    with trained.averaged():
        assert distance(trained, name, digits) < 0.03
        norm.moving_mean.assign(last[0])
        norm.moving_variance.assign(last[1])
        assert distance(trained, name, digits) > 0.1


def test_everything_is_as_it_was_afterwards(trained: TrainingGraph) -> None:
    before = [variable.numpy() for variable in trained.variables]
    with trained.averaged():
        pass
    with pytest.raises(MemoryError), trained.averaged():
        raise MemoryError
    after = [variable.numpy() for variable in trained.variables]
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("batch_norm", ["none", "before", "after"])
def test_gradients_worked_out_after_the_pooling_train_the_same_weights(
    batch_norm: str,
    how: Runtime,
    digits: SearchData,
    config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    block = {"filters": 8, "padding": "same", "batch_norm": batch_norm, "convolutions": 2}
    network = Network.model_validate(
        {"blocks": [{**block, "residual": True}, block], "layers": [{"units": 16}]}
    )

    def weights() -> list[np.ndarray]:
        runtime.fresh_graph(how, seed=3)
        graph = TrainingGraph(digits, config(network), seed=3)
        order = np.arange(5 * graph.batch_size) % len(digits.train.labels)
        rows = np.resize(order, graph.steps_per_epoch * graph.batch_size)
        graph.train(rows.astype(np.int32), 0, 5, 0)
        return [variable.numpy() for variable in graph.model.variables]

    ours = weights()
    monkeypatch.setattr("pipelines.graph.after_pooling", nullcontext)
    for one, other in zip(ours, weights(), strict=True):
        np.testing.assert_array_equal(one, other)
