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
_IMAGE_STEPS = Optimization(
    optimizer="adamw",
    learning_rate=0.003,
    schedule="one_cycle",
    batch_size=128,
    beta_2=0.99,
    weight_decay=0.05,
)
_AVERAGED = Regularization(weight_averaging=0.999)


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


def _image_config(network: Network, augmentation: Augmentation) -> Config:
    return Config(
        network=network,
        optimization=_IMAGE_STEPS,
        regularization=_AVERAGED,
        augmentation=augmentation,
        training=_TRAINING,
    )


_CLOTHES = Augmentation(shift=0.08, flip=True, erasing=0.3)
_DIGITS = Augmentation(shift=0.08, rotation=8, zoom=0.08)

STARTS: dict[str, dict[str, Config]] = {
    "fashion": {"start_plain": _plain(_CLOTHES), "start_residual": _residual(_CLOTHES)},
    "mnist": {"start_plain": _plain(_DIGITS), "start_residual": _residual(_DIGITS)},
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
"""By task and name; every one lies in the space of its task."""


def known_configs(task: str) -> dict[str, Config]:
    """By name, what a search of `task` tries before it draws: its starts, then the presets."""
    return STARTS.get(task, {}) | {preset.name: preset.config for preset in presets_of(task)}
