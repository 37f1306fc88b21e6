"""Config: one point of a space, the same in code, YAML, JSON and MLflow parameters."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from spaces.domains import Value
from spaces.errors import InputError

Rate = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, le=10)]
BatchNorm = Literal["none", "before", "after"]
"""Batch normalization before the activation, or after it (after the pooling, in a block)."""

OPTIMIZER_DEFAULTS: dict[str, dict[str, float | bool]] = {
    "sgd": {"momentum": 0.0, "nesterov": False},
    "rmsprop": {"rho": 0.9, "momentum": 0.0},
    "adam": {"beta_1": 0.9, "beta_2": 0.999},
    "adamw": {"beta_1": 0.9, "beta_2": 0.999, "weight_decay": 0.004},
    "nadam": {"beta_1": 0.9, "beta_2": 0.999},
}
"""The parameters that each optimizer has beside the learning rate, with Keras' defaults."""


class Part(BaseModel):
    """A frozen piece of a config that refuses unknown fields and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_yes_for_one(cls, value: object, info: ValidationInfo) -> object:
        annotation = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and annotation not in (bool, bool | None):
            raise ValueError("should not be yes or no")
        return value


class ConvBlock(Part):
    """Convolutions, each with its activation, then pooling 2x2, dropout."""

    filters: int = Field(ge=1, le=2048)
    kernel_size: int = Field(default=3, ge=1, le=15)
    convolutions: int = Field(default=1, ge=1, le=8)
    residual: bool = False
    """Add the block's input, its filters fitted, before the last activation (He et al., 2015,
    arxiv.org/abs/1512.03385)."""
    padding: Literal["valid", "same"] = "valid"
    pooling: Literal["max", "average", "none"] = "max"
    batch_norm: BatchNorm = "none"
    dropout: Rate = 0.0

    @model_validator(mode="after")
    def _refuse_another_size(self) -> Self:
        if self.residual and self.padding == "valid":
            message = "residual adds images of one size: it needs padding 'same', got 'valid'"
            raise ValueError(message)
        return self


class DenseLayer(Part):
    """Fully connected layer, activation, dropout."""

    units: int = Field(ge=1, le=16384)
    batch_norm: BatchNorm = "none"
    dropout: Rate = 0.0


class Network(Part):
    """Convolution blocks, then dense layers, then the output layer that the task needs."""

    blocks: tuple[ConvBlock, ...] = ()
    head: Literal["flatten", "average"] = "flatten"
    """What comes out of the blocks: each pixel of each filter, or each filter's mean."""
    embedding: int = Field(default=0, ge=0, le=512)
    """Units that each column of a table gets to itself before the layers; 0 hands it on as it is.

    The linear embedding with ReLU of Gorishniy et al., 2022, arxiv.org/abs/2203.05556."""
    layers: tuple[DenseLayer, ...] = ()
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"] = "relu"
    initializer: Literal[
        "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "random_uniform"
    ] = "glorot_uniform"

    @property
    def family(self) -> str:
        return "cnn" if self.blocks else "mlp"

    @model_validator(mode="after")
    def _refuse_embedded_images(self) -> Self:
        if self.blocks and self.embedding:
            message = f"embedding is for tables, which have no blocks, got {self.embedding}"
            raise ValueError(message)
        return self


class Optimization(Part):
    """How the weights are moved. Parameters that an optimizer does not have stay None."""

    optimizer: Literal["sgd", "rmsprop", "adam", "adamw", "nadam"]
    learning_rate: float = Field(gt=0, le=10)
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    batch_size: int = Field(ge=1, le=8192)
    momentum: Rate | None = None
    nesterov: bool | None = None
    rho: Rate | None = None
    beta_1: Rate | None = None
    beta_2: Rate | None = None
    weight_decay: Strength | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic hands over anything
        if not isinstance(data, dict):
            return data
        own = OPTIMIZER_DEFAULTS.get(str(data.get("optimizer")), {})
        return {**data, **{name: value for name, value in own.items() if data.get(name) is None}}

    @model_validator(mode="after")
    def _refuse_foreign(self) -> Self:
        for name in sorted({name for own in OPTIMIZER_DEFAULTS.values() for name in own}):
            value = getattr(self, name)
            if value is not None and name not in OPTIMIZER_DEFAULTS[self.optimizer]:
                message = f"{self.optimizer} has no {name}, got {value}; remove the field"
                raise ValueError(message)
        return self


class Regularization(Part):
    """What keeps the network from learning its training data by heart."""

    l1: Strength = 0.0
    l2: Strength = 0.0
    label_smoothing: Rate = 0.0
    weight_averaging: Rate = 0.0
    """Decay of the running mean of the weights that is scored and saved; 0 means none."""
    class_weight: Literal["none", "balanced"] = "none"


class Augmentation(Part):
    """Random changes of the training images. Each is an upper limit, drawn per image."""

    shift: Rate = 0.0
    """Share of the width and height."""
    rotation: float = Field(default=0.0, ge=0, le=180)
    """Degrees."""
    zoom: Rate = 0.0
    """Share of the size."""
    shear: float = Field(default=0.0, ge=0, le=80)
    """Degrees."""
    flip: bool = False
    """Left and right, half of the time."""
    erasing: Share = 0.0
    """Probability of blanking a rectangle."""


class Training(Part):
    """How long to train. A search takes it from its settings and never samples it."""

    epochs: int = Field(ge=1, le=100_000)
    patience: int = Field(default=0, ge=0)
    """Stop after so many epochs without a better score, and go back to the best weights; 0 means
    never, and the last weights count."""
    min_delta: float = Field(default=0.0, ge=0)
    """A smaller gain does not count as better."""
    final_decay: Share = 0.0
    """Share of the epochs, at the end, in which a constant learning rate falls to zero."""


class Config(Part):
    """Everything that decides what network comes out, but for the data and the seed."""

    network: Network
    optimization: Optimization
    regularization: Regularization = Regularization()
    augmentation: Augmentation = Augmentation()
    training: Training

    @property
    def plateau_from(self) -> float:
        """Epoch from which a plateau may end the training.

        A schedule that falls all the way makes its best gains late, with small steps.
        """
        return 0.0 if self.optimization.schedule == "constant" else self.training.epochs / 2

    @property
    def final_decay(self) -> float:
        """Share of the epochs in which a constant learning rate falls to zero, at the end."""
        return self.training.final_decay if self.optimization.schedule == "constant" else 0.0

    def without_patience(self) -> Self:
        """The same config, trained through its whole schedule, whose last weights count."""
        training = self.training.model_copy(update={"patience": 0})
        return self.model_copy(update={"training": training})

    def parameters(self, *, images: bool = True) -> dict[str, Value]:
        """The config as flat names, as MLflow's columns show it.

        What is the same in all blocks has one name; else the values are joined: `max-max-none`.

        Args:
            images: Whether it is trained on images: the rows of a table are not augmented.
        """
        blocks, layers = self.network.blocks, self.network.layers
        flat: dict[str, Value] = {"family": self.network.family}
        if blocks:
            flat["blocks"] = len(blocks)
            flat |= {f"filters_{i}": block.filters for i, block in enumerate(blocks, 1)}
            flat |= {
                name: _joined([getattr(block, name) for block in blocks])
                for name in ("kernel_size", "convolutions", "residual", "padding", "pooling")
            }
            flat["head"] = self.network.head
            flat["conv_dropout"] = _joined([block.dropout for block in blocks])
        else:
            flat["embedding"] = self.network.embedding
        flat["layers"] = len(layers)
        flat |= {f"units_{i}": layer.units for i, layer in enumerate(layers, 1)}
        if layers:
            flat["dropout"] = _joined([layer.dropout for layer in layers])
        if blocks or layers:
            norms = [block.batch_norm for block in blocks] + [layer.batch_norm for layer in layers]
            flat["batch_norm"] = _joined(list(norms))
        flat |= {"activation": self.network.activation, "initializer": self.network.initializer}
        augmentation = [self.augmentation] if images else []
        for part in (self.optimization, self.regularization, *augmentation, self.training):
            flat |= {name: value for name, value in part if value is not None}
        return flat

    def title(self) -> str:
        """A few characters to tell configs apart in a list: `cnn 3x32-64-64 d128 adam`.

        `2*3x32-64` has two convolutions a block, and `+` behind it stands for residual ones.
        """
        words = [self.network.family]
        if self.network.blocks:
            first = self.network.blocks[0]
            count = f"{first.convolutions}*" if first.convolutions > 1 else ""
            filters = "-".join(str(block.filters) for block in self.network.blocks)
            words.append(f"{count}{first.kernel_size}x{filters}{'+' * first.residual}")
        if self.network.embedding:
            words.append(f"e{self.network.embedding}")
        if self.network.layers:
            words.append("d" + "-".join(str(layer.units) for layer in self.network.layers))
        return " ".join([*words, self.optimization.optimizer])

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json", exclude_none=True), sort_keys=False)

    def with_epochs(self, epochs: int) -> "Config":
        training = self.training.model_copy(update={"epochs": epochs})
        return self.model_copy(update={"training": training})

    @classmethod
    def from_file(cls, path: Path) -> "Config":
        """Reads a YAML or JSON file.

        Raises:
            InputError: it cannot be read, or `from_yaml` refuses it.
        """
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise InputError(f"Cannot read the config {path}: {reason}.") from error
        return cls.from_yaml(text, source=str(path))

    @classmethod
    def from_yaml(cls, text: str, *, source: str) -> "Config":
        """Reads YAML or JSON; `source` names the file in errors.

        Raises:
            InputError: no YAML, or a field is missing, misspelt, mistyped or out of range.
        """
        try:
            data = yaml.safe_load(text)
        # A date such as 2024-13-45 is a plain ValueError.
        except (yaml.YAMLError, ValueError) as error:
            where = getattr(error, "problem_mark", None)
            line = f" near line {where.line + 1}" if where else ""
            raise InputError(f"{source} is not YAML{line}: mend it or export it anew.") from error
        if not isinstance(data, dict):
            raise InputError(
                f"{source} holds {_short(data)} where a config is needed: it starts with "
                f"'network:', as `hpsearch export` writes it."
            )
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"{source}: {_first_problem(error)}") from error


def _joined(values: list[Value]) -> Value:
    first = values[0]
    return first if all(v == first for v in values) else "-".join(str(v) for v in values)


def _first_problem(error: ValidationError) -> str:
    problems = error.errors()
    first = problems[0]
    where = ".".join(str(step) for step in first["loc"]) or "the config"
    more = f" ({len(problems) - 1} more will be named then.)" if len(problems) > 1 else ""
    if first["type"] == "missing":
        return f"the field {where} is missing: add it.{more}"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), _field_names(), n=1)
        remedy = f"did you mean '{near[0]}'?" if near else "remove it."
        return f"there is no field {where}: {remedy}{more}"
    rule = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if isinstance(first["input"], dict) and first["type"] == "value_error":
        return f"{where}: {rule}.{more}"
    return f"{where} {rule}, got {_short(first['input'])}: change it.{more}"


def _field_names() -> set[str]:
    return {name for part in Part.__subclasses__() for name in part.model_fields}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
