"""Pictures of all kinds become raw pixels as the image tasks have them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.photos import read_photo
from pipelines.tasks import TASKS
from spaces.errors import InputError

DIGIT = TASKS["digits"].load(None).train.inputs[0, ..., 0]


def saved(folder: Path, picture: Image.Image | np.ndarray, name: str = "a.png") -> Path:
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    picture.save(folder / name)
    return folder / name


def blown_up(pixels: np.ndarray, times: int) -> np.ndarray:
    return np.kron(pixels, np.ones((times, times), np.uint8))


def test_raw_pixels_stay_as_they_are(tmp_path: Path) -> None:
    pixels, done = read_photo(saved(tmp_path, DIGIT), 8)
    np.testing.assert_array_equal(pixels, DIGIT)
    assert done == []


def test_a_larger_picture_is_averaged_by_area(tmp_path: Path) -> None:
    pixels, done = read_photo(saved(tmp_path, blown_up(DIGIT, 5)), 8)
    np.testing.assert_array_equal(pixels, DIGIT)
    assert done == ["resized from 40 x 40 to 8 x 8 pixels"]


def test_a_smaller_picture_is_enlarged(tmp_path: Path) -> None:
    pixels, done = read_photo(saved(tmp_path, DIGIT), 28)
    assert pixels.shape == (28, 28)
    assert done == ["resized from 8 x 8 to 28 x 28 pixels"]


def test_dark_on_light_is_inverted(tmp_path: Path) -> None:
    pixels, done = read_photo(saved(tmp_path, 255 - DIGIT), 8)
    np.testing.assert_array_equal(pixels, DIGIT)
    assert done == ["inverted, as its border is brighter than its middle"]


@pytest.mark.parametrize("margins", [((0, 0), (16, 16)), ((16, 16), (0, 0))])
def test_a_picture_that_is_no_square_is_padded(
    tmp_path: Path, margins: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    long = np.pad(blown_up(255 - DIGIT, 4), margins, constant_values=255)
    pixels, done = read_photo(saved(tmp_path, long), 8)
    assert done[0] == "padded to a square with the gray of its border"
    height, width = long.shape
    assert done[1] == f"resized from {width} x {height} to 8 x 8 pixels"
    in_the_middle = np.pad(blown_up(DIGIT, 4), 16)
    expected = in_the_middle.reshape(8, 8, 8, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(pixels, expected, atol=1)


def test_colours_become_gray(tmp_path: Path) -> None:
    red = np.stack([DIGIT, DIGIT // 2, DIGIT // 4], axis=-1)
    pixels, done = read_photo(saved(tmp_path, red), 8)
    np.testing.assert_array_equal(pixels, np.asarray(Image.fromarray(red).convert("L")))
    assert done == ["turned from colours to gray"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_gray_in_another_coding_is_no_change(tmp_path: Path, mode: str) -> None:
    black_and_white = np.where(DIGIT > 127, 255, 0).astype(np.uint8)
    picture = Image.fromarray(black_and_white).convert(mode)
    pixels, done = read_photo(saved(tmp_path, picture), 8)
    np.testing.assert_array_equal(pixels, black_and_white)
    assert done == []


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 3] = DIGIT  # black, and opaque where the digit is
    pixels, done = read_photo(saved(tmp_path, ink), 8)
    np.testing.assert_allclose(pixels, DIGIT, atol=1)
    assert done[0] == "transparent parts made white"


def test_a_jpeg_is_turned_as_its_camera_was(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    upright = blown_up(DIGIT, 8)
    turned = Image.fromarray(np.rot90(upright))
    turned.save(tmp_path / "a.jpg", exif=exif, quality=95)
    pixels, _ = read_photo(tmp_path / "a.jpg", 8)
    np.testing.assert_allclose(pixels.astype(int), DIGIT.astype(int), atol=12)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "cannot be read as a PNG or JPEG picture"),
        (b"a,b\n1,2\n", "cannot be read as a PNG or JPEG picture"),
        ("half", "cannot be read as a PNG or JPEG picture"),
        ("gif", "cannot be read as a PNG or JPEG picture"),
        ("16 bits", "has pixels of the kind 'I;16': save it with 8 bits a colour"),
        ("blank", "is all of one gray"),
        (None, "There is no file"),
    ],
)
def test_what_is_no_picture_is_refused(
    tmp_path: Path, content: bytes | str | None, problem: str
) -> None:
    path = tmp_path / "a.png"
    noise = np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "half":
        whole = saved(tmp_path, noise).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif content == "gif":
        Image.fromarray(noise).save(path, format="GIF")
    elif content == "16 bits":
        saved(tmp_path, noise.astype(np.uint16) * 257)
    elif content == "blank":
        saved(tmp_path, np.full((8, 8), 77, np.uint8))
    with pytest.raises(InputError, match=problem):
        read_photo(path, 8)
