"""What a worker does for an evaluation, beside training: a network's last state, and its reports.

As in `pipelines.segment` only workers run these functions, so TensorFlow is imported in them.
"""

from collections.abc import Sequence

import numpy as np

from pipelines import scoring
from pipelines.scoring import Labels, Probabilities
from pipelines.segment import Segment, _session_for, prepare


def settled(segment: Segment) -> bytes:
    """The network as it stands at the segment's `begin`, as the content of a `.keras` file."""
    prepare(segment.task, segment.data_dir, segment.how)
    session, _ = _session_for(segment)
    session.settle()
    return session.model_file()


def reports(
    labels: Labels, trainings: Sequence[Probabilities], class_names: Sequence[str]
) -> dict[str, bytes]:
    """The confusion matrix as a picture and the classification report, by file name.

    Args:
        trainings: What each says of the rows, all of which count.
    """
    from pipelines import pictures

    count = len(trainings)
    title = f"{count} trainings together" if count > 1 else ""
    labels, probabilities = np.tile(labels, count), np.concatenate(trainings)
    matrix = scoring.confusion_matrix(labels, probabilities, len(class_names))
    report = scoring.classification_report(labels, probabilities, class_names)
    return {
        "confusion_matrix.png": pictures.confusion_matrix(matrix, class_names, title),
        "classification_report.txt": report.encode(),
    }
