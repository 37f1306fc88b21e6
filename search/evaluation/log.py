"""An evaluation as an MLflow run, for people to look at: the ledger is the record."""

from collections.abc import Mapping
from dataclasses import replace

import optuna

from pipelines.splits import SearchData
from pipelines.tasks import Task
from search import study as studies
from search.evaluation.ledger import Opening
from search.run import dataset_info, run_tags
from search.settings import Settings
from search.tracking.tracker import Tracker
from search.tracking.trial_log import trial_name
from spaces.config import Config

PARENT = "mlflow.parentRunId"


def log_evaluation(
    task: Task,
    settings: Settings,
    study: optuna.Study,
    data: SearchData,
    opening: Opening,
    artifacts: Mapping[str, bytes],
) -> None:
    """Shows the scores as a run under the study's.

    Raises:
        TrackingError, InputError: MLflow fails, or is not there.
    """
    number = opening.trial or 0
    config = Config.model_validate(opening.config)
    tracker = Tracker.open(settings.runs_dir, settings.tracking_uri)
    tags = {
        **run_tags(settings, opening.data_digest),
        **_parent(tracker, study, number),
        "stage": "evaluation",
        "study": opening.study,
        "trial": str(number),
        "opening": str(opening.number),
        "command": opening.command,
    }
    run_id = tracker.open_single(
        task.name,
        name=f"test {opening.number} of {trial_name(number)}",
        parameters=config.parameters(images=task.has_images),
        tags=tags,
        # The rows of validation were trained on: there is none.
        dataset=replace(dataset_info(task, data), n_validation=0),
    )
    written = {"config.yaml": config.to_yaml(), "ledger_entry.json": opening.line() + "\n"}
    tracker.close_trial(
        run_id,
        state="completed",
        rows=[],
        metrics=_metrics(opening),
        tags={},
        artifacts={**artifacts, **{name: text.encode() for name, text in written.items()}},
    )


def _parent(tracker: Tracker, study: optuna.Study, number: int) -> dict[str, str]:
    """The tag that puts a run under that of the study, if the trial's own is known."""
    record = studies.read(study.get_trials(deepcopy=False)[number])
    run_id = studies.run_of(study, number, record) if record else ""
    parent = tracker.tags(run_id).get(PARENT) if run_id else None
    return {PARENT: parent} if parent else {}


def _metrics(opening: Opening) -> dict[str, float]:
    """Means with their intervals over seeds, the ensemble's, what was promised and the gap."""
    found = {f"test_{name}": score.mean for name, score in opening.scores.items()}
    for name, score in opening.scores.items():
        if score.interval:
            found[f"test_{name}_low"], found[f"test_{name}_high"] = score.interval
    found |= {f"test_ensemble_{name}": score.mean for name, score in opening.ensemble.items()}
    if opening.promised is not None and opening.gap is not None:
        found |= {f"promised_{opening.metric}": opening.promised, "test_gap": opening.gap}
    return found
