"""The descriptions that MLflow shows of an experiment and of a study, in Markdown."""

from search.tracking import views
from search.tracking.entities import DatasetInfo
from search.tracking.views import Mode


def experiment_note(experiment_id: str, task: str, goal_metric: str, mode: Mode) -> str:
    better = "higher" if mode == "max" else "lower"
    return f"""Hyperparameter searches for **{task}**. A study is a run, and its trials are the runs below it.

**Look at:** {_links(experiment_id)}. They are under *Views* as well.

| column | meaning |
|---|---|
| `best_{goal_metric}` | the goal, {better} is better: the trial's best epoch on the validation split |
| `best_epoch` | when that was |
| `n_parameters` | weights of the network |
| `train_seconds` | training and validation on one core; `worker_seconds` has all the rest too |
| `state` | completed, pruned, failed, interrupted, running |
| `stop_reason` | early stopping, all epochs, pruned, or the cause of a failure |

**Filter**, for example: `tags.state = 'pruned'`, `tags.stop_reason = 'early stopping'`, `tags.stage = 'finalist'`, `params.optimizer = 'adam'`.

**Report:** `hpsearch report {task}` says what each hyperparameter did, and leaves `report.html` among the artifacts of the study. `hpsearch dashboard {task}` opens Optuna's view of it.
"""  # noqa: E501 - MLflow breaks a line where it is broken here


def study_note(
    experiment_id: str,
    task: str,
    command: str,
    goal_metric: str,
    dataset: DatasetInfo,
    seed: int | None,
) -> str:
    seeded = "" if seed is None else f"- seed: {seed}\n"
    return f"""Hyperparameter search for **{task}**. **Look at:** {_links(experiment_id)}.

    {command}

- goal: `{goal_metric}`; its best value so far is the metric `best_so_far`, over the trials that have ended
- data: {dataset.n_train:,} examples to train on, {dataset.n_validation:,} to validate, {dataset.n_classes} classes
{seeded}- the trials are the runs below this one; finalists are the best of them, trained again on fresh seeds
- report: `hpsearch report {task}`; then `report.html` is among the artifacts here

The same command goes on where the search stopped.
"""  # noqa: E501 - as above


def _links(experiment_id: str) -> str:
    named = {
        "trials, best first": views.address(experiment_id, views.TRIALS),
        "as charts": views.address(experiment_id, views.TRIALS, charts=True),
        "finalists": views.address(experiment_id, views.FINALISTS),
        "studies": views.address(experiment_id, views.STUDIES),
        "what failed": views.address(experiment_id, views.FAILED),
    }
    return ", ".join(f"[{name}]({address})" for name, address in named.items())
