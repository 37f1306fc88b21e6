"""What a worker does for an evaluation, beside training: a network's last state, and its reports.

As in `pipelines.segment` only workers run these functions, so TensorFlow is imported in them.
"""

from collections.abc import Sequence

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
    labels: Labels, probabilities: Probabilities, class_names: Sequence[str]
) -> dict[str, bytes]:
    """The confusion matrix as a picture and the classification report, by file name."""
    from pipelines import pictures

    matrix = scoring.confusion_matrix(labels, probabilities, len(class_names))
    report = scoring.classification_report(labels, probabilities, class_names)
    return {
        "confusion_matrix.png": pictures.confusion_matrix(matrix, class_names),
        "classification_report.txt": report.encode(),
    }
