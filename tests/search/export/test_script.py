"""train.py as a whole: its text, and what it prints and saves in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.images import load_digits
from pipelines.tasks import TASKS
from search.export.script import packages
from spaces.config import (
    Augmentation,
    ConvBlock,
    DenseLayer,
    Network,
    Regularization,
    Training,
)
from tests.configs import configured
from tests.search.export.scripts import configs, drawn, script, write_customers


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


# in a process of its own


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
