"""train.py reads the rows of the search."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.images import load_fashion
from pipelines.sources import find
from pipelines.tabular import load_churn
from pipelines.tasks import TASKS
from tests.configs import configured
from tests.end_to_end.commands import write_images
from tests.search.export.scripts import module, write_customers


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
