"""The networks of `benchmarks.throughput`, and the rows that they are trained on."""

import dataclasses
from functools import lru_cache

from pipelines.segment import load_data
from pipelines.splits import SearchData, Split
from spaces.config import Config

ENDLESS = 100_000
"""Epochs: the clock ends them."""
N_TRAIN, N_VALIDATION = 10_000, 2_000
"""Rows for CNNs, of which an epoch of all rows would take a minute."""
AUGMENTATION = {"shift": 0.1, "flip": True}


@dataclasses.dataclass(frozen=True)
class Network:
    """What all cases with it share."""

    filters: tuple[int, ...] = ()
    units: tuple[int, ...] = ()
    batch_norm: str = "none"
    augmented: bool = False


NETWORKS = {
    "CNN 32-64": Network((32, 64), (64,)),
    "CNN 32-64 augmented": Network((32, 64), (64,), augmented=True),
    "CNN 32-64-128": Network((32, 64, 128), (256,)),
    "CNN 32-64-128 norm": Network((32, 64, 128), (256,), "before"),
    "CNN 32-64-128 norm augmented": Network((32, 64, 128), (256,), "before", augmented=True),
    "MLP 128": Network(units=(128,)),
    "MLP 16-8": Network(units=(16, 8)),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One network and batch size.

    Attributes:
        apart: Whether the parts of the gain are measured apart as well.
    """

    task: str
    network: str
    batch_size: int
    apart: bool = False

    @property
    def config(self) -> Config:
        network = NETWORKS[self.network]
        block = {
            "kernel_size": 3,
            "padding": "same",
            "pooling": "max",
            "batch_norm": network.batch_norm,
        }
        return Config.model_validate(
            {
                "network": {
                    "blocks": [{"filters": count, **block} for count in network.filters],
                    "layers": [{"units": count} for count in network.units],
                },
                "optimization": {
                    "optimizer": "adam",
                    "learning_rate": 1e-3,
                    "batch_size": self.batch_size,
                },
                "augmentation": AUGMENTATION if network.augmented else {},
                "training": {"epochs": ENDLESS},
            }
        )

    def data(self) -> SearchData:
        """All rows where that is quick: short epochs would make much of what each costs beside."""
        if NETWORKS[self.network].filters:
            return first_rows(self.task)
        return load_data(self.task, None)


CASES = [
    Case("fashion", "CNN 32-64", 32, apart=True),
    *[Case("fashion", "CNN 32-64", batch) for batch in (128, 512)],
    Case("fashion", "CNN 32-64 augmented", 128),
    Case("fashion", "CNN 32-64-128", 128),
    Case("fashion", "CNN 32-64-128 norm", 32),
    Case("fashion", "CNN 32-64-128 norm", 128, apart=True),
    Case("fashion", "CNN 32-64-128 norm", 512),
    Case("fashion", "CNN 32-64-128 norm augmented", 128),
    Case("fashion", "MLP 128", 32),
    Case("fashion", "MLP 128", 128, apart=True),
    Case("fashion", "MLP 128", 512),
    Case("churn", "MLP 16-8", 10),
    Case("churn", "MLP 16-8", 32, apart=True),
    Case("churn", "MLP 16-8", 128),
]
QUICK = [CASES[1], CASES[10], CASES[13]]


@lru_cache
def first_rows(task: str) -> SearchData:
    """The first rows of the task's data."""
    data = load_data(task, None)
    return dataclasses.replace(
        data,
        train=_first(data.train, N_TRAIN),
        validation=_first(data.validation, N_VALIDATION),
    )


def _first(split: Split, count: int) -> Split:
    return Split(split.inputs[:count], split.labels[:count])
