"""Settings and the times of day that a user writes."""

import math
from typing import Any

import pytest

from search.settings import TRIALS, Settings, parse_duration
from spaces.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h0m5s", 3605),
        ("0h1s", 1),
        (" 2M ", 120),
    ],
)
def test_reads_a_duration(text: str, seconds: float) -> None:
    assert parse_duration("--budget", text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "-5m", "5 m", "1d", "1h30", "1e3s", "1..5h", "five minutes", "nan"]
)
def test_an_unreadable_duration_shows_how_to_write_one(text: str) -> None:
    with pytest.raises(InputError, match=r"--budget needs a time such as .*30m") as caught:
        parse_duration("--budget", text)
    assert f"'{text}'" in str(caught.value)


@pytest.mark.parametrize("text", ["0s", "0m", "0h0m0s", "0.0h"])
def test_no_time_at_all_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--timeout must be longer than 0, got"):
        parse_duration("--timeout", text)


TOO_SHORT = (
    "--timeout must be at least 30s, got 29s: a worker needs that to start and to build a network."
)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"trials": 0}, "--trials must be at least 1, got 0."),
        ({"trials": -3}, "--trials must be at least 1, got -3."),
        ({"workers": 0}, "--workers must be at least 1, got 0."),
        ({"seed": -1}, "--seed must be at least 0, got -1."),
        ({"epochs": 0}, "--epochs must be at least 1, got 0."),
        ({"finalists": -1}, "--finalists must be at least 0, got -1."),
        ({"draws": 0}, "--seeds must be at least 1, got 0."),
        ({"timeout_seconds": 29.0}, TOO_SHORT),
    ],
)
def test_a_number_that_is_too_small_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Settings(**wrong)
    assert str(caught.value) == sentence


def test_the_smallest_numbers_are_fine() -> None:
    settings = Settings(trials=1, workers=1, seed=0, epochs=1, timeout_seconds=30.0)
    assert settings.budget_seconds is None


@pytest.mark.parametrize(
    ("trials", "budget", "most"),
    [(None, None, TRIALS), (None, 60.0, math.inf), (7, None, 7), (7, 60.0, 7)],
)
def test_trials_end_a_search_unless_only_a_budget_is_given(
    trials: int | None, budget: float | None, most: float
) -> None:
    assert Settings(trials=trials, budget_seconds=budget).most_trials == most
