"""What a task's model takes from people: contract and examples of raw pixels or rows."""

from typing import Any

import numpy as np

from pipelines.serving import Contract
from pipelines.splits import SearchData
from pipelines.tabular import CATEGORIES, NUMBERS
from pipelines.tasks import Task

COLUMNS = {
    "churn": (*CATEGORIES, *NUMBERS),
    "iris": tuple(
        f"{leaf} {way} (cm)" for leaf in ("sepal", "petal") for way in ("length", "width")
    ),
    "xor": ("first", "second"),
}
"""By task; of iris as scikit-learn calls them."""


def contract(task: Task) -> Contract:
    columns = COLUMNS.get(task.name, ())
    return Contract(task.name, list(task.class_names), task.space.image_side, list(columns))


def raw_examples(task: Task, data: SearchData, n: int) -> Any:  # noqa: ANN401 - see below
    """The first training examples as people have them: uint8 pixels, or a pandas data frame.

    Rows are computed back from the network's input, which is float32: to two decimals.
    """
    inputs, preprocessor = data.train.inputs[:n], data.preprocessor
    if task.space.image_side:
        return inputs
    import pandas as pd  # late, as in `tabular`

    columns = COLUMNS[task.name]
    inputs = inputs.astype(np.float64)  # else scikit-learn would compute in float32 as well
    if hasattr(preprocessor, "transformers_"):
        rows = pd.DataFrame(index=range(n), columns=list(columns))
        for name, part, own in preprocessor.transformers_:
            rows[own] = part.inverse_transform(inputs[:, preprocessor.output_indices_[name]])
    else:
        raw = inputs if preprocessor is None else preprocessor.inverse_transform(inputs)
        rows = pd.DataFrame(raw, columns=list(columns))
    return rows.map(_plain)


def _plain(value: Any) -> str | float | int:  # noqa: ANN401 - pandas
    if isinstance(value, str):
        return value
    rounded = round(float(value), 2)
    return int(rounded) if rounded.is_integer() else rounded
