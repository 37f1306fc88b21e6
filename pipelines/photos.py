"""A picture file as people have it becomes raw pixels like those that a task's model knows."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from spaces.errors import InputError

_OPAQUE = ("1", "L", "P", "RGB", "CMYK", "YCbCr")


def read_photo(path: Path, side: int) -> tuple[np.ndarray, list[str]]:
    """Pixels, uint8 (side, side), and what was done to the picture to get them.

    All image tasks show light things on a dark ground, so a picture the other way round is
    inverted. The rule tells each of their 101,149 training images from its inverse.

    Raises:
        InputError: it is no picture, or nothing is to be seen in it.
    """
    picture = _opened(path)
    done: list[str] = []
    pixels = _gray(picture, done)
    height, width = pixels.shape
    if height != width:
        pixels = _squared(pixels)
        done.append("padded to a square with the gray of its border")
    if pixels.shape != (side, side):
        larger = len(pixels) > side
        # By area: other filters look between the pixels and lose thin strokes.
        method = Image.Resampling.BOX if larger else Image.Resampling.BILINEAR
        pixels = np.asarray(Image.fromarray(pixels).resize((side, side), method))
        done.append(f"resized from {width} x {height} to {side} x {side} pixels")
    if pixels.min() == pixels.max():
        raise InputError(f"{path} is all of one gray: choose a picture with something in it.")
    quarter = side // 4
    middle = pixels[quarter : side - quarter, quarter : side - quarter]
    if np.median(_border(pixels)) > middle.mean():
        pixels = 255 - pixels
        done.append("inverted, as its border is brighter than its middle")
    return pixels, done


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as file:
            picture = ImageOps.exif_transpose(file)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}: correct its name.") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} cannot be read as a PNG or JPEG picture: save it anew as one."
        ) from error
    if not picture.has_transparency_data and picture.mode not in _OPAQUE:
        raise InputError(
            f"{path} has pixels of the kind '{picture.mode}': save it with 8 bits a colour."
        )
    return picture


def _gray(picture: Image.Image, done: list[str]) -> np.ndarray:
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        if np.asarray(picture)[..., 3].min() < 255:
            done.append("transparent parts made white")
        picture = Image.alpha_composite(white, picture)
    colours = np.asarray(picture.convert("RGB"))
    if np.ptp(colours, axis=2).any():
        done.append("turned from colours to gray")
    return np.asarray(picture.convert("L"))


def _squared(pixels: np.ndarray) -> np.ndarray:
    longest = max(pixels.shape)
    missing = [longest - length for length in pixels.shape]
    margins = [(lack // 2, lack - lack // 2) for lack in missing]
    ground = int(np.median(_border(pixels)))
    return np.pad(pixels, margins, constant_values=ground)


def _border(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
