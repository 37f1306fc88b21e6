"""Saved views of an experiment in the MLflow UI: which runs, in which order, columns and charts.

MLflow 3.17 lists under "Views" what it finds in the experiment's tags of this prefix, and opens
one by the address `#/experiments/ID/runs?viewStateShareKey=KEY`. What a browser shows without a
view it keeps to itself, so that cannot be set from here.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Mode = Literal["max", "min"]
PREFIX = "mlflow.sharedViewState."
TRIALS, STUDIES, FINALISTS, FAILED = (
    "hpsearch-trials", "hpsearch-studies", "hpsearch-finalists", "hpsearch-failed",
)  # fmt: skip
SECTION = "hpsearch"
"""Of charts: those that MLflow makes by itself come below it."""

_PARAMETERS = (
    "family", "layers", "optimizer", "learning_rate", "batch_size", "dropout", "activation",
)  # fmt: skip
"""Those that the configs of all tasks have."""
_HOW_IT_ENDED = ("tags.`state`", "tags.`stop_reason`")


def view_tags(goal_metric: str, mode: Mode) -> dict[str, str]:
    """The views as tags of an experiment, in the order of the menu."""
    score = f"best_{goal_metric}"
    views = {
        TRIALS: ("Trials, best first", _trials(score, mode)),
        FINALISTS: ("Finalists on fresh seeds", _finalists(score)),
        STUDIES: ("Studies", _studies()),
        FAILED: ("Failed trials, and why", _failed()),
    }
    # The menu begins with the youngest.
    ages = zip(views.items(), range(len(views), 0, -1), strict=True)
    return {PREFIX + key: _saved(name, age, state) for (key, (name, state)), age in ages}


def address(experiment_id: str, key: str, *, charts: bool = False) -> str:
    """Where the view is, from any page of the UI."""
    mode = "&compareRunsMode=CHART" if charts else ""
    # Else the menu beside it is the one for language models.
    menu = "&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?viewStateShareKey={key}{menu}{mode}"


def _trials(score: str, mode: Mode) -> dict[str, Any]:
    measured = _metrics(score, "best_epoch", "n_parameters", "train_seconds")
    columns = [*measured, *_HOW_IT_ENDED, *_params(*_PARAMETERS), "tags.`study`"]
    return {
        "searchFilter": "tags.stage = 'trial'",
        "orderByKey": f"metrics.`{score}`",
        "orderByAsc": mode == "min",
        **_columns(columns),
        **_charts(
            [
                _scatter("n_parameters", score),
                _scatter("train_seconds", score),
                _curves(score.removeprefix("best_")),
                _parallel(("learning_rate", "batch_size", "optimizer"), score),
            ]
        ),
    }


def _finalists(score: str) -> dict[str, Any]:
    measured = _metrics(score, "best_epoch", "train_seconds")
    columns = ["tags.`trial`", "tags.`draw`", "tags.`seed`", *measured, *_HOW_IT_ENDED]
    return {"searchFilter": "tags.stage = 'finalist'", **_columns([*columns, "tags.`study`"])}


def _studies() -> dict[str, Any]:
    columns = ["tags.`command`", "tags.`state`", "tags.`winner`"]
    measured = [*_metrics("best_so_far"), *_params("trials", "workers", "seed", "epochs")]
    return {
        "searchFilter": "tags.stage = 'study'",
        **_columns([*measured, *columns]),
        **_charts([_curves("best_so_far")]),
    }


def _failed() -> dict[str, Any]:
    columns = ["tags.`cause`", "tags.`stop_note`", *_params(*_PARAMETERS), "tags.`study`"]
    return {"searchFilter": "tags.state = 'failed'", **_columns(columns)}


def _saved(name: str, age: int, state: Mapping[str, Any]) -> str:
    text = json.dumps(state, separators=(",", ":"))
    return json.dumps({"name": name, "createdAt": age, "updatedAt": age, "state": text})


def _metrics(*names: str) -> list[str]:
    return [f"metrics.`{name}`" for name in names]


def _params(*names: str) -> list[str]:
    return [f"params.`{name}`" for name in names]


def _columns(names: Sequence[str]) -> dict[str, Any]:
    wide = {name: 150 for name in names if "_" in name} | {"tags.`command`": 420}
    return {"selectedColumns": list(names), "columnOrder": list(names), "columnWidths": wide}


def _charts(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    common = {"metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    section = {
        "uuid": SECTION,
        "name": "Trials at a glance",
        "display": True,
        "isReordered": False,
    }
    return {
        "compareRunCharts": [
            {**card, **common, "uuid": f"{SECTION}-{place}"} for place, card in enumerate(cards)
        ],
        "compareRunSections": [section],
        "runsHiddenMode": "SHOW_ALL",
    }


def _scatter(across: str, up: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": across, "type": "METRIC"}, "yaxis": {"key": up, "type": "METRIC"}}
    return {"type": "SCATTER", "runsCountToCompare": 100, **axes}


def _curves(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "runsCountToCompare": 100,
        "xAxisKey": "step",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "range": {},
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "selectedXAxisMetricKey": "",
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }


def _parallel(parameters: Sequence[str], metric: str) -> dict[str, Any]:
    chosen = {"selectedParams": list(parameters), "selectedMetrics": [metric]}
    return {"type": "PARALLEL", **chosen, "showAllRuns": True}
