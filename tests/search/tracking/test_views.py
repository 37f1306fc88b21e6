"""Saved views: what MLflow 3.17's page needs to find in them, and names that runs really have."""

import json
from typing import Any

import pytest

from search.tracking import views
from search.tracking.trial_log import end_metrics, end_tags
from spaces.presets import PRESETS
from tests.search.tracking.test_trial_log import RECORD

LONGEST_TAG = 20_000
KINDS = {"SCATTER", "LINE", "PARALLEL"}


def saved() -> dict[str, dict[str, Any]]:
    tags = views.view_tags("val_accuracy", "max")
    return {name.removeprefix(views.PREFIX): json.loads(text) for name, text in tags.items()}


def state(key: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(saved()[key]["state"])
    return content


KEYS = list(saved())


@pytest.mark.parametrize("key", KEYS)
def test_the_page_can_read_a_view(key: str) -> None:
    view = saved()[key]
    assert isinstance(view["name"], str)
    assert isinstance(view["createdAt"], int)
    text = views.view_tags("val_accuracy", "max")[views.PREFIX + key]
    assert len(text) < LONGEST_TAG
    content = state(key)
    assert content["searchFilter"].startswith("tags.")
    sections = {section["uuid"] for section in content.get("compareRunSections", [])}
    charts = content.get("compareRunCharts", [])
    assert {chart["type"] for chart in charts} <= KINDS
    assert {chart["metricSectionId"] for chart in charts} == sections
    assert len({chart["uuid"] for chart in charts}) == len(charts)


def test_the_menu_begins_with_the_trials() -> None:
    youngest = max(saved().values(), key=lambda view: view["createdAt"])
    assert youngest["name"] == "Trials, best first"


def test_the_columns_are_names_that_trials_have() -> None:
    config = RECORD.parsed_config()
    parameters = {f"params.`{name}`" for name in config.parameters()}
    tags = {f"tags.`{name}`" for name in ("study", "state", *end_tags(RECORD))}
    metrics = {f"metrics.`{name}`" for name in end_metrics(RECORD)}
    columns = state(views.TRIALS)["selectedColumns"]
    assert set(columns) <= parameters | tags | metrics
    assert columns[0] == "metrics.`best_val_accuracy`" == state(views.TRIALS)["orderByKey"]


@pytest.mark.parametrize("preset", ["churn_mlp_6_6", "fashion_conv_64_64", "mnist_conv_net"])
def test_the_shown_parameters_are_those_of_any_task(preset: str) -> None:
    shown = [name for name in state(views.TRIALS)["selectedColumns"] if name.startswith("params")]
    known = PRESETS[preset].config.parameters()
    assert {name[8:-1] for name in shown} - set(known) <= {"dropout"}  # without a dense layer


def test_a_view_has_an_address_in_the_page_and_one_for_its_charts() -> None:
    address = views.address("7", views.TRIALS)
    assert address.startswith("#/experiments/7/runs?viewStateShareKey=hpsearch-trials&")
    assert views.address("7", views.TRIALS, charts=True) == f"{address}&compareRunsMode=CHART"
