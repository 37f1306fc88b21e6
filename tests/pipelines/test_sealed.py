"""The test rows: which they are, that they are no others, and that no search comes near them."""

import gzip
import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines import sources
from pipelines.sealed import TEST_FILES, open_sealed, require_sealed
from pipelines.splits import Split
from pipelines.tabular import features, read_customers, read_flowers
from pipelines.tasks import TASKS
from spaces.errors import InputError

ROOT = Path(__file__).parents[2]
IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
SIZES = {"fashion": 10_000, "mnist": 10_000, "churn": 2_000, "digits": 360, "iris": 30}

# What a worker does for a search, and what the coordinator's process imports for it.
SEARCH = """
import sys
from dataclasses import replace
import search.run, search.train
from pipelines.runtime import Runtime
from pipelines.segment import Segment, finish_trial, prepare, train_segment
from pipelines.tasks import TASKS
from spaces.presets import presets_of

config = presets_of("iris")[0].config.with_epochs(2)
how = Runtime(1)
prepare("iris", None, how)
segment = Segment(
    key="0", task="iris", config=config, seed=1, how=how, data_dir=None,
    data_digest=TASKS["iris"].load(None).digest, begin=0.0, until=2.0, seconds=60.0,
)
result = train_segment(segment)
print(result.reached, *finish_trial(replace(segment, begin=2.0), result.rows, "completed"))
print("pipelines.sealed" in sys.modules, "search.evaluation.evaluate" in sys.modules)
"""


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the repository as current folder, from which the data are looked for."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def untested(tmp_path: Path) -> Path:
    """A place of 60 images of noise to train on, and none to test."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    write(folder, "train-images-idx3-ubyte.gz", noise(60))
    write(folder, "train-labels-idx1-ubyte.gz", np.arange(60) % 10)
    return tmp_path


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 28, 28))


def write(folder: Path, name: str, values: np.ndarray) -> None:
    header = np.array([0x800 + values.ndim, *values.shape], ">i4").tobytes()
    (folder / name).write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes(), 1))


def need(task: str) -> None:
    for source in (sources.SOURCES.get(task), TEST_FILES.get(task)):
        if source is not None and sources.find(task, None, source) is None:
            pytest.skip(f"no files of {task}: name their folder in {sources.DATA_DIR_VARIABLE}")


def rows_of(*splits: Split) -> Counter[tuple[bytes, int]]:
    """How often each row is there, with its label."""
    return Counter(
        (inputs.tobytes(), int(label))
        for split in splits
        for inputs, label in zip(split.inputs, split.labels, strict=True)
    )


def whole_table(task: str, preprocessor: object) -> Split:
    import pandas as pd

    if task == "churn":
        _, columns, labels = read_customers(None)
        return Split(features(preprocessor, pd.DataFrame(columns)), labels)
    if task == "iris":
        measures, labels = read_flowers()
        return Split(features(preprocessor, measures), labels)
    from sklearn import datasets

    raw = datasets.load_digits()
    images = np.rint(raw.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    return Split(images, raw.target)


@pytest.mark.parametrize("task", ["churn", "digits", "iris"])
def test_searched_and_sealed_rows_are_the_whole_table_without_overlap(task: str) -> None:
    need(task)
    refit = TASKS[task].load(None, "refit")
    sealed = open_sealed(TASKS[task], None, refit.preprocessor)
    whole = whole_table(task, refit.preprocessor)
    assert rows_of(refit.train, sealed) == rows_of(whole)
    assert len(sealed.labels) == SIZES[task]


@pytest.mark.parametrize("task", ["churn", "digits", "iris"])
def test_no_division_of_a_search_has_a_sealed_row(task: str) -> None:
    need(task)
    for division in ("search", 0, 7):
        data = TASKS[task].load(None, division)
        sealed = rows_of(open_sealed(TASKS[task], None, data.preprocessor))
        whole = rows_of(whole_table(task, data.preprocessor))
        assert rows_of(data.train, data.validation) + sealed == whole


@pytest.mark.parametrize("task", SIZES)
def test_test_rows_are_as_those_of_the_search(task: str) -> None:
    need(task)
    data = TASKS[task].load(None, "refit")
    sealed = open_sealed(TASKS[task], None, data.preprocessor)
    assert sealed.inputs.shape == (SIZES[task], *data.input_shape)
    assert sealed.inputs.dtype == data.train.inputs.dtype
    assert np.isfinite(sealed.inputs).all()
    assert np.unique(sealed.labels).tolist() == list(range(len(data.class_names)))


@pytest.mark.parametrize("task", TEST_FILES)
def test_the_checksums_are_those_of_the_files(task: str) -> None:
    need(task)
    source = TEST_FILES[task]
    paths = sources.find(task, None, source)
    assert paths is not None
    for path, sha256 in zip(paths, source.files.values(), strict=True):
        assert hashlib.sha256(sources.read_content(path)).hexdigest() == sha256


def test_a_place_without_test_files_is_named(untested: Path) -> None:
    with pytest.raises(InputError, match=f"mnist lacks {IMAGES} and {LABELS}: put it there"):
        require_sealed(TASKS["mnist"], untested)
    assert len(TASKS["mnist"].load(untested).train.labels) == 50


def test_files_that_do_not_belong_together_are_an_error(untested: Path) -> None:
    write(untested / "mnist", IMAGES, noise(12))
    write(untested / "mnist", LABELS, np.arange(11) % 10)
    require_sealed(TASKS["mnist"], untested)
    with pytest.raises(InputError, match=r"holds 12 images but .* 11 labels"):
        open_sealed(TASKS["mnist"], untested, None)


def test_a_category_that_only_a_test_row_has_is_an_error(tmp_path: Path) -> None:
    need("churn")
    (path,) = sources.fetch("churn", None)
    lines = path.read_text().splitlines()
    folder = tmp_path / "churn"
    folder.mkdir()
    encoder = TASKS["churn"].load(None, "refit").preprocessor
    (folder / path.name).write_text("\n".join(lines).replace("Germany", "Malta"))
    with pytest.raises(InputError, match=r"a test row has a value .*'Malta'.*: add rows of it"):
        open_sealed(TASKS["churn"], tmp_path, encoder)


def test_xor_has_no_test_set() -> None:
    words = r"XOR.*: there is no test set to open.* than xor\."
    with pytest.raises(InputError, match=words):
        require_sealed(TASKS["xor"], None)
    with pytest.raises(InputError, match=words):
        open_sealed(TASKS["xor"], None, None)


def test_a_task_without_a_reader_is_an_error() -> None:
    with pytest.raises(InputError, match="there is no test set"):
        require_sealed(replace(TASKS["iris"], name="new"), None)


def test_what_trains_never_imports_the_test_rows() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SEARCH], cwd=ROOT, capture_output=True, text=True, check=False
    )
    reached, modules = done.stdout.splitlines()[-2:] or (done.stderr, "")
    assert reached.split()[0] == "True", done.stderr
    assert "model.keras" in reached
    assert modules == "False False"
