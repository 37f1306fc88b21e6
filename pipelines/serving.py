"""The model that MLflow serves: raw pixels or rows in; the class and its probabilities out.

MLflow copies this file into every registered model and runs it there, so it imports nothing of
this project, which need not be installed on the machine that serves. Pickled code would be tied
to the Python that wrote it, and to a module of this name where it is read.
"""

import json
import math
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

LARGEST_NUMBER = 1e12
"""Beyond it a number in a row is a slip; so it is where the rows of a training are read."""
BATCH = 512

Answer = dict[str, Any]
"""{"class": name, "probabilities": {name: probability}}"""

_DAMAGED = (
    OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError, EOFError,
    zipfile.BadZipFile,
)  # fmt: skip
"""What Keras and pickle raise on a file that is cut off or was written by another version."""


class BadInputError(MlflowException):
    """What was sent cannot be answered: one sentence, HTTP status 400."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)
        self._sentence = sentence

    def serialize_as_json(self) -> str:
        # MLflow's server has put all that was sent in front of the sentence.
        self.message = self._sentence
        text: str = super().serialize_as_json()  # type: ignore[no-untyped-call] # MLflow's
        return text


class BrokenModelError(MlflowException):
    """A file of the model cannot be used: one sentence."""


@dataclass(frozen=True)
class Contract:
    """What a model takes and answers.

    Attributes:
        side: Of the images, in pixels; None where it takes rows.
        columns: Of the rows, in the order of its preprocessor or network.
    """

    task: str
    class_names: Sequence[str]
    side: int | None
    columns: Sequence[str]


class Predictor:
    """A network with what prepares its input."""

    def __init__(self, contract: Contract, network: Path, preprocessor: Path | None) -> None:
        """Loads the files.

        Raises:
            BrokenModelError: one of them is damaged or was written by another version.
        """
        self._contract = contract
        self._network = _load_network(network)
        self._preprocessor = _load_preprocessor(preprocessor) if preprocessor else None

    def answers(self, sent: Any) -> list[Answer]:  # noqa: ANN401 - whatever people send
        """One for every image or row.

        Args:
            sent: Pixels (n, side, side), with or without a last dimension of 1; or a data frame.

        Raises:
            BadInputError: it is none of these, or a value is impossible.
        """
        side = self._contract.side
        inputs = self._rows(sent) if side is None else checked_images(sent, side)
        chunks = [inputs[start : start + BATCH] for start in range(0, len(inputs), BATCH)]
        found = np.concatenate([np.asarray(self._network(c, training=False)) for c in chunks])
        if found.shape[1] == 1:  # a sigmoid's, of the second class
            found = np.hstack([1 - found, found])
        names = self._contract.class_names
        return [
            {
                "class": names[int(row.argmax())],
                "probabilities": {n: float(p) for n, p in zip(names, row, strict=True)},
            }
            for row in found
        ]

    def _rows(self, sent: Any) -> np.ndarray:  # noqa: ANN401 - anything may be sent
        columns, preprocessor = self._contract.columns, self._preprocessor
        rows = checked_rows(sent, columns, words_of(preprocessor))
        if preprocessor is None:
            return np.asarray(rows, np.float32)
        named = hasattr(preprocessor, "feature_names_in_")
        prepared = preprocessor.transform(rows if named else rows.to_numpy())
        return np.asarray(prepared, np.float32)


def checked_images(sent: Any, side: int) -> np.ndarray:  # noqa: ANN401 - as above
    """Pixels, float32 (n, side, side, 1).

    Raises:
        BadInputError: another shape, or no raw pixels.
    """
    try:
        pixels = np.asarray(sent.tolist() if isinstance(sent, np.ndarray) else sent, np.float32)
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"The images are not all {side} x {side} numbers: send raw pixels from 0 to 255."
        ) from error
    if pixels.shape in {(side, side), (side, side, 1)}:
        pixels = pixels[np.newaxis]
    if not pixels.size or pixels.shape[1:] not in {(side, side), (side, side, 1)}:
        shape = " x ".join(str(length) for length in pixels.shape)
        raise BadInputError(
            f"Images must be lists of {side} x {side} pixels (n x {side} x {side}, or "
            f"n x {side} x {side} x 1), got {shape}."
        )
    lowest, highest = float(pixels.min()), float(pixels.max())
    if not (lowest >= 0 and highest <= 255):
        wrong = highest if lowest >= 0 else lowest
        raise BadInputError(f"Pixels must be numbers from 0 to 255, got {wrong:g}.")
    if 0 < highest <= 1 and (pixels % 1).any():
        raise BadInputError(
            f"Pixels must be raw, from 0 to 255, and the brightest here is {highest:g}: "
            f"send them as they were before they were scaled to 0-1."
        )
    return pixels.reshape(-1, side, side, 1)


def words_of(preprocessor: Any) -> dict[str, list[str]]:  # noqa: ANN401 - scikit-learn's
    """The words that a preprocessor knows, by the column that has words and not numbers."""
    return {
        column: [str(word) for word in known]
        for _, part, columns in getattr(preprocessor, "transformers_", ())
        if hasattr(part, "categories_")
        for column, known in zip(columns, part.categories_, strict=True)
    }


def checked_rows(
    sent: Any,  # noqa: ANN401 - anything may be sent
    columns: Sequence[str],
    words: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """The columns that count, as words and numbers.

    Raises:
        BadInputError: a column is missing, or a value is none that it can have.
    """
    needed = ", ".join(columns)
    if not isinstance(sent, pd.DataFrame):
        raise BadInputError(f"Rows must come as a table with the columns {needed}.")
    if not len(sent):
        raise BadInputError(f"There is no row that names its columns: send some with {needed}.")
    missing = [name for name in columns if name not in sent.columns]
    if missing:
        raise BadInputError(
            f"The column {missing[0]} is missing: a row needs {needed}."
            if len(missing) == 1
            else f"The columns {', '.join(missing)} are missing: a row needs {needed}."
        )
    twice = [name for name in columns if list(sent.columns).count(name) > 1]
    if twice:
        raise BadInputError(f"The column {twice[0]} is there more than once: leave one.")
    return pd.DataFrame(
        {
            name: _words(sent, name, words[name]) if name in words else _numbers(sent, name)
            for name in columns
        }
    )


def _words(rows: pd.DataFrame, name: str, known: Sequence[str]) -> list[str]:
    found = []
    for number, value in enumerate(rows[name], 1):
        word = str(value).strip()
        if word not in known:
            raise BadInputError(
                f"Row {number}: {name} must be one of {', '.join(known)}, got {_shown(value)}."
            )
        found.append(word)
    return found


def _numbers(rows: pd.DataFrame, name: str) -> list[float]:
    found = []
    for number, value in enumerate(rows[name], 1):
        try:
            found.append(float(value))
        except (TypeError, ValueError):
            found.append(math.nan)
        if not abs(found[-1]) <= LARGEST_NUMBER:
            raise BadInputError(f"Row {number}: {name} must be a number, got {_shown(value)}.")
    return found


def _shown(value: Any) -> str:  # noqa: ANN401 - anything may be sent
    missing = value is None or value == "" or (isinstance(value, float) and math.isnan(value))
    return "nothing" if missing else repr(value)[:80]


def _load_network(path: Path) -> Any:  # noqa: ANN401 - Keras has no types
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras  # late: registering a model takes no TensorFlow

    try:
        return keras.models.load_model(path, compile=False)
    except _DAMAGED as error:
        raise BrokenModelError(
            f"{path} cannot be read by Keras {keras.__version__} ({_origin(path)}): export the "
            f"model again, or install the versions that it was exported with."
        ) from error


def _origin(path: Path) -> str:
    """Which Keras wrote a file, if that can be told."""
    try:
        with zipfile.ZipFile(path) as archive:
            written_by = json.loads(archive.read("metadata.json"))["keras_version"]
    except FileNotFoundError:
        return "there is no such file"
    except _DAMAGED:
        return "it is damaged"
    return f"it was written by Keras {written_by}"


def _load_preprocessor(path: Path) -> Any:  # noqa: ANN401 - scikit-learn has no types
    import pickle

    import joblib
    import sklearn
    from sklearn.exceptions import InconsistentVersionWarning

    how = "export the model again, or install the versions that it was exported with"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InconsistentVersionWarning)
        try:
            preprocessor = joblib.load(path)
        except (*_DAMAGED, pickle.UnpicklingError) as error:
            raise BrokenModelError(
                f"{path} cannot be read by scikit-learn {sklearn.__version__}: {how}."
            ) from error
    for warning in caught:
        written_by = getattr(warning.message, "original_sklearn_version", sklearn.__version__)
        # Patches of one minor version read each other's objects.
        if written_by.split(".")[:2] != sklearn.__version__.split(".")[:2]:
            raise BrokenModelError(
                f"{path} was written by scikit-learn {written_by}, and here is "
                f"{sklearn.__version__}: {how}."
            )
    return preprocessor


class ServedModel(PythonModel):
    """A predictor as MLflow wants it."""

    def load_context(self, context: PythonModelContext) -> None:
        files = {name: Path(path) for name, path in context.artifacts.items()}
        contract = Contract(**context.model_config)
        self._predictor = Predictor(contract, files["network"], files.get("preprocessor"))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - as above
    ) -> pd.DataFrame:
        # Images come as the only entry of a dictionary, under the name in the signature.
        images = isinstance(model_input, dict)
        sent = next(iter(model_input.values())) if images else model_input
        return pd.DataFrame(self._predictor.answers(sent))


# How MLflow finds the model in this file; it keeps the object and does nothing with it yet.
set_model(ServedModel())
