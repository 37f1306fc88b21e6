"""Starting points: configs of this project's own that a search tries first.

The presets are what the tutorials did; these are what experience with the same rows suggests
today. They were chosen on training and validation rows alone, by hand: docs/decisions.md says how.
"""

from spaces.config import (
    Augmentation,
    Config,
    ConvBlock,
    DenseLayer,
    Network,
    Optimization,
    Regularization,
    Training,
)
from spaces.presets import presets_of

# A search trains as long as its settings say.
_TRAINING = Training(epochs=1)
_FILTERS = (32, 64, 128)
_AVERAGED = Regularization(weight_averaging=0.999)


def _light(augmentation: Augmentation) -> Config:
    """Two narrow convolutions: a good score within a minute, and a bar for all that is dearer."""
    blocks = [ConvBlock(filters=n, padding="same", batch_norm="before") for n in (16, 32)]
    network = Network(
        blocks=tuple(blocks),
        layers=(DenseLayer(units=128, batch_norm="before", dropout=0.2),),
        initializer="he_normal",
    )
    return _image_config(network, augmentation, learning_rate=0.005)


def _plain(augmentation: Augmentation) -> Config:
    """Three single convolutions and a wide dense layer: quick to train."""
    blocks = [ConvBlock(filters=n, padding="same", batch_norm="before") for n in _FILTERS]
    network = Network(
        blocks=tuple(blocks),
        layers=(DenseLayer(units=256, batch_norm="before", dropout=0.3),),
        initializer="he_normal",
    )
    return _image_config(network, augmentation)


def _residual(augmentation: Augmentation) -> Config:
    """Three residual blocks of two convolutions and nothing dense: three times as slow, better."""
    blocks = [
        ConvBlock(filters=n, convolutions=2, residual=True, padding="same", batch_norm="before")
        for n in _FILTERS
    ]
    network = Network(blocks=tuple(blocks), head="average", initializer="he_normal")
    return _image_config(network, augmentation)


def _image_config(
    network: Network, augmentation: Augmentation, learning_rate: float = 0.003
) -> Config:
    return Config(
        network=network,
        optimization=Optimization(
            optimizer="adamw",
            learning_rate=learning_rate,
            schedule="one_cycle",
            batch_size=128,
            beta_2=0.99,
            weight_decay=0.05,
        ),
        regularization=_AVERAGED,
        augmentation=augmentation,
        training=_TRAINING,
    )


_CLOTHES = Augmentation(shift=0.08, flip=True, erasing=0.3)
_DIGITS = Augmentation(shift=0.08, rotation=8, zoom=0.08)

STARTS: dict[str, dict[str, Config]] = {
    "fashion": {
        "start_light": _light(Augmentation(flip=True)),
        "start_residual": _residual(_CLOTHES),
        "start_plain": _plain(_CLOTHES),
    },
    "mnist": {
        "start_light": _light(_DIGITS),
        "start_residual": _residual(_DIGITS),
        "start_plain": _plain(_DIGITS),
    },
    "churn": {
        "start_embedding": Config(
            network=Network(embedding=16, layers=(DenseLayer(units=64, dropout=0.2),)),
            optimization=Optimization(
                optimizer="adamw",
                learning_rate=0.01,
                schedule="one_cycle",
                batch_size=64,
                weight_decay=0.01,
            ),
            training=_TRAINING,
        )
    },
}
"""By task and name, in the order of their turn; every one lies in the space of its task.

First a score to go by, then what takes longest, while other workers do the rest."""

DEFAULT = "default"
"""The name that a space's default config gets, which a search tries where it knows no other."""


def known_configs(task: str) -> dict[str, Config]:
    """By name, what a search of `task` tries before it draws: its starts, then the presets."""
    return STARTS.get(task, {}) | {preset.name: preset.config for preset in presets_of(task)}
