"""Augmentation, on real digits and photos and on single points whose way can be computed."""

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_image

from pipelines.augmentation import ERASED_AREA, augment
from pipelines.splits import SearchData
from spaces.config import Augmentation

pytestmark = pytest.mark.usefixtures("how")

SIDE, CENTRE = 29, 14
COUNT = 400
EVERYTHING = Augmentation(shift=0.1, rotation=20, zoom=0.2, shear=10, flip=True, erasing=0.5)
EACH = [
    Augmentation(shift=0.2),
    Augmentation(rotation=30),
    Augmentation(zoom=0.3),
    Augmentation(shear=20),
    Augmentation(flip=True),
    Augmentation(erasing=0.8),
    EVERYTHING,
]
each = pytest.mark.parametrize("augmentation", EACH, ids=str)


def augmented(images: np.ndarray, augmentation: Augmentation, seed: int = 1) -> np.ndarray:
    result: np.ndarray = augment(tf.constant(images), augmentation, tf.constant([seed, 0])).numpy()
    return result


def spot(x: int, y: int) -> np.ndarray:
    """COUNT black images with one white pixel, so far right of and below the centre."""
    images = np.zeros((COUNT, SIDE, SIDE, 1), np.float32)
    images[:, CENTRE + y, CENTRE + x] = 255
    return images


def centres_of_mass(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right of and below the centre, per image."""
    mass = images[..., 0] / images[..., 0].sum(axis=(1, 2), keepdims=True)
    offsets = np.arange(SIDE) - CENTRE
    return (mass.sum(axis=1) * offsets).sum(axis=1), (mass.sum(axis=2) * offsets).sum(axis=1)


def largest_draws(shape: Any, *_: Any) -> tf.Tensor:
    """Instead of random ones: as far to the right and up as may be, and no shear."""
    draws = np.ones(shape, np.float32)
    draws[1] = 0
    draws[5] = -1
    return tf.constant(draws)


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """COUNT pieces of a photo of a temple, in colours."""
    photo = load_sample_image("china.jpg").astype(np.float32)
    places = np.random.default_rng(0).integers(0, np.array(photo.shape[:2]) - SIDE, (COUNT, 2))
    return np.stack([photo[y : y + SIDE, x : x + SIDE] for y, x in places])


@pytest.fixture
def images(digits: SearchData) -> np.ndarray:
    return digits.train.inputs[:COUNT].astype(np.float32)


@each
def test_shape_type_and_range_stay(augmentation: Augmentation, images: np.ndarray) -> None:
    changed = augmented(images, augmentation)
    assert changed.shape == images.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert not np.array_equal(changed, images)


@each
def test_the_seed_decides(augmentation: Augmentation, images: np.ndarray) -> None:
    first = augmented(images, augmentation)
    assert np.array_equal(first, augmented(images, augmentation))
    assert not np.array_equal(first, augmented(images, augmentation, seed=2))


@each
def test_each_image_gets_its_own_change(augmentation: Augmentation, images: np.ndarray) -> None:
    same = np.broadcast_to(images[:1], images.shape)
    assert len(np.unique(augmented(same, augmentation), axis=0)) > 1


def test_nothing_asked_for_changes_nothing(images: np.ndarray) -> None:
    assert np.array_equal(augmented(images, Augmentation()), images)


def test_a_shift_moves_up_to_its_limit_in_both_directions() -> None:
    limit = 0.2 * SIDE
    for offset in centres_of_mass(augmented(spot(0, 0), Augmentation(shift=0.2))):
        assert np.abs(offset).max() <= limit + 1e-3
        assert offset.max() > 0.9 * limit
        assert offset.min() < -0.9 * limit


def test_a_rotation_keeps_the_centre_and_turns_up_to_its_limit() -> None:
    rotation = Augmentation(rotation=30)
    assert np.allclose(centres_of_mass(augmented(spot(0, 0), rotation)), 0, atol=1e-3)
    right, below = centres_of_mass(augmented(spot(10, 0), rotation))
    degrees = np.degrees(np.arctan2(below, right))
    assert np.allclose(np.hypot(right, below), 10, atol=0.6)  # a pixel is no point
    assert 27 < degrees.max() <= 31
    assert -31 <= degrees.min() < -27


def test_a_zoom_stretches_both_axes_by_up_to_its_limit() -> None:
    right, below = centres_of_mass(augmented(spot(8, 4), Augmentation(zoom=0.25)))
    for offset, at_rest in ((right, 8), (below, 4)):
        assert offset.max() <= at_rest / 0.75 + 0.5
        assert offset.min() >= at_rest / 1.25 - 0.5
        assert offset.max() > at_rest * 1.2
        assert offset.min() < at_rest / 1.15


def test_a_shear_moves_rows_sideways_the_more_the_farther_from_the_centre() -> None:
    right, below = centres_of_mass(augmented(spot(0, 10), Augmentation(shear=20)))
    limit = 10 * math.tan(math.radians(20))
    assert np.allclose(below, 10, atol=1e-3)
    assert 0.9 * limit < np.abs(right).max() <= limit + 1e-3


def test_the_centre_moves_no_farther_than_the_shift_whatever_else_is_done() -> None:
    together = Augmentation(shift=0.1, rotation=40, zoom=0.4, shear=20)
    for offset in centres_of_mass(augmented(spot(0, 0), together)):
        assert np.abs(offset).max() <= 0.1 * SIDE + 0.5


def test_turn_zoom_and_shift_together_bring_a_point_where_arithmetic_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tf.random, "stateless_uniform", largest_draws)
    together = Augmentation(shift=4 / SIDE, rotation=90, zoom=0.5, shear=10)
    right, below = centres_of_mass(augmented(spot(9, 3), together)[:1])
    # Shrunk to 2/3, turned a quarter to the left, then moved 4 pixels right and up.
    assert right[0] == pytest.approx(2 + 4, abs=0.35)
    assert below[0] == pytest.approx(-6 - 4, abs=0.35)


@pytest.mark.parametrize(
    "together",
    [
        Augmentation(shift=0.1),
        Augmentation(zoom=0.3),
        Augmentation(shift=0.3, zoom=0.2),
        Augmentation(shift=0.1, flip=True),
    ],
    ids=str,
)
def test_without_rotation_pixels_are_those_of_the_general_transform(
    together: Augmentation, photos: np.ndarray, images: np.ndarray
) -> None:
    for batch in (photos, images):
        quick = augmented(batch, together)
        # So small a rotation turns nothing, but it cannot be had by rows and columns apart.
        general = augmented(batch, together.model_copy(update={"rotation": 1e-30}))
        np.testing.assert_allclose(quick, general, rtol=0, atol=2e-3)
        assert not np.array_equal(quick, general)  # they were indeed computed in two ways


@pytest.mark.parametrize("limits", [{"shift": 0.2}, {"zoom": 0.3}, {"rotation": 20, "shift": 0.1}])
def test_a_flip_mirrors_what_else_was_done(limits: dict[str, float], photos: np.ndarray) -> None:
    flipped_alone = augmented(photos, Augmentation(flip=True))
    mirrored = (flipped_alone != photos).any(axis=(1, 2, 3))
    moved = augmented(photos, Augmentation(**limits))
    moved[mirrored] = moved[mirrored, :, ::-1]
    both = augmented(photos, Augmentation(flip=True, **limits))
    np.testing.assert_allclose(both, moved, rtol=0, atol=5e-3)


def test_a_shift_by_whole_pixels_copies_them_and_leaves_black_behind(
    monkeypatch: pytest.MonkeyPatch, photos: np.ndarray
) -> None:
    monkeypatch.setattr(tf.random, "stateless_uniform", largest_draws)
    square = photos[:, :28, :28]
    expected = np.zeros_like(square)
    expected[:, :-7, 7:] = square[:, 7:, :-7]
    assert np.array_equal(augmented(square, Augmentation(shift=7 / 28)), expected)


@pytest.mark.parametrize("rotation", [0, 20])
def test_all_channels_of_an_image_are_changed_alike(rotation: float, photos: np.ndarray) -> None:
    everything = EVERYTHING.model_copy(update={"rotation": rotation, "shear": 0})
    together = augmented(photos, everything)
    for channel in range(3):
        alone = augmented(photos[..., channel : channel + 1], everything)
        np.testing.assert_allclose(together[..., channel], alone[..., 0], rtol=0, atol=1e-3)


def test_a_flip_mirrors_half_of_the_images_exactly(images: np.ndarray) -> None:
    changed = augmented(images, Augmentation(flip=True))
    mirrored = (changed == images[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (changed == images).all(axis=(1, 2, 3))
    assert (mirrored | same).all()
    assert 0.4 < mirrored.mean() < 0.6


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_erasing_blanks_a_rectangle_in_its_share_of_the_images(probability: float) -> None:
    white = np.full((COUNT, 28, 28, 1), 255, np.float32)
    changed = augmented(white, Augmentation(erasing=probability))[..., 0]
    assert np.isin(changed, (0, 255)).all()
    blank = changed == 0
    assert blank.any(axis=(1, 2)).mean() == pytest.approx(probability, abs=0.06)
    rectangles = blank.any(axis=2)[:, :, None] & blank.any(axis=1)[:, None, :]
    assert np.array_equal(blank, rectangles)
    areas = blank.mean(axis=(1, 2))[blank.any(axis=(1, 2))]
    edge = 2 * 28 * math.sqrt(0.75) / 28**2  # a side may come out a pixel longer or shorter
    assert areas.min() >= ERASED_AREA[0] - edge
    assert areas.max() <= ERASED_AREA[1] + edge
    assert areas.mean() == pytest.approx(sum(ERASED_AREA) / 2, abs=0.015)
    rows, columns = blank.any(axis=2).mean(axis=0), blank.any(axis=1).mean(axis=0)
    for share in (rows, columns):  # of the images in which it is touched
        assert share[0] > 0  # no edge is safe
        assert share[0] == pytest.approx(share[-1], abs=0.08)
