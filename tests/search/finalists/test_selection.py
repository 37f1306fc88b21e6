"""Who the finalists are, and in which order they are trained again."""

import math
from dataclasses import replace
from typing import Any

import pytest

from pipelines.tasks import Task
from search import study as studies
from search.finalists.selection import kept_seconds, most_telling_first, plan, seed_of, select
from search.finalists.verdict import Retraining, store
from search.settings import Settings
from tests.fakes import TASK, new_study
from tests.search.finalists.scripted import METRIC, a_study, add

ON_FOLDS = replace(TASK, folds=True)


@pytest.mark.parametrize(
    ("presets", "count", "chosen"),
    [
        ({}, 2, [1, 2]),
        ({}, 9, [1, 2, 0, 3]),
        ({}, 0, []),
        ({3: "mnist_le_net", 0: "mnist_conv_net"}, 2, [1, 2, 0]),
        ({3: "mnist t004"}, 2, [1, 2]),
        ({2: "mnist_le_net"}, 2, [1, 2]),
        ({2: "mnist_le_net"}, 0, []),
    ],
)
def test_the_best_trials_and_the_best_preset_are_finalists(
    presets: dict[int, str], count: int, chosen: list[int]
) -> None:
    study = a_study([0.7, 0.9, 0.8, 0.6], presets)
    add(study, 0.99, state="pruned")
    add(study, 0.99, state="failed", cause="diverged")
    assert [number for number, _ in select(study, count)] == chosen


def test_a_preset_is_a_finalist_though_it_was_pruned_where_no_other_completed() -> None:
    study = a_study([0.7, 0.9])
    add(study, 0.5, state="pruned", epoch=2.0, preset="mnist_mlp_300")
    add(study, 0.6, state="pruned", epoch=1.0, preset="mnist_le_net")
    assert [number for number, _ in select(study, 1)] == [1, 3]
    add(study, 0.4, preset="mnist_conv_net")
    assert [number for number, _ in select(study, 1)] == [1, 4]


def test_presets_that_were_pruned_are_no_finalists_alone() -> None:
    study = new_study()
    add(study, 0.6, state="pruned", epoch=1.0, preset="mnist_le_net")
    assert select(study, 5) == []


def test_no_config_is_a_finalist_twice() -> None:
    study = a_study([0.7, 0.9])
    same = study.trials[1].user_attrs["record"]["config"]
    add(study, 0.8, config=same)
    add(study, 0.6, config=same, state="pruned", preset="mnist_le_net")
    assert [number for number, _ in select(study, 5)] == [1, 0]


@pytest.mark.parametrize(
    ("task", "draws", "expected"),
    [(TASK, None, 3), (ON_FOLDS, None, 10), (TASK, 7, 7), (ON_FOLDS, 2, 2)],
)
def test_the_plan_goes_round_by_round(task: Task, draws: int | None, expected: int) -> None:
    study = a_study([0.7, 0.9])
    planned = plan(study, task, Settings(draws=draws))
    assert [each.key for each in planned] == [
        (number, draw) for draw in range(expected) for number in (1, 0)
    ]
    divisions = [each.division for each in planned[::2]]
    assert divisions == (list(range(expected)) if task.folds else ["search"] * expected)


def test_all_configs_have_the_same_fresh_seeds() -> None:
    study = a_study([0.7, 0.9, 0.8])
    planned = plan(study, TASK, Settings(seed=3, draws=4))
    by_draw = [{each.record.seed for each in planned if each.draw == draw} for draw in range(4)]
    assert by_draw == [{seed_of(3, draw)} for draw in range(4)]
    assert len({seed_of(3, draw) for draw in range(100)}) == 100
    assert not {seed_of(3, n) for n in range(100)} & {studies.seed_of(3, n) for n in range(2000)}


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({}, 0.0),
        ({"budget_seconds": 100.0, "finalists": 0}, 0.0),
        ({"budget_seconds": 400.0}, 100.0),  # a quarter is more than they need
        ({"budget_seconds": 100.0}, 33.0),  # of two workers: two draws of 10 + 20 s, and a tenth
        ({"budget_seconds": 100.0, "finalists": 1}, 25.0),
        ({"budget_seconds": 40.0}, 20.0),  # never more than half
        ({"budget_seconds": 20.0}, 0.0),  # half would not do for the best, 11 s, even once
    ],
)
def test_of_a_budget_is_kept_what_the_best_two_need(
    settings: dict[str, Any], seconds: float
) -> None:
    study = new_study()
    add(study, 0.9, worker_seconds=10.0)
    add(study, 0.8, epoch=4.5, worker_seconds=10.0)  # stopped in its middle
    add(study, 0.7, worker_seconds=500.0)
    assert kept_seconds(study, Settings(workers=2, **settings)) == pytest.approx(seconds)


def test_before_anything_is_known_a_quarter_of_a_budget_is_kept() -> None:
    settings = Settings(budget_seconds=100.0)
    assert kept_seconds(None, settings) == kept_seconds(new_study(), settings) == 25.0


@pytest.mark.parametrize(
    ("seconds", "first"),
    [
        (math.inf, [2, 1, 0, 2, 1, 0, 2, 1, 0]),
        (60.0, [2, 1, 0, 2, 1, 0, 2, 1, 0]),
        (59.0, [2, 1, 2, 1, 0, 0, 2, 1, 0]),
        (1.0, [2, 1, 2, 1, 0, 0, 2, 1, 0]),
    ],
)
def test_in_a_short_time_fewer_configs_meet_on_two_draws(seconds: float, first: list[int]) -> None:
    study = new_study()
    for score in (0.7, 0.8, 0.9):
        add(study, score, worker_seconds=10.0)
    planned = plan(study, TASK, Settings(draws=3))
    ordered = most_telling_first(planned, seconds)
    assert [each.number for each in ordered] == first
    assert sorted(each.key for each in ordered) == sorted(each.key for each in planned)


def test_a_retraining_has_a_name_for_people() -> None:
    study = a_study([0.9])
    assert plan(study, TASK, Settings())[0].name == "t000 seed 1"
    assert plan(study, ON_FOLDS, Settings())[9].name == "t000 fold 10"


def test_what_stopped_early_is_expected_to_take_the_time_of_all_epochs() -> None:
    study = new_study()
    add(study, 0.9, epoch=3.0, worker_seconds=12.0)
    assert [attempt.expected_seconds for attempt in plan(study, TASK, Settings(draws=1))] == [36]


def test_what_was_trained_again_already_is_expected_to_take_as_long() -> None:
    study = new_study()
    add(study, 0.9, epoch=3.0, worker_seconds=12.0, train_seconds=10.0)
    for draw, seconds in enumerate((6.0, 8.0)):
        store(study, Retraining(0, draw, 1, {"epoch": 9.0, METRIC: 0.9}, 9.0, seconds))
    store(study, Retraining(0, 2, 1, {}, 1.0, 1.0, cause="diverged"))
    (attempt, *_) = plan(study, TASK, Settings(draws=1))
    assert attempt.expected_seconds == 7 + 2
