"""The rows of a table as people have them, computed back from what a network takes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.tabular import CATEGORIES, NUMBERS

COLUMNS = {
    "churn": (*CATEGORIES, *NUMBERS),
    "iris": tuple(
        f"{leaf} {way} (cm)" for leaf in ("sepal", "petal") for way in ("length", "width")
    ),
    "xor": ("first", "second"),
}
"""By task; of iris as scikit-learn calls them."""

RawColumns = dict[str, NDArray[Any]]
"""By name: words, or numbers."""


def raw_columns(task: str, inputs: NDArray[np.float32], preprocessor: Any) -> RawColumns:  # noqa: ANN401 - scikit-learn
    """The rows' columns. Inputs are float32, so numbers are right to two decimals."""
    inputs = inputs.astype(np.float64)  # else scikit-learn would compute in float32 as well
    names = COLUMNS[task]
    if not hasattr(preprocessor, "transformers_"):
        raw = inputs if preprocessor is None else preprocessor.inverse_transform(inputs)
        return {name: raw[:, place].round(2) for place, name in enumerate(names)}
    found: RawColumns = {}
    for name, part, own in preprocessor.transformers_:
        raw = part.inverse_transform(inputs[:, preprocessor.output_indices_[name]])
        is_words = raw.dtype == object
        found |= {
            column: raw[:, at] if is_words else raw[:, at].round(2)
            for at, column in enumerate(own)
        }
    return {name: found[name] for name in names}


def plain(value: Any) -> str | float | int:  # noqa: ANN401 - a cell
    """A cell as JSON and people have it."""
    if isinstance(value, str):
        return value
    number = float(value)
    return int(number) if number.is_integer() else number
