"""Numbers as people read them in a line of text."""

import math

import pytest

from search.texts import sparkline


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([0.5], "▁"),
        ([0.5, 0.5, 0.5], "▁▁▁"),
        ([0, 1], "▁█"),
        ([0, 0.5, 1], "▁▅█"),
        ([-1, -2, -3], "█▅▁"),
        (range(8), "▁▂▃▄▅▆▇█"),
        ([1e-12, 2e-12], "▁█"),
    ],
)
def test_sparkline(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars


def test_a_score_that_is_no_number_does_not_break_the_sparkline() -> None:
    assert sparkline([0.0, 1.0, math.nan]).startswith("▁█")
    assert len(sparkline([math.nan])) <= 1
