"""train.py: what it builds, minimizes, changes and prints is what the pipelines do."""

import gzip
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from pipelines.images import load_digits, load_fashion
from pipelines.sources import find
from pipelines.tabular import CATEGORIES, NUMBERS, TARGET, load_churn
from pipelines.tasks import TASKS
from search.export.script import packages, training_script
from search.export.script_training import loss_call, optimizer_call, schedule_call
from spaces.config import (
    Augmentation,
    Config,
    ConvBlock,
    DenseLayer,
    Network,
    Optimization,
    Regularization,
    Training,
)
from spaces.presets import PRESETS
from tests.end_to_end.commands import write_images

DRAWS = 30
SHAPES = {
    "fashion": (28, 28, 1),
    "mnist": (28, 28, 1),
    "churn": (11,),
    "digits": (8, 8, 1),
    "iris": (4,),
    "xor": (2,),
}


def drawn(task: str) -> list[Config]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    space, training = TASKS[task].space, TASKS[task].training
    return [space.sample(study.ask(), training) for _ in range(DRAWS)]


def configs(task: str) -> list[Config]:
    return drawn(task) + [p.config for p in PRESETS.values() if p.task == task]


def configured(
    network: Network | None = None,
    *,
    regularization: Regularization | None = None,
    augmentation: Augmentation | None = None,
    training: Training | None = None,
    **optimization: Any,
) -> Config:
    fields = {"optimizer": "adam", "learning_rate": 3e-3, "batch_size": 64, **optimization}
    return Config(
        network=network or Network(layers=(DenseLayer(units=16),)),
        optimization=Optimization.model_validate(fields),
        regularization=regularization or Regularization(),
        augmentation=augmentation or Augmentation(),
        training=training or Training(epochs=3),
    )


def script(task: str, config: Config) -> str:
    return training_script(TASKS[task], config, "t000 of a study")


def module(task: str, config: Config) -> SimpleNamespace:
    """What the script defines."""
    names: dict[str, Any] = {"__name__": "train"}
    exec(compile(script(task, config), "train.py", "exec"), names)
    return SimpleNamespace(**names)


# the text


def test_every_config_becomes_a_script_without_a_flaw(tmp_path: Path) -> None:
    for task in TASKS:
        for number, config in enumerate(configs(task)):
            text = script(task, config)
            compile(text, "train.py", "exec")
            assert max(len(line) for line in text.splitlines()) <= 99
            tmp_path.joinpath(f"{task}_{number}.py").write_text(text)
    done = subprocess.run(
        ["ruff", "check", "--isolated", "--no-cache", str(tmp_path)],
        env={"PATH": str(Path(sys.executable).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_script_knows_nothing_of_this_project() -> None:
    for task in TASKS:
        imported = re.findall(
            r"^(?:import|from) (\w+)", script(task, drawn(task)[0]), re.MULTILINE
        )
        assert not {"spaces", "pipelines", "search"} & set(imported)


def test_what_a_config_does_not_ask_for_is_not_there() -> None:
    plain = script("fashion", configured())
    absent = ("augment", "AVERAGING", "SMOOTHING", "class_weight", "KERNEL", "PATIENCE", "DECAY")
    assert not [word for word in absent if word in plain]
    full = configured(
        regularization=Regularization(
            l2=1e-4, label_smoothing=0.1, weight_averaging=0.99, class_weight="balanced"
        ),
        augmentation=Augmentation(shift=0.1),
        training=Training(epochs=3, patience=2, final_decay=0.5),
    )
    assert [word for word in absent if word not in script("fashion", full)] == []


@pytest.mark.parametrize(
    ("schedule", "patience", "waits"),
    [("constant", 2, False), ("cosine", 0, False), ("cosine", 2, True), ("one_cycle", 2, True)],
)
def test_a_script_waits_with_early_stopping_as_the_search_does(
    schedule: str, patience: int, *, waits: bool
) -> None:
    config = configured(training=Training(epochs=6, patience=patience))
    falling = config.optimization.model_copy(update={"schedule": schedule})
    text = script("fashion", config.model_copy(update={"optimization": falling}))
    assert ("start_from_epoch=EPOCHS // 2" in text) == waits


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("fashion", ["keras", "numpy", "scikit-learn", "tensorflow"]),
        ("churn", ["joblib", "keras", "numpy", "pandas", "scikit-learn", "tensorflow"]),
        ("iris", ["joblib", "keras", "numpy", "scikit-learn", "tensorflow"]),
        ("xor", ["keras", "numpy", "tensorflow"]),
    ],
)
def test_a_script_names_the_packages_that_it_needs(task: str, expected: list[str]) -> None:
    assert packages(script(task, configured())) == expected


# the network


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


# how the weights are moved


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


AUGMENTATIONS: dict[str, Mapping[str, Any]] = {
    "shift": {"shift": 0.2},
    "rotation": {"rotation": 40.0},
    "zoom": {"zoom": 0.4},
    "shear": {"shear": 30.0},
    "flip": {"flip": True},
    "erasing": {"erasing": 0.7},
    "turned and sheared": {"rotation": 30.0, "shear": 20.0},
    "scaled and sheared": {"zoom": 0.3, "shear": 30.0},
    "all": {
        "shift": 0.1, "rotation": 20.0, "zoom": 0.2, "shear": 10.0, "flip": True, "erasing": 0.5,
    },
}  # fmt: skip


@pytest.mark.parametrize("limits", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())
def test_images_are_changed_as_in_the_search(limits: Mapping[str, Any]) -> None:
    """Each pixel has the same mean and the same mean square over many changed copies."""
    import keras
    import tensorflow as tf

    from pipelines.augmentation import augment

    keras.utils.set_random_seed(0)
    augmentation = Augmentation.model_validate(limits)
    count, side = 6000, 8
    image = np.random.default_rng(3).uniform(0, 255, (side, side, 1)).astype(np.float32)
    images = tf.constant(np.broadcast_to(image, (count, side, side, 1)))
    theirs = module("digits", configured(augmentation=augmentation)).augment(images).numpy()
    ours = augment(images, augmentation, tf.constant([1, 2])).numpy()
    for power in (1, 2):
        first, second = ours**power, theirs**power
        noise = np.sqrt((first.var(axis=0) + second.var(axis=0)) / count) + 1e-3
        apart = np.abs(first.mean(axis=0) - second.mean(axis=0)) / noise
        assert apart.max() < 5.0
    assert ours.std(axis=0).max() > 1.0


# the data


def assert_same_rows(loaded: Any, data: Any) -> None:
    (x_train, y_train), (x_validation, y_validation) = loaded[:2]
    np.testing.assert_array_equal(y_train, data.train.labels)
    np.testing.assert_array_equal(y_validation, data.validation.labels)
    np.testing.assert_allclose(x_train, data.train.inputs, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(x_validation, data.validation.inputs, rtol=1e-6, atol=1e-7)
    assert x_train.shape == data.train.inputs.shape


@pytest.mark.parametrize("task", ["digits", "iris", "xor"])
def test_a_script_reads_the_rows_of_the_search(task: str) -> None:
    assert_same_rows(module(task, configured()).load_data(), TASKS[task].load(None))


@pytest.mark.parametrize("kind", ["packed", "unpacked"])
def test_a_script_reads_the_published_files_packed_or_not(tmp_path: Path, kind: str) -> None:
    generator = np.random.default_rng(0)
    folder = tmp_path / "fashion"
    write_images(folder, generator.integers(0, 256, (120, 28, 28)), np.arange(120) % 10)
    if kind == "unpacked":
        for path in list(folder.iterdir()):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    assert_same_rows(module("fashion", configured()).load_data(folder), load_fashion(tmp_path))


def write_customers(folder: Path, count: int = 300) -> None:
    """A table in which the young and the poor leave more often."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    names = ["RowNumber", *CATEGORIES, *NUMBERS, TARGET]
    lines = [",".join(names)]
    for row in range(count):
        numbers = generator.uniform(0, 1, len(NUMBERS))
        leaves = int(numbers[:2].sum() + generator.normal(0, 0.3) < 0.7)
        words = [("France", "Spain", "Germany")[row % 3], ("Female", "Male")[row % 2]]
        lines.append(",".join([str(row), *words, *(f"{n:.4f}" for n in numbers), str(leaves)]))
    folder.joinpath("Churn_Modelling.csv").write_text("\n".join(lines) + "\n")


def test_a_script_encodes_a_table_as_the_search_does(tmp_path: Path) -> None:
    write_customers(tmp_path / "churn")
    loaded = module("churn", configured()).load_data(tmp_path / "churn")
    data = load_churn(tmp_path)
    assert_same_rows(loaded, data)


def test_a_script_reads_the_real_table_as_the_search_does() -> None:
    paths = find("churn", None)
    if paths is None:
        pytest.skip("the data of churn are not here: set HPSEARCH_DATA_DIR")
    assert_same_rows(module("churn", configured()).load_data(paths[0].parent), load_churn(None))


# the whole, in a process of its own


def run(folder: Path, text: str, *arguments: str) -> dict[str, list[float]]:
    """All values of each metric that the script printed, the final one last."""
    folder.joinpath("train.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-I", "train.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[float]] = {}
    for name, value in re.findall(r"(val_\w+): ([\d.]+(?:e-\d+)?)", done.stdout):
        found.setdefault(name, []).append(float(value))
    return found


CASES = {
    "iris": configured(
        regularization=Regularization(weight_averaging=0.9),
        training=Training(epochs=6, patience=4, final_decay=0.5),
        batch_size=16,
        learning_rate=0.02,
    ),
    "digits": configured(
        Network(blocks=(ConvBlock(filters=8, batch_norm="before"),)),
        regularization=Regularization(label_smoothing=0.1, weight_averaging=0.9),
        augmentation=Augmentation(shift=0.1, flip=True, erasing=0.2),
        schedule="one_cycle",
    ),
    "churn": configured(
        Network(layers=(DenseLayer(units=16, dropout=0.1),)),
        regularization=Regularization(class_weight="balanced", weight_averaging=0.9),
        training=Training(epochs=6, patience=4),
        batch_size=16,
        optimizer="adamw",
    ),
    "xor": configured(batch_size=4, schedule="cosine"),
}


@pytest.mark.parametrize("task", CASES)
def test_a_script_saves_the_network_that_counts(task: str, tmp_path: Path) -> None:
    import joblib
    import keras
    from sklearn import metrics

    files = []
    if task == "churn":
        write_customers(tmp_path / "data" / "churn")
        files = ["--data", "data/churn"]
    printed = run(tmp_path, script(task, CASES[task]), "--seed", "3", *files)
    metric = TASKS[task].goal.metric
    *epochs, final = printed[metric]
    if CASES[task].training.patience:
        assert final == pytest.approx(max(epochs), abs=1e-4)  # a log has four digits
    elif metric == "val_accuracy":  # of the others Keras does not log every epoch
        assert len(epochs) == CASES[task].training.epochs
        assert final == pytest.approx(epochs[-1], abs=1e-4)
    assert set(printed) >= {f"val_{name}" for name in TASKS[task].metrics}

    data = TASKS[task].load(tmp_path / "data" if files else None)
    model = keras.models.load_model(tmp_path / "trained" / "model.keras")
    probabilities = model.predict(data.validation.inputs, verbose=0)
    labels = data.validation.labels
    if task == "churn":
        score = metrics.roc_auc_score(labels, probabilities[:, 0])
    elif TASKS[task].binary:
        score = np.mean((probabilities[:, 0] > 0.5) == labels)
    else:
        score = np.mean(probabilities.argmax(axis=1) == labels)
    assert final == pytest.approx(score, abs=1e-5)
    if data.preprocessor is not None:
        saved = joblib.load(tmp_path / "trained" / "preprocessor.joblib")
        assert type(saved) is type(data.preprocessor)


def test_a_script_scores_what_a_session_scores(tmp_path: Path) -> None:
    """Two seeds each: far from each other is 0.03, ten of the 288 images."""
    from pipelines.runtime import Runtime
    from pipelines.session import TrainingSession

    config = configured(
        Network(
            blocks=(ConvBlock(filters=16, padding="same", batch_norm="before"),),
            layers=(DenseLayer(units=32, dropout=0.2),),
        ),
        regularization=Regularization(l2=1e-4, weight_averaging=0.99),
        augmentation=Augmentation(shift=0.1, rotation=8.0),
        training=Training(epochs=8, final_decay=0.25),
    )
    data = load_digits(None)
    ours, theirs = [], []
    for seed in (1, 2):
        session = TrainingSession(TASKS["digits"], data, config, seed=seed, how=Runtime(threads=1))
        session.advance(config.training.epochs)
        ours.append(session.best["val_accuracy"])
        printed = run(tmp_path, script("digits", config), "--seed", str(seed))
        theirs.append(printed["val_accuracy"][-1])
    assert np.mean(theirs) == pytest.approx(np.mean(ours), abs=0.03)
    assert min(theirs) > 0.85
