"""train.py changes images as the search does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from spaces.config import (
    Augmentation,
)
from tests.configs import configured
from tests.search.export.scripts import module

AUGMENTATIONS: dict[str, Mapping[str, Any]] = {
    "shift": {"shift": 0.2},
    "rotation": {"rotation": 40.0},
    "zoom": {"zoom": 0.4},
    "shear": {"shear": 30.0},
    "flip": {"flip": True},
    "erasing": {"erasing": 0.7},
    "turned and sheared": {"rotation": 30.0, "shear": 20.0},
    "scaled and sheared": {"zoom": 0.3, "shear": 30.0},
    "all": {
        "shift": 0.1, "rotation": 20.0, "zoom": 0.2, "shear": 10.0, "flip": True, "erasing": 0.5,
    },
}  # fmt: skip


@pytest.mark.parametrize("limits", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())
def test_images_are_changed_as_in_the_search(limits: Mapping[str, Any]) -> None:
    """Each pixel has the same mean and the same mean square over many changed copies."""
    import keras
    import tensorflow as tf

    from pipelines.augmentation import augment

    keras.utils.set_random_seed(0)
    augmentation = Augmentation.model_validate(limits)
    count, side = 6000, 8
    image = np.random.default_rng(3).uniform(0, 255, (side, side, 1)).astype(np.float32)
    images = tf.constant(np.broadcast_to(image, (count, side, side, 1)))
    theirs = module("digits", configured(augmentation=augmentation)).augment(images).numpy()
    ours = augment(images, augmentation, tf.constant([1, 2])).numpy()
    for power in (1, 2):
        first, second = ours**power, theirs**power
        noise = np.sqrt((first.var(axis=0) + second.var(axis=0)) / count) + 1e-3
        apart = np.abs(first.mean(axis=0) - second.mean(axis=0)) / noise
        assert apart.max() < 5.0
    assert ours.std(axis=0).max() > 1.0
