"""What the guide's sweeps train: a base config each, and what is changed in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import cast

from pipelines.splits import Division
from spaces.config import (
    Augmentation,
    Config,
    ConvBlock,
    DenseLayer,
    Network,
    Optimization,
    Part,
    Regularization,
    Training,
)
from spaces.domains import Value

Cell = Value | tuple[int, ...]
Values = Mapping[str, Cell]
"""By the names of the spaces; `filters` and `units` hold one number a block or layer, and
`division` is that of the rows."""


@dataclass(frozen=True)
class Sweep:
    """Trainings that differ in what `cases` say and in nothing else.

    Attributes:
        cases: What is changed in the base; an empty one is the base itself.
        columns: The name whose values are the columns of the table; else a case has a row.
    """

    task: str
    base: Values
    cases: tuple[Values, ...]
    seeds: int = 3
    columns: str = ""

    def config(self, case: Values) -> Config:
        values = {**self.base, **case}

        def of(part: type[Part]) -> dict[str, object]:
            return {name: values[name] for name in part.model_fields if name in values}

        block = of(ConvBlock) | {"dropout": values.get("conv_dropout", 0.0)}
        counts = {name: cast("tuple[int, ...]", values.get(name, ())) for name in _COUNTS}
        return Config.model_validate(
            {
                "network": {
                    **of(Network),
                    "blocks": [block | {"filters": count} for count in counts["filters"]],
                    "layers": [of(DenseLayer) | {"units": count} for count in counts["units"]],
                },
                "optimization": of(Optimization),
                "regularization": of(Regularization),
                "augmentation": of(Augmentation),
                "training": of(Training),
            }
        )

    def division(self, case: Values) -> Division:
        return cast("Division", case.get("division", "search"))


_COUNTS = ("filters", "units")


def grid(**axes: tuple[Cell, ...]) -> tuple[Values, ...]:
    """Every combination of the values."""
    return tuple(dict(zip(axes, values, strict=True)) for values in product(*axes.values()))


_ADAM: Values = {"optimizer": "adam", "learning_rate": 1e-3}
_DENSE: Values = {**_ADAM, "units": (128,), "batch_size": 128, "epochs": 10}
"""A dense network on images: the cheapest that is worth looking at."""
_CONVOLUTIONAL: Values = {
    **_ADAM,
    "filters": (16, 16),
    "padding": "same",
    "units": (64,),
    "batch_size": 128,
    "epochs": 4,
}
_TABLE: Values = {**_ADAM, "units": (128, 128), "batch_size": 32, "epochs": 60}
"""Far too wide for 6,400 customers, so that it has something to be kept from."""

_DECADES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_OPTIMIZERS: tuple[Values, ...] = (
    {"optimizer": "sgd"},
    {"optimizer": "sgd", "momentum": 0.9},
    {"optimizer": "rmsprop"},
    {"optimizer": "adam"},
    {"optimizer": "adamw"},
    {"optimizer": "nadam"},
)
_INITIALIZERS = ("random_uniform", "glorot_uniform", "glorot_normal", "he_uniform", "he_normal")

SWEEPS: dict[str, Sweep] = {
    "learning_rate": Sweep("fashion", _DENSE, grid(learning_rate=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1))),
    # Both by factors of four: on a diagonal the step for each row is the same.
    "batch_size": Sweep(
        "fashion",
        {**_DENSE, "optimizer": "sgd"},
        grid(batch_size=(16, 64, 256, 1024), learning_rate=(1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)),
        columns="learning_rate",
    ),
    "optimizer": Sweep(
        "mnist",
        {**_DENSE, "epochs": 5},
        tuple({**own, "learning_rate": rate} for own in _OPTIMIZERS for rate in _DECADES),
        columns="learning_rate",
    ),
    "schedule": Sweep(
        "fashion",
        _DENSE,
        tuple(
            {**how, "learning_rate": rate}
            for how in (
                {"schedule": "constant"},
                {"final_decay": 0.25},
                {"schedule": "cosine"},
                {"schedule": "one_cycle"},
                {"weight_averaging": 0.99},
                {"weight_averaging": 0.999},
            )
            for rate in (1e-3, 1e-2)
        ),
        columns="learning_rate",
    ),
    "xor": Sweep(
        "xor",
        {"optimizer": "adam", "learning_rate": 0.1, "batch_size": 1, "epochs": 100},
        grid(units=((), (2,), (4,), (8,)), activation=("relu", "tanh")),
        seeds=10,
        columns="activation",
    ),
    "units": Sweep(
        "fashion",
        _DENSE,
        grid(
            units=((), *[(width,) * depth for depth in (1, 2, 3) for width in (16, 64, 256)]),
        ),
    ),
    "activation": Sweep(
        "fashion",
        {**_DENSE, "units": (64,) * 4},
        grid(activation=("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid")),
    ),
    "initializer": Sweep(
        "mnist",
        {**_DENSE, "units": (64,) * 8, "optimizer": "sgd", "learning_rate": 0.05, "epochs": 8},
        grid(activation=("tanh", "relu"), initializer=_INITIALIZERS),
        columns="activation",
    ),
    "filters": Sweep(
        "fashion",
        _CONVOLUTIONAL,
        grid(filters=tuple((count,) * blocks for blocks in (1, 2, 3) for count in (8, 16, 32))),
    ),
    "convolution": Sweep(
        "fashion",
        _CONVOLUTIONAL,
        (
            {},
            {"kernel_size": 5},
            {"padding": "valid"},
            {"pooling": "average"},
            {"convolutions": 2},
            {"convolutions": 2, "residual": True},
            {"head": "average"},
        ),
    ),
    "batch_norm": Sweep(
        "fashion",
        {**_CONVOLUTIONAL, "epochs": 3},
        grid(batch_norm=("none", "before"), learning_rate=(3e-4, 3e-3, 3e-2)),
        columns="learning_rate",
    ),
    "regularization": Sweep(
        "churn",
        _TABLE,
        (
            {},
            *grid(dropout=(0.2, 0.4, 0.6, 0.8)),
            *grid(l2=(1e-5, 1e-4, 1e-3, 1e-2, 1e-1)),
            *grid(l1=(1e-5, 1e-4, 1e-3, 1e-2)),
        ),
        seeds=5,
    ),
    "regularization_images": Sweep(
        "fashion",
        {**_DENSE, "units": (512,), "epochs": 20},
        (
            {},
            *grid(dropout=(0.2, 0.4, 0.6)),
            *grid(l2=(1e-5, 1e-4, 1e-3)),
            *grid(label_smoothing=(0.05, 0.1, 0.2)),
        ),
    ),
    "augmentation": Sweep(
        "fashion",
        {**_CONVOLUTIONAL, "epochs": 12},
        (
            {},
            {"flip": True},
            {"shift": 0.1},
            {"erasing": 0.5},
            {"flip": True, "shift": 0.1, "erasing": 0.5},
        ),
    ),
    "early_stopping": Sweep("churn", {**_TABLE, "epochs": 150}, ({},), seeds=5),
    "columns": Sweep(
        "churn",
        {**_TABLE, "units": (32,)},
        (
            {},
            {"embedding": 8},
            {"embedding": 32},
            {"class_weight": "balanced"},
        ),
        seeds=5,
    ),
    "luck": Sweep(
        "churn",
        {**_TABLE, "units": (32,)},
        grid(division=("search", 0, 1, 2, 3, 4)),
        seeds=10,
    ),
}
"""By the name of their picture."""
