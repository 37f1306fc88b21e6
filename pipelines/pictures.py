"""Pictures of one trial, as PNG bytes."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TRAIN, VALIDATION = "#8a8f98", "#1f6feb"
WRONG = "#c0362c"


def curves(rows: Sequence[dict[str, float]], metrics: Sequence[str]) -> bytes:
    """Loss, every metric and the seconds per epoch, side by side, over the epochs."""
    panels = ["loss", *metrics]
    columns = min(3, len(panels) + 1)
    lines = -(-(len(panels) + 1) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.0 * lines))
    # A layout that is worked out would draw everything twice.
    figure.subplots_adjust(
        left=0.2 / columns, right=1 - 0.05 / columns, bottom=0.18 / lines, top=1 - 0.12 / lines,
        wspace=0.28, hspace=0.5,
    )  # fmt: skip
    axes: list[Axes] = list(figure.subplots(lines, columns, squeeze=False).flat)
    epochs = [row["epoch"] for row in rows]
    for axis, name in zip(axes, panels, strict=False):
        if f"train_{name}" in rows[0]:
            train = [row[f"train_{name}"] for row in rows]
            axis.plot(epochs, train, color=TRAIN, marker=".", label="train")
        validation = [row[f"val_{name}"] for row in rows]
        axis.plot(epochs, validation, color=VALIDATION, marker=".", label="validation")
        axis.set_title(name.replace("_", " "), fontsize=10)
    axes[0].legend(frameon=False, fontsize=8)
    whole = [row for row in rows if row["epoch"].is_integer()]
    seconds = axes[len(panels)]
    seconds.bar([row["epoch"] for row in whole], [row["epoch_seconds"] for row in whole],
                color=TRAIN)  # fmt: skip
    seconds.set_ylim(bottom=0)
    seconds.set_title("seconds per epoch", fontsize=10)
    for axis in axes[: len(panels) + 1]:
        axis.set_xlabel("epoch", fontsize=8)
        axis.set_xlim(0, max(1.0, epochs[-1]) + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) + 1 :]:
        axis.set_axis_off()
    return _png(figure)


def confusion_matrix(
    matrix: NDArray[np.int64], class_names: Sequence[str], title: str = ""
) -> bytes:
    """True classes in rows; colours are shares of the row, numbers are counts."""
    size = max(3.5, 0.62 * len(class_names) + 1.6)
    figure = Figure(figsize=(size, size))
    # As in `curves`; the longest names are those of clothes.
    margin = (0.5 + 0.065 * max(map(len, class_names))) / size
    height = 0.97 - margin - (0.25 / size if title else 0)
    axis = figure.add_axes((margin, margin, 0.97 - margin, height))
    axis.set_title(title, fontsize=9)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(class_names))
    turn, anchor = (45, "right") if len(class_names) > 4 else (0, "center")
    axis.set_xticks(ticks, class_names, rotation=turn, ha=anchor, fontsize=8)
    axis.set_yticks(ticks, class_names, fontsize=8)
    axis.set_xlabel("predicted", fontsize=9)
    axis.set_ylabel("true", fontsize=9)
    for row, column in np.ndindex(*matrix.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center",
                  fontsize=8, color=colour)  # fmt: skip
    return _png(figure)


def calibration(
    confidence: Sequence[float], accuracy: Sequence[float], counts: Sequence[int]
) -> bytes:
    """The share of right answers against their mean confidence; areas are numbers of rows."""
    figure = Figure(figsize=(3.6, 3.6))
    axis = figure.add_axes((0.15, 0.13, 0.81, 0.76))
    lowest = min(0.5, *confidence, *accuracy)
    axis.plot([lowest, 1], [lowest, 1], color=TRAIN, linestyle="--", linewidth=1)
    axis.plot(confidence, accuracy, color=VALIDATION, linewidth=1)
    areas = 12 + 300 * np.array(counts) / sum(counts)
    axis.scatter(confidence, accuracy, areas, color=VALIDATION, alpha=0.6, linewidths=0)
    axis.set_title("Below the dashed line it is too sure", fontsize=9)
    axis.set_xlabel("confidence in the predicted class", fontsize=8)
    axis.set_ylabel("share that is right", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def enlarged(image: NDArray[np.uint8], side: int) -> Image.Image:
    """A gray image, (side, side, 1), at the largest whole multiple of its size up to `side`."""
    times = max(1, side // len(image))
    gray = image[..., 0].repeat(times, axis=0).repeat(times, axis=1)
    return Image.fromarray(np.ascontiguousarray(gray))


def mistakes(
    images: Sequence[NDArray[np.uint8]], labels: Sequence[tuple[str, str]], title: str
) -> bytes:
    """A table of images, each with what it is and what it was taken for, and how surely.

    Drawn without matplotlib, which would take a tenth of a second for so many words.
    """
    columns, width, height, top, picture = 6, 132, 122, 26, 84
    lines = -(-len(images) // columns)
    page = Image.new("RGB", (columns * width, top + lines * height + 4), "white")
    draw = ImageDraw.Draw(page)
    font, small = ImageFont.load_default(13), ImageFont.load_default(11)
    draw.text((8, 6), title, "black", font)
    for place, (image, (true, taken_for)) in enumerate(zip(images, labels, strict=True)):
        line, column = divmod(place, columns)
        left, upper = column * width + 8, top + line * height
        page.paste(enlarged(image, picture), (left, upper))
        draw.text((left, upper + picture + 2), true, "black", small)
        draw.text((left, upper + picture + 16), taken_for, WRONG, small)
    return png(page)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png", compress_level=6)
    return buffer.getvalue()


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return buffer.getvalue()
