"""What goes into an MLflow run, made from plain Python values."""

import contextlib
import getpass
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Param, RunTag

TAG_LENGTH = 8000
DIGEST_LENGTH = 36


@dataclass(frozen=True)
class DatasetInfo:
    """What MLflow shows of a data set. `shape` is that of one example; `digest` is ours."""

    name: str
    digest: str
    n_train: int
    n_validation: int
    shape: tuple[int, ...]
    n_classes: int

    @property
    def has_images(self) -> bool:
        return len(self.shape) > 1


def metrics(values: Mapping[str, float], step: float) -> "list[Metric]":
    """As they are: MLflow stores NaN as NaN, and infinity as the largest float."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, int(step)) for name, value in values.items()]


def params(values: Mapping[str, object]) -> "list[Param]":
    from mlflow.entities import Param

    return [Param(name, str(value)) for name, value in values.items()]


def tags(values: Mapping[str, str]) -> "list[RunTag]":
    from mlflow.entities import RunTag

    return [RunTag(name, value[:TAG_LENGTH]) for name, value in values.items()]


def dataset_inputs(dataset: DatasetInfo) -> "list[DatasetInput]":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    def one(context: str, n_rows: int) -> DatasetInput:
        # MLflow takes two inputs of one name and digest for the same and drops the second.
        name = f"{dataset.name}-{context}"
        profile = {"num_rows": n_rows, "shape": dataset.shape, "classes": dataset.n_classes}
        data = Dataset(
            name, dataset.digest[:DIGEST_LENGTH], "code", "{}", profile=json.dumps(profile)
        )
        return DatasetInput(data, [InputTag("mlflow.data.context", context)])

    return [one("train", dataset.n_train), one("validation", dataset.n_validation)]


def user() -> str:
    # A container may run under a number that has no name: KeyError before Python 3.13.
    with contextlib.suppress(OSError, KeyError):
        return getpass.getuser()
    return "unknown"
