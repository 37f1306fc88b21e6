"""What a task's model takes from people: contract and examples of raw pixels or rows."""

from typing import Any

from pipelines.raw_rows import COLUMNS, plain, raw_columns
from pipelines.serving import Contract
from pipelines.splits import SearchData
from pipelines.tasks import Task

__all__ = ["COLUMNS", "contract", "raw_examples"]


def contract(task: Task) -> Contract:
    columns = COLUMNS.get(task.name, ())
    return Contract(task.name, list(task.class_names), task.space.image_side, list(columns))


def raw_examples(task: Task, data: SearchData, n: int) -> Any:  # noqa: ANN401 - an array or a data frame
    """The first training examples as people have them: uint8 pixels, or a pandas data frame."""
    inputs = data.train.inputs[:n]
    if task.has_images:
        return inputs
    import pandas as pd  # late, as in `tabular`

    return pd.DataFrame(raw_columns(task.name, inputs, data.preprocessor)).map(plain)
