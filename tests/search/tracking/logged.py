"""A study and its trials, as a search logs them."""

from typing import Any

from mlflow import MlflowClient

from search.study import State
from search.tracking.tracker import DatasetInfo, Stage, Tracker

DATASET = DatasetInfo("digits", "0123456789abcdef" * 3, 1200, 300, (8, 8), 10)
PARAMETERS: dict[str, str | int | float | bool] = {
    "learning_rate": 0.001,
    "filters_1": 32,
    "nesterov": True,
    "family": "cnn",
}


def open_study(tracker: Tracker, name: str, **changes: Any) -> str:
    given: dict[str, Any] = {
        "parameters": {"trials": 30, "workers": 2},
        "tags": {"git_commit": "abc"},
        "dataset": DATASET,
        "goal_metric": "val_accuracy",
        "command": "hpsearch search digits",
        "seed": 7,
    }
    given |= changes
    return tracker.open_study(given.pop("task", "digits"), name, **given)


def open_trial(
    tracker: Tracker,
    parent: str,
    number: int = 0,
    run_id: str | None = None,
    stage: Stage = "trial",
) -> str:
    return tracker.open_trial(
        parent,
        name=f"t{number:03d} cnn",
        number=number,
        parameters=PARAMETERS,
        tags={"seed": "7"},
        dataset=DATASET,
        run_id=run_id,
        stage=stage,
    )


def close(tracker: Tracker, run_id: str, state: State, **changes: Any) -> None:
    given: dict[str, Any] = {"rows": [], "metrics": {}, "tags": {}, "artifacts": {}}
    tracker.close_trial(run_id, state=state, **(given | changes))


def rows(first: int, last: int) -> list[dict[str, float]]:
    return [
        {"epoch": float(epoch), "train_loss": 1 / epoch, "val_accuracy": epoch / 10}
        for epoch in range(first, last + 1)
    ]


def steps(client: MlflowClient, run_id: str, metric: str = "train_loss") -> list[int]:
    return sorted(point.step for point in client.get_metric_history(run_id, metric))
