"""Space: what may vary for a task, as flat names with a domain each."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product

from pydantic import ValidationError

from spaces.config import (
    OPTIMIZER_DEFAULTS,
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
from spaces.domains import Choice, Domain, Suggester, Value, narrow
from spaces.errors import InputError, unknown

_BLOCK = {
    "kernel_size": "kernel_size",
    "convolutions": "convolutions",
    "residual": "residual",
    "padding": "padding",
    "pooling": "pooling",
    "conv_dropout": "dropout",
    "batch_norm": "batch_norm",
}
_LAYER = {"dropout": "dropout", "batch_norm": "batch_norm"}
_NETWORK = ("head", "embedding", "activation", "initializer")
_ONLY_OF = {"head": "cnn", "embedding": "mlp"}
"""The family that alone has a use for a parameter of the network."""
_USUAL = {"optimizer": "adam"}
"""What is usual where `Config` has no default."""
_OPTIMIZER_OWN = frozenset(name for own in OPTIMIZER_DEFAULTS.values() for name in own)
_FLAT_PARTS: dict[str, type[Part]] = {
    "optimization": Optimization,
    "regularization": Regularization,
    "augmentation": Augmentation,
}


@dataclass(frozen=True)
class Space:
    """The domains of a task's hyperparameters.

    A name that is not listed keeps its default in `Config`. Every name is suggested in every
    trial, also where the config has no use for it (`filters_4` of a network with two blocks):
    a fixed set of dimensions lets the sampler model them together.

    Attributes:
        task: The task that the space belongs to.
        domains: By parameter name.
        image_side: Pixels of the square input image; None for tables.
    """

    task: str
    domains: Mapping[str, Domain]
    image_side: int | None = None

    def __post_init__(self) -> None:
        known = set(_BLOCK) | set(_LAYER) | set(_NETWORK) | {"family", "blocks", "layers"}
        known |= {name for part in _FLAT_PARTS.values() for name in part.model_fields}
        known |= {f"filters_{i}" for i in range(1, _most(self.domains, "blocks") + 1)}
        known |= {f"units_{i}" for i in range(1, _most(self.domains, "layers") + 1)}
        for name in self.domains:
            if name not in known:
                raise unknown("hyperparameter", name, known)
        for name in sorted(self._needed() - set(self.domains)):
            raise InputError(f"The space of {self.task} lacks '{name}': give it a domain.")
        for name, domain in self.domains.items():
            for value in _edges(domain):
                if refusal := _refusal(name, value):
                    raise InputError(f"The space of {self.task}: {name} {refusal}, got {value}.")

    def sample(self, trial: Suggester, training: Training) -> Config:
        """One config, drawn by `trial`; how long to train is not part of a space."""
        values = {name: domain.suggest(trial, name) for name, domain in self.domains.items()}
        return self._build(values, training)

    def default(self, training: Training) -> Config:
        """The plainest config: Keras' defaults where they lie in it, else middles of ranges."""
        values = {name: _default(name, domain) for name, domain in self.domains.items()}
        own = OPTIMIZER_DEFAULTS[str(values["optimizer"])]
        values |= {n: v for n, v in own.items() if n in values and self.domains[n].contains(v)}
        return self._build(values, training)

    def encode(self, config: Config) -> dict[str, Value]:
        """The trial parameters that make `sample` return `config` again, the unused left out.

        Raises:
            InputError: the config does not lie in this space.
        """
        values = flat_values(config)
        used = {name: value for name, value in values.items() if name in self.domains}
        for name, value in used.items():
            if not self.domains[name].contains(value):
                raise InputError(self._outside(name, f"{value} lies outside"))
        if self._build(used, config.training) != config:
            raise InputError(f"The config uses what the space of {self.task} does not vary.")
        return {name: self.domains[name].stored(value) for name, value in used.items()}

    def contains(self, config: Config) -> bool:
        try:
            self.encode(config)
        except InputError:
            return False
        return True

    def narrow(self, overrides: Iterable[str]) -> "Space":
        """The space with `name=low..high`, `name=a,b` or `name=value` applied.

        Raises:
            InputError: an unknown name, a value outside the domain, which shows the range, or one
            that no config would use.
        """
        given = list(overrides)
        for override in self.unused(given):
            raise InputError(
                f"'{override}' would never be used: the other values of --set leave no config"
                f" with a {override.partition('=')[0]}; leave it out, or widen them."
            )
        return self._narrowed(given)

    def unused(self, overrides: Collection[str]) -> list[str]:
        """Those that no config would use, were all of them applied; raises as `narrow`."""
        used = self._narrowed(overrides)._used()
        return [override for override in overrides if override.partition("=")[0] not in used]

    def _narrowed(self, overrides: Collection[str]) -> "Space":
        domains = dict(self.domains)
        for override in overrides:
            name, equals, text = override.partition("=")
            if not equals or not text:
                raise InputError(
                    f"Cannot read '{override}': write name=value, name=low..high or name=a,b,c."
                )
            if name not in domains:
                raise unknown("hyperparameter", name, domains)
            try:
                domains[name] = narrow(domains[name], text)
            except InputError as error:
                raise InputError(self._outside(name, str(error))) from error
        return replace(self, domains=_without_unused(domains))

    def replace(
        self, *, task: str | None = None, image_side: int | None = None, **domains: Domain | None
    ) -> "Space":
        """The space with other domains, also for another task; None takes a hyperparameter out.

        With fewer blocks or layers the filters and units of the missing ones leave by themselves.
        """
        merged = {**self.domains, **domains}
        return Space(
            task=task or self.task,
            domains=_without_unused({k: v for k, v in merged.items() if v is not None}),
            image_side=image_side or self.image_side,
        )

    def fingerprint(self) -> str:
        """Eight hex digits that change with any range, and not with the sentences."""
        content = {
            name: [type(domain).__name__, {**asdict(domain), "about": None}]
            for name, domain in self.domains.items()
        }
        text = json.dumps([self.task, self.image_side, content], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def _outside(self, name: str, problem: str) -> str:
        return f"{name}: {problem.rstrip('.')}. Its range is {self.domains[name].text()}."

    def _needed(self) -> set[str]:
        needed = {"layers", "optimizer", "learning_rate", "batch_size"}
        if "blocks" in self.domains:
            needed |= {"family", "kernel_size", "padding", "pooling"}
        needed |= {f"filters_{i}" for i in range(1, _most(self.domains, "blocks") + 1)}
        return needed | {f"units_{i}" for i in range(1, _most(self.domains, "layers") + 1)}

    def _used(self) -> set[str]:
        """The names that at least one config has a use for."""
        values = {name: _edges(domain)[-1] for name, domain in self.domains.items()}
        for count in ("blocks", "layers"):
            values[count] = _most(self.domains, count)
        families = _edges(self.domains.get("family", Choice("mlp")))
        kinds = product(families, _edges(self.domains["optimizer"]))
        configs = [
            self._build({**values, "family": family, "optimizer": optimizer}, Training(epochs=1))
            for family, optimizer in kinds
        ]
        return {name for config in configs for name in flat_values(config)}

    def _build(self, values: Mapping[str, Value], training: Training) -> Config:
        optimizer = str(values.get("optimizer"))
        family = str(values.get("family", "mlp"))
        foreign = _OPTIMIZER_OWN - set(OPTIMIZER_DEFAULTS.get(optimizer, {}))
        parts = {
            part: {n: values[n] for n in model.model_fields if n in values and n not in foreign}
            for part, model in _FLAT_PARTS.items()
        }
        network = {
            "blocks": self._blocks(values) if family == "cnn" else (),
            "layers": [
                {"units": values[f"units_{i}"], **_renamed(_LAYER, values)}
                for i in range(1, int(values["layers"]) + 1)
            ],
            **{name: values[name] for name in _network_names(family) if name in values},
        }
        return Config.model_validate({"network": network, "training": training, **parts})

    def _blocks(self, values: Mapping[str, Value]) -> tuple[ConvBlock, ...]:
        """The blocks, made to fit the image.

        A residual block keeps its size, so its padding is 'same'. It is so too where the image
        has become smaller than the kernels, and where pooling would leave a single pixel it is
        left out: every draw can be built.
        """
        side = self.image_side or 0
        shared = _renamed(_BLOCK, values)
        if shared.get("residual"):
            shared["padding"] = "same"
        blocks = []
        for i in range(1, int(values["blocks"]) + 1):
            block = ConvBlock.model_validate({"filters": values[f"filters_{i}"], **shared})
            after = side - block.convolutions * (block.kernel_size - 1)
            if block.padding == "valid" and after < 1:
                block = block.model_copy(update={"padding": "same"})
            side = side if block.padding == "same" else after
            if side < 4:
                block = block.model_copy(update={"pooling": "none"})
            side = side if block.pooling == "none" else side // 2
            blocks.append(block)
        return tuple(blocks)


def _most(domains: Mapping[str, Domain], name: str) -> int:
    """The largest number of blocks or layers that can be drawn."""
    return max((int(edge) for edge in _edges(domains[name])), default=0) if name in domains else 0


def _edges(domain: Domain) -> tuple[Value, ...]:
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)


def _without_unused(domains: Mapping[str, Domain]) -> dict[str, Domain]:
    """The domains but for the filters and units of blocks and layers that are never drawn."""
    kept = dict(domains)
    for count, prefix in (("blocks", "filters_"), ("layers", "units_")):
        used = {f"{prefix}{i}" for i in range(1, _most(domains, count) + 1)}
        kept = {n: d for n, d in kept.items() if n in used or not n.startswith(prefix)}
    return kept


def _refusal(name: str, value: Value) -> str:
    """Why no config can have `value`; empty if it can."""
    for model, field in _homes(name):
        try:
            model.model_validate({field: value})
        except ValidationError as error:
            for problem in error.errors():
                if problem["loc"] == (field,):
                    return problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return ""


def _homes(name: str) -> list[tuple[type[Part], str]]:
    """The parts of a config, with their field, that the flat `name` goes to."""
    if name.startswith("filters_"):
        return [(ConvBlock, "filters")]
    if name.startswith("units_"):
        return [(DenseLayer, "units")]
    homes: list[tuple[type[Part], str]] = [
        (part, own[name])
        for part, own in ((ConvBlock, _BLOCK), (DenseLayer, _LAYER))
        if name in own
    ]
    if name in _NETWORK:
        homes.append((Network, name))
    return homes + [(part, name) for part in _FLAT_PARTS.values() if name in part.model_fields]


def _default(name: str, domain: Domain) -> Value:
    known = [model.model_fields[field].default for model, field in _homes(name)]
    known.append(_USUAL.get(name))
    return next((value for value in known if domain.contains(value)), domain.middle())


def _network_names(family: str) -> list[str]:
    return [name for name in _NETWORK if _ONLY_OF.get(name, family) == family]


def _renamed(names: Mapping[str, str], values: Mapping[str, Value]) -> dict[str, Value]:
    """Values of the flat `names` that are there, under their field names."""
    return {field: values[name] for name, field in names.items() if name in values}


def flat_values(config: Config) -> dict[str, Value]:
    """What a space names of `config`; the first block and layer speak for what all share."""
    network = config.network
    values: dict[str, Value] = {"family": network.family, "layers": len(network.layers)}
    if network.layers:
        values |= {name: getattr(network.layers[0], own) for name, own in _LAYER.items()}
        values |= {f"units_{i}": layer.units for i, layer in enumerate(network.layers, 1)}
    if network.blocks:
        values["blocks"] = len(network.blocks)
        values |= {name: getattr(network.blocks[0], own) for name, own in _BLOCK.items()}
        values |= {f"filters_{i}": block.filters for i, block in enumerate(network.blocks, 1)}
    values |= {name: getattr(network, name) for name in _network_names(network.family)}
    for part in _FLAT_PARTS:
        values |= {n: v for n, v in getattr(config, part) if v is not None}
    return values
