"""The contract that every task keeps, on its real data."""

import math
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines import sources
from pipelines.splits import FOLDS, SearchData
from pipelines.tasks import TASKS, Goal, Task, find_task
from spaces.errors import InputError

ROOT = Path(__file__).parents[2]
TABLES = ("churn", "iris", "xor")
SEARCHED_ROWS = {
    "fashion": (50_000, 10_000),
    "mnist": (50_000, 10_000),
    "churn": (6_400, 1_600),
    "digits": (1_149, 288),
    "iris": (90, 30),
    "xor": (4, 4),
}


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> Iterator[Task]:
    """Each task whose files are on this machine, with the repository as current folder."""
    name = str(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        if name in sources.SOURCES and sources.find(name, None) is None:
            pytest.skip(f"no files of {name}: name their folder in {sources.DATA_DIR_VARIABLE}")
        yield TASKS[name]


@pytest.fixture(scope="module")
def data(task: Task) -> SearchData:
    return task.load(None)


def rows_of(inputs: np.ndarray) -> Counter[bytes]:
    return Counter(row.tobytes() for row in inputs)


def test_inputs_are_of_the_promised_type_and_finite(task: Task, data: SearchData) -> None:
    expected = np.float32 if task.name in TABLES else np.uint8
    for split in (data.train, data.validation):
        assert split.inputs.dtype == expected
        assert split.labels.dtype == np.int64
        assert split.inputs.shape == (len(split.labels), *data.input_shape)
        assert np.isfinite(split.inputs).all()


def test_splits_have_their_sizes_and_every_class(task: Task, data: SearchData) -> None:
    assert (len(data.train.labels), len(data.validation.labels)) == SEARCHED_ROWS[task.name]
    assert data.class_names == task.class_names
    for split in (data.train, data.validation):
        assert np.unique(split.labels).tolist() == list(range(task.n_classes))


def test_class_shares_are_the_same_in_both_splits(data: SearchData) -> None:
    shares = [np.bincount(s.labels) / len(s.labels) for s in (data.train, data.validation)]
    assert np.allclose(shares[0], shares[1], atol=0.005)


def test_no_row_is_in_train_and_validation(task: Task, data: SearchData) -> None:
    if task.name == "xor":
        assert data.train is data.validation
        return
    train, validation = rows_of(data.train.inputs), rows_of(data.validation.inputs)
    # The published tables repeat a few rows; iris has one flower twice.
    repeated = sum((train & validation).values())
    assert repeated <= len(data.validation.labels) * 0.001 + 1


def test_loading_again_gives_the_same_arrays_and_digest(task: Task, data: SearchData) -> None:
    again = task.load(None)
    assert again.digest == data.digest
    assert np.array_equal(again.train.inputs, data.train.inputs)
    assert np.array_equal(again.validation.labels, data.validation.labels)


@pytest.mark.parametrize("division", [0, 7])
def test_a_fold_has_the_searched_rows_and_no_others(task: Task, division: int) -> None:
    if not task.folds:
        return
    data, fold = task.load(None), task.load(None, division)
    assert fold.digest == data.digest
    sizes = [len(data.train.labels), len(data.validation.labels)]
    assert len(fold.validation.labels) == pytest.approx(sum(sizes) / FOLDS, abs=1)
    assert len(fold.train.labels) + len(fold.validation.labels) == sum(sizes)
    labels = np.concatenate([data.train.labels, data.validation.labels])
    both = np.concatenate([fold.train.labels, fold.validation.labels])
    assert np.bincount(both).tolist() == np.bincount(labels).tolist()
    assert not np.array_equal(fold.validation.labels, data.validation.labels)


def test_a_refit_trains_on_all_searched_rows(task: Task, data: SearchData) -> None:
    refit = task.load(None, "refit")
    assert refit.digest == data.digest
    if task.name == "xor":
        return
    assert len(refit.train.labels) == sum(SEARCHED_ROWS[task.name])
    assert np.array_equal(refit.validation.labels, data.validation.labels)


def test_the_input_fits_the_space(task: Task, data: SearchData) -> None:
    side = data.input_shape[0] if task.name not in TABLES else None
    assert task.space.image_side == side
    assert task.space.task == task.name


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_complete(name: str) -> None:
    task = TASKS[name]
    assert task.name == name
    assert task.goal.metric.removeprefix("val_") in task.metrics
    assert 0 < task.first_rung < task.training.epochs / 2
    assert task.binary == (name in ("churn", "xor"))
    assert pickle.loads(pickle.dumps(task)).name == name


def test_churn_has_the_published_share_of_leavers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    if sources.find("churn", None) is None:
        pytest.skip(f"no churn table: name its folder in {sources.DATA_DIR_VARIABLE}")
    data = TASKS["churn"].load(None)
    assert data.validation.labels.mean() == pytest.approx(0.204, abs=0.001)
    assert data.input_shape == (11,)


def test_an_unknown_task_is_an_error_with_the_nearest_name() -> None:
    assert find_task("fashion") is TASKS["fashion"]
    with pytest.raises(InputError, match=r"Unknown task 'fasion'\. Did you mean 'fashion'"):
        find_task("fasion")


@pytest.mark.parametrize(
    ("goal", "good", "bad", "direction"),
    [
        (Goal("val_accuracy", "max"), 0.9, 0.8, "maximize"),
        (Goal("val_loss", "min"), 0.1, 0.2, "minimize"),
    ],
)
def test_a_goal_knows_what_is_better(goal: Goal, good: float, bad: float, direction: str) -> None:
    assert goal.direction == direction
    assert goal.better(good, bad)
    assert not goal.better(bad, good)
    assert not goal.better(good, good)
    assert goal.better(bad, goal.worst)
    assert not goal.better(math.nan, goal.worst)


def test_importing_the_tasks_loads_no_heavy_library() -> None:
    code = "import sys, pipelines.tasks; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    heavy = {"tensorflow", "keras", "sklearn", "pandas", "pooch", "requests"}
    assert not heavy & set(run.stdout.split())


def test_bad_data_is_reported_before_heavy_libraries_are_imported(tmp_path: Path) -> None:
    folder = tmp_path / "fashion"
    folder.mkdir()
    for name in sources.SOURCES["fashion"].files:
        (folder / name).write_bytes(b"\x1f\x8b nonsense")
    code = (
        "import sys, pathlib, pipelines.tasks as t\n"
        "try: t.TASKS['fashion'].load(pathlib.Path(sys.argv[1]))\n"
        "except ValueError as error: print(type(error).__name__, *sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    printed = run.stdout.split()
    assert printed[0] == "InputError"
    assert not {"sklearn", "pandas", "tensorflow"} & set(printed)
