"""Whole trainings on a worker, whose last weights count, and what such a network predicts.

As in `pipelines.segment` only workers run these functions, so TensorFlow is imported in them.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.refit import settled
from pipelines.runtime import Runtime
from pipelines.scoring import Probabilities
from pipelines.segment import Segment, SegmentFailure, SegmentResult, prepare, train_segment


def train_whole(segment: Segment) -> tuple[SegmentResult | SegmentFailure, bytes]:
    """Trains a segment; with it, once the training is over, the network with its last weights.

    Raises:
        SessionLostError, InputError: see `train_segment`.
    """
    result = train_segment(segment)
    if isinstance(result, SegmentFailure) or result.stop in (None, "diverged"):
        return result, b""
    return result, settled(replace(segment, begin=result.rows[-1]["epoch"]))


def predict(
    task: str, data_dir: Path | None, how: Runtime, network: bytes, inputs: np.ndarray
) -> Probabilities:
    """What a network, given as the content of a `.keras` file, says of `inputs`."""
    prepare(task, data_dir, how)
    import keras

    from pipelines.graph import PREDICTION_BATCH

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.keras")
        path.write_bytes(network)
        model = keras.models.load_model(path, compile=False)
    found: Probabilities = model.predict(inputs, batch_size=PREDICTION_BATCH, verbose=0)
    return found
