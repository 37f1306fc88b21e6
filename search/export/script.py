"""train.py: a config as plain Keras, without this project, as a teacher would write it.

A script holds what its own config needs and nothing else: each part of it is written by a
function that leaves out what the config does not ask for.
"""

import re
import sys
import textwrap

from pipelines.tasks import Task
from search.export.script_augmentation import augmentation_code
from search.export.script_data import DATA, DataCode
from search.export.script_network import kernel_constant, network_code
from search.export.script_text import joined
from search.export.script_training import (
    batch_code,
    callback_calls,
    callback_code,
    constants,
    loss_call,
    one_hot,
    optimizer_call,
    schedule_call,
    schedule_code,
)
from spaces.config import Config

_IMPORTS = {
    "argparse": "import argparse",
    "gzip": "import gzip",
    "math": "import math",
    "Path": "from pathlib import Path",
    "joblib": "import joblib",
    "keras": "import keras",
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "tf": "import tensorflow as tf",
    "layers": "from keras import layers",
    "datasets": "from sklearn import datasets",
    "metrics": "from sklearn import metrics",
    "ColumnTransformer": "from sklearn.compose import ColumnTransformer",
    "train_test_split": "from sklearn.model_selection import train_test_split",
    "OneHotEncoder": "from sklearn.preprocessing import OneHotEncoder",
    "StandardScaler": "from sklearn.preprocessing import StandardScaler",
}
"""By the word that asks for it, in the order in which they stand."""

_SCORES = {
    "accuracy": "np.mean(predictions == y_val)",
    "auc": "metrics.roc_auc_score(y_val, probabilities)",
    "pr_auc": "metrics.average_precision_score(y_val, probabilities)",
    "f1": "metrics.f1_score(y_val, predictions)",
}

_PACKAGES = {
    "joblib": "joblib",
    "keras": "keras",
    "numpy": "numpy",
    "pandas": "pandas",
    "sklearn": "scikit-learn",
    "tensorflow": "tensorflow",
}
"""By the name that Python knows: what installs it."""


def training_script(task: Task, config: Config, origin: str) -> str:
    """The script that trains `config` from the task's files.

    Args:
        origin: Where the config was found, such as a trial of a study.
    """
    data, images = DATA[task.name], task.has_images
    augmentation = augmentation_code(config.augmentation) if images else []
    metric = task.goal.metric
    functions = [
        data.code,
        network_code(config, images=images, n_classes=task.n_classes),
        *augmentation,
        batch_code(augments=bool(augmentation)),
        schedule_code(config),
        *callback_code(config, metric),
        _main(task, config, data),
        'if __name__ == "__main__":\n    main()',
    ]
    top = [
        *data.constants,
        *constants(config, images=images, binary=task.binary),
        kernel_constant(config),
    ]
    body = joined("\n".join(line for line in top if line), *functions)
    return f"{_docstring(task, config, data, origin)}\n\n{_imports(body)}\n\n{body}\n"


def packages(script: str) -> list[str]:
    """What must be installed for the script to run; TensorFlow is what Keras computes with."""
    modules = set(re.findall(r"^(?:import|from) (\w+)", script, re.MULTILINE)) | {"tensorflow"}
    return [package for module, package in _PACKAGES.items() if module in modules]


def _docstring(task: Task, config: Config, data: DataCode, origin: str) -> str:
    options = f"--data data/{task.name} --seed 3" if data.has_files else "--seed 3"
    network = "the network of its best epoch" if config.training.patience else "the network"
    saved = f"{network} as model.keras"
    if data.prepared:
        saved += ", and what prepares its rows as preprocessor.joblib"
    paragraphs = [
        f"Trains a network on {task.title}: {origin}.",
        f"It prints the scores on the validation rows, and saves {saved}.",
        f"Data: {data.source}. Of these, {data.splits}.",
    ]
    first, *others = (textwrap.fill(text, 95) for text in paragraphs)
    usage = f"    pip install -r requirements.txt\n    python train.py {options}"
    return '"""' + "\n\n".join([first, usage, *others]) + '\n"""'


def _imports(body: str) -> str:
    used = [line for word, line in _IMPORTS.items() if re.search(rf"(?<![\w.]){word}[.(]", body)]
    standard = [line for line in used if line.split()[1] in sys.stdlib_module_names]
    others = [line for line in used if line not in standard]
    text = "\n".join([*standard, "", *others])
    # Names of one module on one line.
    return re.sub(r"^(from \S+ import) (.+)\n\1 (.+)$", r"\1 \2, \3", text, flags=re.MULTILINE)


def _main(task: Task, config: Config, data: DataCode) -> str:
    blocks = [_arguments(task, data), _compiling(task, config, data), _fitting(task, config)]
    blocks += [_scoring(task), _saving(data)]
    body = "\n\n".join(textwrap.indent("\n".join(lines), "    ") for lines in blocks)
    return f"def main():\n{body}"


def _arguments(task: Task, data: DataCode) -> list[str]:
    folder = [
        f'parser.add_argument("--data", type=Path, default=Path("data/{task.name}"), help="files")'
    ]
    return [
        "parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])",
        *(folder if data.has_files else []),
        'parser.add_argument("--seed", type=int, default=0, help="decides all that is random")',
        'parser.add_argument("--out", type=Path, default=Path("trained"), help="where to save")',
        "arguments = parser.parse_args()",
    ]


def _compiling(task: Task, config: Config, data: DataCode) -> list[str]:
    found = "(x_train, y_train), (x_val, y_val)" + (", preprocessor" if data.prepared else "")
    return [
        "keras.utils.set_random_seed(arguments.seed)",
        f"{found} = load_data({'arguments.data' if data.has_files else ''})",
        "steps_per_epoch = math.ceil(len(x_train) / BATCH_SIZE)",
        *(["steps = EPOCHS * steps_per_epoch"] if "steps" in schedule_call(config) else []),
        "model = build_network(x_train.shape[1:])",
        "model.compile(",
        *textwrap.indent(f"optimizer={optimizer_call(config)},", "    ").splitlines(),
        f"    loss={loss_call(config, binary=task.binary)},",
        '    metrics=["accuracy"],',
        ")",
    ]


def _early_stopping(task: Task, config: Config) -> list[str]:
    if not config.training.patience:
        return []
    waits = "    start_from_epoch=EPOCHS // 2,  # the small steps at the end gain most"
    return [
        "best_epoch = keras.callbacks.EarlyStopping(",
        f'    monitor="{task.goal.metric}",',
        f'    mode="{task.goal.mode}",',
        "    patience=PATIENCE,",
        *(["    min_delta=MIN_DELTA,"] if config.training.min_delta else []),
        *([waits] if config.plateau_from else []),
        "    restore_best_weights=True,",
        ")",
    ]


def _fitting(task: Task, config: Config) -> list[str]:
    targets = ["y_train", "y_val"]
    if one_hot(config, binary=task.binary):
        targets = [f"keras.utils.to_categorical({name})" for name in targets]
    lines = _early_stopping(task, config)
    balanced = config.regularization.class_weight == "balanced"
    if balanced:
        lines += [
            "counts = np.bincount(y_train)",
            "class_weight = dict(enumerate(len(y_train) / (len(counts) * counts)))",
        ]
    callbacks = callback_calls(config, task.goal.metric)
    callbacks += ["best_epoch"] if config.training.patience else []
    return [
        *lines,
        "model.fit(",
        f"    batches(x_train, {targets[0]}),",
        "    steps_per_epoch=steps_per_epoch,",
        "    epochs=EPOCHS,",
        f"    validation_data=(x_val, {targets[1]}),",
        "    validation_batch_size=500,",
        *(["    class_weight=class_weight,"] if balanced else []),
        *([f"    callbacks=[{', '.join(callbacks)}],"] if callbacks else []),
        "    shuffle=False,  # the batches are shuffled already",
        "    verbose=2,",
        ")",
    ]


def _scoring(task: Task) -> list[str]:
    chosen = "probabilities > 0.5" if task.binary else "probabilities.argmax(axis=1)"
    return [
        "probabilities = model.predict(x_val, batch_size=500, verbose=0)"
        + ("[:, 0]" if task.binary else ""),
        f"predictions = {chosen}",
        "scores = {",
        *(f'    "val_{name}": {_SCORES[name]},' for name in task.metrics),
        "}",
        "for name, score in scores.items():",
        '    print(f"{name}: {score:.6f}")',
    ]


def _saving(data: DataCode) -> list[str]:
    preprocessor = 'joblib.dump(preprocessor, arguments.out / "preprocessor.joblib")'
    return [
        "arguments.out.mkdir(parents=True, exist_ok=True)",
        "# The layers without the optimizer, whose state is as large as they are and more.",
        'keras.Model(model.inputs, model.outputs).save(arguments.out / "model.keras")',
        *([preprocessor] if data.prepared else []),
    ]
