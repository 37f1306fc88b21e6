"""What a session's rows and model say, against Keras, scikit-learn and arithmetic."""

import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from pipelines import graph, scoring, sources
from pipelines.optimizers import OPTIMIZERS
from pipelines.runtime import Runtime
from pipelines.session import TrainingSession
from pipelines.splits import SearchData, Split
from pipelines.tasks import TASKS
from spaces.config import (
    Augmentation,
    Config,
    ConvBlock,
    DenseLayer,
    Network,
    Regularization,
    Training,
)

MakeConfig = Callable[..., Config]
Start = Callable[..., TrainingSession]

# Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


DIGITS, IRIS = TASKS["digits"], TASKS["iris"]
CNN = Network(blocks=(ConvBlock(filters=8),), layers=(DenseLayer(units=32),))
BUSY_CNN = Network(
    blocks=(ConvBlock(filters=4, batch_norm="before", dropout=0.2),),
    layers=(DenseLayer(units=16, batch_norm="after", dropout=0.3),),
)


@pytest.fixture(scope="module")
def two_irises(iris: SearchData) -> SearchData:
    """Setosa against the rest: two classes of unequal size."""

    def halved(split: Split) -> Split:
        return Split(split.inputs, np.minimum(split.labels, 1))

    return replace(
        iris,
        train=halved(iris.train),
        validation=halved(iris.validation),
        class_names=("setosa", "other"),
    )


def outputs_of(model: keras.Model, inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(model(inputs.astype(np.float32)))


def test_it_learns_the_digits(start: Start, config: MakeConfig) -> None:
    training = Training(epochs=8, final_decay=0.25)
    rows = start(config(CNN, learning_rate=1e-2, training=training)).advance(8)
    assert rows[-1]["val_accuracy"] > 0.93
    assert rows[-1]["val_loss"] < 0.3 < rows[0]["val_loss"]


def test_it_learns_a_slice_of_fashion_by_a_third_of_an_epoch(
    start: Start, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    if sources.find("fashion", None) is None:
        pytest.skip(f"no files of fashion: name their folder in {sources.DATA_DIR_VARIABLE}")
    whole = TASKS["fashion"].load(None)
    data = replace(
        whole,
        train=Split(whole.train.inputs[:6000], whole.train.labels[:6000]),
        validation=Split(whole.validation.inputs[:1000], whole.validation.labels[:1000]),
    )
    session = start(config(CNN, batch_size=50), task=TASKS["fashion"], data=data)
    early, late = session.advance(1 / 3) + session.advance(1)
    assert early["epoch"] == pytest.approx(1 / 3)
    assert late["val_accuracy"] > 0.75
    assert late["val_loss"] < early["val_loss"] < math.log(10)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns_iris(
    optimizer: str, start: Start, config: MakeConfig, iris: SearchData
) -> None:
    rate = 0.3 if optimizer == "sgd" else 0.02
    training = Training(epochs=12)
    configured = config(optimizer=optimizer, learning_rate=rate, batch_size=16, training=training)
    rows = start(configured, task=IRIS, data=iris).advance(12)
    assert rows[-1]["val_accuracy"] >= 0.9
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]


def test_two_classes_are_learned_and_scored_with_a_sigmoid(
    start: Start, config: MakeConfig, two_irises: SearchData
) -> None:
    task = replace(TASKS["churn"], class_names=two_irises.class_names)
    configured = config(learning_rate=0.02, batch_size=16, training=Training(epochs=6))
    session = start(configured, task=task, data=two_irises)
    rows = session.advance(6)
    assert session.predict().shape == (30, 1)
    assert rows[-1]["val_auc"] == pytest.approx(1.0)
    assert rows[-1]["val_f1"] == rows[-1]["val_accuracy"] == 1.0
    assert session.best["val_auc"] == max(row["val_auc"] for row in rows)


FROZEN = {"optimizer": "sgd", "learning_rate": 1e-12, "training": Training(epochs=1)}
"""One step that changes nothing: what the row says can be computed from the first weights."""

ALL_AT_ONCE = Regularization(
    l1=0.003, l2=0.004, label_smoothing=0.1, class_weight="balanced", weight_averaging=0.9
)


@pytest.mark.parametrize(
    ("n_classes", "regularization"),
    [
        (2, Regularization()),
        (2, Regularization(label_smoothing=0.2)),
        (2, Regularization(class_weight="balanced")),
        (2, ALL_AT_ONCE),
        (10, Regularization()),
        (10, Regularization(label_smoothing=0.2)),
        (10, Regularization(l1=0.01)),
        (10, Regularization(l2=0.02)),
        (10, ALL_AT_ONCE),
    ],
    ids=str,
)
def test_the_train_loss_is_that_of_keras_with_the_penalties(
    n_classes: int,
    regularization: Regularization,
    start: Start,
    config: MakeConfig,
    digits: SearchData,
    two_irises: SearchData,
) -> None:
    # Without half of the zeros the classes differ in size.
    kept = np.flatnonzero(
        (digits.train.labels > 0) | (np.arange(len(digits.train.labels)) % 2 > 0)
    )
    fewer = Split(digits.train.inputs[kept], digits.train.labels[kept])
    data = two_irises if n_classes == 2 else replace(digits, train=fewer)
    labels, count = data.train.labels, len(data.train.labels)
    configured = config(regularization=regularization, batch_size=count, **FROZEN)
    session = start(configured, data=data)
    outputs = outputs_of(session.model, data.train.inputs)
    kernel = session.model.get_layer("dense_1").kernel.numpy()
    (row,) = session.advance(1)

    target: np.ndarray[Any, Any]
    weights = np.ones(count)
    if regularization.class_weight == "balanced":
        sizes = np.bincount(labels)
        weights = (count / (n_classes * sizes))[labels]
        assert sizes.min() < sizes.max()
        assert weights.sum() == pytest.approx(count)
    smoothing = regularization.label_smoothing
    if n_classes == 2:
        loss = keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
        target = labels[:, None]
    else:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
        target = np.eye(10)[labels]
    expected = float(loss(target, outputs, sample_weight=weights))
    expected += regularization.l1 * np.abs(kernel).sum() + regularization.l2 * (kernel**2).sum()
    assert row["train_loss"] == pytest.approx(expected, rel=1e-4)
    assert row["train_accuracy"] == pytest.approx(np.mean(scoring.predicted(outputs) == labels))


def test_validation_is_scored_without_penalty_smoothing_or_augmentation(
    start: Start, config: MakeConfig, digits: SearchData
) -> None:
    configured = config(
        regularization=Regularization(l2=0.1, label_smoothing=0.3, class_weight="balanced"),
        augmentation=Augmentation(erasing=1.0),
        **FROZEN,
    )
    session = start(configured)
    (row,) = session.advance(1)
    outputs = outputs_of(session.model, digits.validation.inputs)
    expected = scoring.score(digits.validation.labels, outputs, ("loss", "accuracy"))
    assert row["val_loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert row["val_accuracy"] == expected["accuracy"]


def test_a_row_inside_an_epoch_tells_of_the_batches_so_far(
    start: Start, config: MakeConfig, digits: SearchData
) -> None:
    session = start(config(batch_size=64, **FROZEN))
    seen = session._order(0)[: 9 * 64]
    outputs = outputs_of(session.model, digits.train.inputs[seen])
    (row,) = session.advance(0.5)
    expected = scoring.score(digits.train.labels[seen], outputs, ("loss", "accuracy"))
    assert row["train_loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert row["train_accuracy"] == pytest.approx(expected["accuracy"])


def test_dropout_and_batch_norm_work_while_training(
    start: Start, config: MakeConfig, digits: SearchData
) -> None:
    layer = DenseLayer(units=32, dropout=0.5, batch_norm="before")
    batch_size = len(digits.train.labels)
    session = start(config(Network(layers=(layer,)), batch_size=batch_size, **FROZEN))
    outputs = outputs_of(session.model, digits.train.inputs)
    at_rest = scoring.score(digits.train.labels, outputs, ["loss"])["loss"]
    (row,) = session.advance(1)
    assert abs(row["train_loss"] - at_rest) > 0.01
    assert np.abs(session.model.get_layer("norm_1").moving_mean.numpy()).max() > 0


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_the_same_image_is_changed_anew_in_every_batch_and_epoch(
    shift: float, start: Start, config: MakeConfig, digits: SearchData
) -> None:
    one_image = np.repeat(digits.train.inputs[:1], 8, axis=0)
    data = replace(digits, train=Split(one_image, np.repeat(digits.train.labels[:1], 8)))
    configured = config(
        batch_size=4,
        augmentation=Augmentation(shift=shift),
        **{**FROZEN, "training": Training(epochs=3)},
    )
    rows = start(configured, data=data).advance(0.5)
    rows += start(configured, data=data).advance(3)
    losses = {round(row["train_loss"], 6) for row in rows}
    assert len(losses) == (4 if shift else 1)


def test_the_scores_do_not_depend_on_how_many_rows_are_predicted_at_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = start()
    session.advance(1)
    at_once = session.predict()
    monkeypatch.setattr(graph, "PREDICTION_BATCH", 100)
    assert np.allclose(session.predict(), at_once, atol=1e-6)


def test_averaging_changes_what_is_scored_but_never_the_training(
    start: Start, config: MakeConfig
) -> None:
    averaging = Regularization(weight_averaging=0.999)
    network = Network(layers=(DenseLayer(units=16, dropout=0.3),))
    averaged = start(config(network, regularization=averaging)).advance(3)
    plain = start(config(network)).advance(3)
    for name in ("train_loss", "train_accuracy"):
        assert [row[name] for row in averaged] == [row[name] for row in plain]
    assert [row["val_loss"] for row in averaged] != [row["val_loss"] for row in plain]


def test_the_model_file_needs_nothing_but_keras_and_takes_raw_pixels(
    start: Start, config: MakeConfig, digits: SearchData, tmp_path: Path
) -> None:
    regularization = Regularization(weight_averaging=0.9, l1=1e-4, label_smoothing=0.1)
    training = Training(epochs=4, patience=1)
    session = start(config(BUSY_CNN, regularization=regularization, training=training))
    session.advance(4)
    path = tmp_path / "model.keras"
    path.write_bytes(session.model_file())

    with zipfile.ZipFile(path) as content:
        architecture = json.loads(content.read("config.json"))
    modules = {layer["module"] for layer in architecture["config"]["layers"]}
    assert {module.partition(".")[0] for module in modules} == {"keras"}
    assert "regularizers" not in json.dumps(architecture)

    model = keras.models.load_model(path)
    pixels = digits.validation.inputs
    assert pixels.dtype == np.uint8
    assert pixels.max() == 255
    assert np.allclose(model.predict(pixels, verbose=0), session.predict(), atol=1e-6)


def test_a_bfloat16_session_saves_a_float32_model(
    how: Runtime, digits: SearchData, config: MakeConfig, tmp_path: Path
) -> None:
    precise = replace(how, precision="bfloat16")
    session = TrainingSession(DIGITS, digits, config(), seed=1, how=precise)
    session.advance(3)
    path = tmp_path / "model.keras"
    path.write_bytes(session.model_file())
    model = keras.models.load_model(path)
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    outputs = model.predict(digits.validation.inputs, verbose=0)
    assert np.allclose(outputs, session.predict(), atol=0.03)


def test_the_summary_lists_the_layers_and_their_weights(start: Start, config: MakeConfig) -> None:
    summary = start(config(CNN)).summary()
    for word in ("conv_1 (Conv2D)", "dense_1 (Dense)", "logits (Dense)", "Total params: 2,746"):
        assert word in summary
    assert max(len(line) for line in summary.splitlines()) <= 80
