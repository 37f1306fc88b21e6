"""A config in the sentences that a person would say."""

from collections.abc import Sequence

from spaces.config import Augmentation, Config, ConvBlock, DenseLayer, Network

_OPTIMIZERS = {
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
    "nadam": "Nadam",
}
_POOLINGS = {"max": "max", "average": "average", "none": "no"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def sentences(config: Config) -> list[str]:
    """What is built, how it is trained, what keeps it general, and for how long."""
    return [
        _network(config.network),
        _optimization(config),
        _regularization(config),
        *_augmentation(config.augmentation),
        _length(config),
    ]


def _network(network: Network) -> str:
    if network.blocks:
        behind = (
            "Each filter is then averaged"
            if network.head == "average"
            else "All pixels are then handed on"
        )
        text = f"A convolutional network of {_blocks(network.blocks)}. {behind}"
        text += f" to {_dense(network)}." if network.layers else " to the output."
    elif network.embedding:
        embedding = f"each column first has {network.embedding} units to itself"
        text = f"A dense network in which {embedding}"
        text += f", then come {_dense(network)}." if network.layers else "."
    elif network.layers:
        text = f"A dense network of {_dense(network)}."
    else:
        return "No hidden layer: the output is a straight function of the inputs."
    start = network.initializer.replace("_", " ")
    return f"{text} Activation {network.activation}, weights drawn as {start}."


def _blocks(blocks: Sequence[ConvBlock]) -> str:
    first, count = blocks[0], len(blocks)
    noun = "convolution" if first.convolutions == 1 else "convolutions"
    size = f"{first.kernel_size}x{first.kernel_size}"
    each = f"{_number(first.convolutions)} {size} {noun}"
    of = f"{_number(count)} blocks of {each} each" if count > 1 else f"one block of {each}"
    filters = f"{_joined([str(block.filters) for block in blocks])} filters"
    words = [
        filters,
        f"'{_each([block.padding for block in blocks])}' padding",
        *(["their input added to their output"] if first.residual else []),
        f"{_each([_POOLINGS[block.pooling] for block in blocks])} pooling",
        *_norm_and_dropout(blocks, "block"),
    ]
    return f"{of}, with {_joined(words)}"


def _dense(network: Network) -> str:
    layers = network.layers
    units = _joined([str(layer.units) for layer in layers])
    noun = "dense layer" if len(layers) == 1 else "dense layers"
    text = f"{_number(len(layers))} {noun} of {units} units"
    extras = _norm_and_dropout(layers, "layer")
    return f"{text} with {_joined(extras)}" if extras else text


def _norm_and_dropout(parts: Sequence[ConvBlock | DenseLayer], noun: str) -> list[str]:
    words = []
    normed = [n for n, part in enumerate(parts, 1) if part.batch_norm != "none"]
    if normed:
        place = parts[normed[0] - 1].batch_norm
        where = (
            "" if len(normed) == len(parts) else f" of {noun} {_joined(list(map(str, normed)))}"
        )
        words.append(f"batch normalization {place} the activation{where}")
    if any(part.dropout for part in parts):
        words.append(f"dropout {_each([_plain(part.dropout) for part in parts])}")
    return words


def _optimization(config: Config) -> str:
    own = config.optimization
    extras = [
        f"{name} {_plain(value)}"
        for name in ("momentum", "rho", "beta_1", "beta_2")
        if (value := getattr(own, name)) is not None and not (name == "momentum" and value == 0)
    ]
    if own.nesterov and own.momentum:
        extras.append("Nesterov's look ahead")
    if own.weight_decay:
        extras.append(f"weight decay {_plain(own.weight_decay)}")
    inside = f" ({', '.join(extras)})" if extras else ""
    rate = _plain(own.learning_rate)
    return (
        f"{_OPTIMIZERS[own.optimizer]}{inside} moves the weights at a learning rate of {rate}"
        f" that {_schedule(config)}, in batches of {own.batch_size}."
    )


def _schedule(config: Config) -> str:
    if config.optimization.schedule == "cosine":
        return "falls along a cosine"
    if config.optimization.schedule == "one_cycle":
        return "warms up, then falls (one cycle)"
    if config.final_decay:
        return f"stays until it falls to zero over the last {config.final_decay:.0%} of the epochs"
    return "never changes"


def _regularization(config: Config) -> str:
    own = config.regularization
    words = [
        f"{name} {_plain(value)}"
        for name, value in (
            ("L1", own.l1),
            ("L2", own.l2),
            ("label smoothing", own.label_smoothing),
            ("weight averaging", own.weight_averaging),
        )
        if value
    ]
    if own.class_weight == "balanced":
        words.append("rare classes counting more")
    if not words:
        return "No penalty on the weights, no label smoothing, no weight averaging."
    return f"Held back by {_joined(words)}."


def _augmentation(own: Augmentation) -> list[str]:
    words = []
    if own.shift:
        words.append(f"shifted by up to {own.shift:.3g} of the side")
    if own.rotation:
        words.append(f"turned by up to {own.rotation:g} degrees")
    if own.zoom:
        words.append(f"scaled by up to {own.zoom:.3g}")
    if own.shear:
        words.append(f"sheared by up to {own.shear:g} degrees")
    if own.flip:
        words.append("mirrored half of the time")
    if own.erasing:
        words.append(f"partly blanked with probability {own.erasing:.3g}")
    return [f"Training images are {_joined(words)}."] if words else []


def _length(config: Config) -> str:
    training = config.training
    epochs = "1 epoch" if training.epochs == 1 else f"{training.epochs} epochs"
    if not training.patience:
        return f"{epochs}, without early stopping."
    return f"At most {epochs}; it stops after {training.patience} without a better score."


def _each(values: Sequence[str]) -> str:
    """One value where all are the same, else all of them."""
    return values[0] if len(set(values)) == 1 else "/".join(values)


def _plain(value: float) -> str:
    return f"{value:.3g}"


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _joined(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
