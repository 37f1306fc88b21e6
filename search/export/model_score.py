"""The exported model itself: loaded in a process of its own, and scored as its training was."""

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from pipelines.splits import Division
from pipelines.tasks import find_task

# Here all is float32, and a training in float32 scores the same to the last digit. One in bfloat16
# was scored in bfloat16 too, whose eight bits turn a row with two classes that are nearly as
# likely: up to 3 of 10,000 of fashion. Of few rows, one alone weighs more than the share.
TOLERANCE = 0.002
TOLERATED_ROWS = 1.5


def model_problem(
    task: str, folder: Path, data_dir: Path | None, division: Division, stored: float
) -> str:
    """What is wrong with the model of an export, in a part of a sentence; empty if nothing is.

    Args:
        division: The rows that it was trained on; it is scored on the others.
        stored: What its training scored on these.

    Raises:
        InputError: the data cannot be read.
    """
    # Not this process, which may have set TensorFlow up for something else, or hold these objects.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawned) as process:
        try:
            score, tolerance, broken = process.submit(
                score_model, task, folder, data_dir, division
            ).result()
        except BrokenProcessPool:
            return "model.keras ended the process that loaded it"
    metric = find_task(task).goal.metric
    if broken or math.isclose(score, stored, rel_tol=0, abs_tol=tolerance):
        return broken
    return f"model.keras scores {metric} {score:.4f} where its training scored {stored:.4f}"


def score_model(
    task_name: str, folder: Path, data_dir: Path | None, division: Division
) -> tuple[float, float, str]:
    """Asks the model of an export as `predict` does, for all validation rows, raw.

    Returns:
        Its score, how far that may be from what its training scored, and why it cannot be asked.
    """
    import pandas as pd  # late, like all that follows: this process alone needs it

    from pipelines import raw_inputs, scoring, serving
    from pipelines.raw_rows import raw_columns
    from pipelines.runtime import Runtime, configure

    configure(Runtime())
    task = find_task(task_name)
    data = task.load(data_dir, division)
    labels, sent = data.validation.labels, data.validation.inputs
    if not task.has_images:
        sent = pd.DataFrame(raw_columns(task_name, sent, data.preprocessor))
    preprocessor = folder / "preprocessor.joblib"
    try:
        predictor = serving.Predictor(
            raw_inputs.contract(task),
            folder / "model.keras",
            preprocessor if data.preprocessor is not None else None,
        )
        answers = predictor.answers(sent)
    except (serving.BrokenModelError, serving.BadInputError) as error:
        return math.nan, 0.0, str(error).rstrip(".")
    names = task.class_names[1:] if task.binary else task.class_names
    said = np.array([[answer["probabilities"][name] for name in names] for answer in answers])
    metric = task.goal.metric.removeprefix("val_")
    score = scoring.score(labels, said, [metric])[metric]
    return score, max(TOLERANCE, TOLERATED_ROWS / len(labels)), ""
