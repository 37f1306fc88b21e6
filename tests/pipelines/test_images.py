"""IDX files, good and bad, and the splits made of them."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from pipelines.images import load_digits, load_fashion, load_mnist, read_idx
from spaces.errors import InputError

IMAGES = "train-images-idx3-ubyte.gz"
LABELS = "train-labels-idx1-ubyte.gz"


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


def write(folder: Path, images: bytes, labels: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IMAGES).write_bytes(gzip.compress(images, 1))
    (folder / LABELS).write_bytes(gzip.compress(labels, 1))


def random_images(n: int, side: int = 28) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, side, side), np.uint8)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """120 images of noise, twelve a class, as both tasks."""
    for task in ("fashion", "mnist"):
        write(tmp_path / task, idx(random_images(120)), idx(np.arange(120) % 10))
    return tmp_path


def test_images_come_raw_and_with_their_own_labels(place: Path) -> None:
    data = load_fashion(place)
    assert data.input_shape == (28, 28, 1)
    assert data.train.inputs.dtype == np.uint8
    original = {image.tobytes(): row % 10 for row, image in enumerate(random_images(120))}
    for split, n in ((data.train, 100), (data.validation, 20)):
        assert len(split.inputs) == n
        labels = [original.pop(image.tobytes()) for image in split.inputs]
        assert labels == split.labels.tolist()
    assert original == {}


def test_both_image_tasks_load_without_their_test_files(place: Path) -> None:
    assert not list(place.rglob("t10k*"))
    assert load_mnist(place).class_names == tuple("0123456789")
    assert load_fashion(place).class_names[9] == "Ankle boot"


def test_a_test_file_beside_them_is_not_opened(place: Path) -> None:
    before = load_fashion(place)
    (place / "fashion" / "t10k-images-idx3-ubyte.gz").write_bytes(b"opening this would fail")
    assert load_fashion(place).digest == before.digest


def test_uncompressed_files_are_the_same_data(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain" / "fashion"
    folder.mkdir(parents=True)
    for name in (IMAGES, LABELS):
        packed = (place / "fashion" / name).read_bytes()
        (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(packed))
    assert load_fashion(tmp_path / "plain").digest == load_fashion(place).digest


def test_the_digest_changes_with_one_pixel_and_with_one_label(place: Path) -> None:
    images, labels = random_images(120), np.arange(120) % 10
    digests = {load_fashion(place).digest}
    images[7, 14, 14] ^= 1
    write(place / "fashion", idx(images), idx(labels))
    digests.add(load_fashion(place).digest)
    labels[[0, 1]] = labels[[1, 0]]
    write(place / "fashion", idx(images), idx(labels))
    digests.add(load_fashion(place).digest)
    assert len(digests) == 3


GOOD_IMAGES = idx(random_images(120))
GOOD_LABELS = idx(np.arange(120) % 10)
BAD = {
    "empty": (b"", GOOD_LABELS, rf"{IMAGES} is no IDX file .* 0 bytes"),
    "header alone": (GOOD_IMAGES[:9], GOOD_LABELS, rf"{IMAGES} is no IDX file .* 9 bytes"),
    "text": (b"<html>not found</html>", GOOD_LABELS, r"starts with 0x3c68746d, not 0x00000803"),
    "swapped": (
        GOOD_LABELS,
        GOOD_IMAGES,
        rf"{LABELS} is no IDX file .* 0x00000803, not 0x00000801",
    ),
    "cut off": (GOOD_IMAGES[:-100], GOOD_LABELS, r"declares 120 x 28 x 28 .* holds 93980"),
    "too long": (GOOD_IMAGES, GOOD_LABELS + b"\0", rf"{LABELS} declares 120 .* holds 121"),
    "small": (idx(random_images(120, 8)), GOOD_LABELS, r"8x8 pixels where 28x28"),
    "counts": (idx(random_images(119)), GOOD_LABELS, r"119 images but .* 120 labels"),
    "label": (GOOD_IMAGES, idx(np.arange(120) % 11), r"label 10 at row 11 where 0 to 9"),
    "absent class": (GOOD_IMAGES, idx(np.arange(120) % 9), r"0 rows of class 9 \(Ankle boot\)"),
    "no images": (idx(random_images(0)), idx(np.arange(0)), r"0 rows of class 0"),
}


@pytest.mark.parametrize(("images", "labels", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named_with_what_was_seen(
    tmp_path: Path, images: bytes, labels: bytes, words: str
) -> None:
    write(tmp_path / "fashion", images, labels)
    with pytest.raises(InputError, match=words) as caught:
        load_fashion(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_idx_file_keeps_its_shape(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "values").write_bytes(idx(values))
    assert read_idx(tmp_path / "values", dimensions=3).tolist() == values.tolist()


def test_digits_use_the_whole_range_of_a_byte() -> None:
    data = load_digits(None)
    assert data.input_shape == (8, 8, 1)
    assert (data.train.inputs.min(), data.train.inputs.max()) == (0, 255)
    assert (len(data.train.labels), len(data.validation.labels)) == (1149, 288)
