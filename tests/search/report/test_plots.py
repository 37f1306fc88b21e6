"""The plots: what is drawn, that plotly takes it, and that the still pictures are sound."""

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import study as studies
from search.report.curves import costs, gaps, learning_curves
from search.report.effects import findings
from search.report.evidence import evidence
from search.report.finalists_plot import finalists_plot
from search.report.glance import best_so_far, endings
from search.report.hyperparameters import cards, importances, interaction_plot
from search.report.mistakes import calibration, confusion, slice_plot, wilson
from search.report.plots import (
    Axis,
    Bars,
    Dots,
    Line,
    Plot,
    categories,
    limits,
    log_ticks,
    round_ticks,
    short,
    thinned,
)
from search.report.plots_live import live
from search.report.scale import score_limits, within
from search.report.stills import still
from search.report.timeline import course, timeline
from search.report.values_axis import axis_of, place_of
from search.study import Record
from spaces.domains import Choice, Float, Int
from tests.fakes import new_study
from tests.search.report.known import CONFIG, SPACE, study_of
from tests.search.report.searches import retrain, searched

SVG = "{http://www.w3.org/2000/svg}"


def drawn(plot: Plot) -> ET.Element:
    """The still picture, read as the XML that it is inside of the page."""
    picture = ET.fromstring(
        still(plot).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    )
    assert picture.get("role") == "img"
    assert picture.get("aria-label") == plot.alt
    numbers = " ".join(value for each in picture.iter() for value in each.attrib.values())
    assert "nan" not in numbers
    assert "inf" not in numbers
    return picture


def texts(plot: Plot) -> list[str]:
    return [each.text or "" for each in drawn(plot).iter(f"{SVG}text")]


def simple(*layers: Any, **axes: Axis) -> Plot:
    return Plot(
        "a-plot", "what it is", "what to see", axes.get("x", Axis()), axes.get("y", Axis()), layers
    )


def every_plot(folder: Path) -> list[Plot]:
    """All kinds of plots that the report has, of made up studies."""
    whole = searched(folder, 25)
    retrain(whole, 3, [0.9, 0.91, 0.93])
    retrain(whole, 4, [0.8, 0.81, 0.85])

    def effect(values: Any) -> float:
        gain = 0.05 if values["optimizer"] == "adam" else 0.0
        return (
            0.8 + gain - 0.01 * (math.log10(values["learning_rate"]) + 2.5) ** 2 * (1 + 9 * gain)
        )

    clear = study_of(effect, 150)
    known = evidence(clear, SPACE)
    found = findings(known, SPACE)
    plots = [
        best_so_far(whole),
        endings(whole),
        timeline(whole),
        finalists_plot(whole),
        learning_curves(whole, 3),
        *costs(whole, 3),
        importances(found),
        *[card.plot for card in cards(known, found, SPACE)],
        *[interaction_plot(pair, known) for pair in found.interactions],
        *gaps(overfitted(), SPACE),
        confusion([[5, 1], [0, 7]], ["cat", "dog"]),
        calibration(
            [
                {"confidence": 0.55, "accuracy": 0.5, "n": 20},
                {"confidence": 0.9, "accuracy": 1.0, "n": 3},
            ]
        ),
        slice_plot(
            "country",
            [
                {"value": "France", "n": 100, "error": 0.1},
                {"value": "Spain", "n": 90, "error": 0.5},
            ],
        ),
    ]
    return [plot for plot in plots if plot]


def overfitted() -> optuna.Study:
    """The gap is 20 points without dropout and none with .5."""
    study = new_study()
    for number in range(12):
        dropout = round(0.05 * number, 2)
        config = {**CONFIG, "network": {"layers": [{"units": 32, "dropout": dropout}]}}
        best = {"epoch": 8.0, "val_accuracy": 0.7, "train_accuracy": 0.9 - 0.4 * min(dropout, 0.5)}
        record = Record(config, 0, state="completed", rows=[best], best=best, epoch=8.0)
        studies.write(study, study.ask(), record)
    return study


def test_plotly_takes_every_plot(tmp_path: Path) -> None:
    from plotly.graph_objects import Figure

    plots = every_plot(tmp_path)
    assert len(plots) > 20
    for plot in plots:
        found = json.loads(live(plot))
        assert Figure(found).data  # which checks every name and value
        assert "NaN" not in live(plot)
        assert "<" not in live(plot)


def test_every_plot_has_a_still_picture_and_says_what_to_see(tmp_path: Path) -> None:
    plots = every_plot(tmp_path)
    ids = [each.get("id") for plot in plots for each in drawn(plot).iter() if each.get("id")]
    assert len(ids) == len(set(ids)) == len(plots)
    for plot in plots:
        assert len(list(drawn(plot).iter())) > 10
        assert plot.caption.endswith(".")
        assert plot.alt


def test_markup_in_names_stays_text() -> None:
    plot = simple(
        Dots("<b>&", [1, 2], [1, 2], "blue", hover=["</script>", "x"]),
        Line("two", [1], [2], "red"),
        x=categories("<i>", ["<u>"]),
    )
    assert {"<b>&", "<i>"} <= set(texts(plot))
    assert "</script>" not in live(plot)
    assert json.loads(live(plot))["data"][0]["text"][0] == "</script>"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.8, 0.9, ["0.80", "0.82", "0.84", "0.86", "0.88", "0.90"]),
        (0, 12, ["0", "2", "4", "6", "8", "10", "12"]),
        (-30, 30, ["-30", "-20", "-10", "0", "10", "20", "30"]),
        (0, 250_000, ["0", "50k", "100k", "150k", "200k", "250k"]),
        (0.87123, 0.87145, ["0.87125", "0.87130", "0.87135", "0.87140", "0.87145"]),
    ],
)  # fmt: skip
def test_round_ticks(low: float, high: float, expected: list[str]) -> None:
    assert [text for _, text in round_ticks(low, high)] == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_round_ticks_are_few_different_and_inside(low: float, span: float) -> None:
    found = round_ticks(low, low + span)
    assert 1 <= len(found) <= 8
    slack = 1e-6 * max(span, abs(low))
    assert all(low - slack <= place <= low + span + slack for place, _ in found)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e-7, 1e-2, ["1e-7", "1e-6", "1e-5", "0.0001", "0.001", "0.01"]),
        (8, 256, ["10", "20", "50", "100", "200"]),
        (1e3, 1e6, ["1000", "10k", "100k", "1M"]),
    ],
)
def test_log_ticks(low: float, high: float, expected: list[str]) -> None:
    assert [text for _, text in log_ticks(low, high)] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.002, "0.002"), (1e-5, "1e-5"), (2.5e-4, "0.00025"), (512, "512"), (20_000, "20k"), (1.5e6, "1.5M"), (0, "0")],
)  # fmt: skip
def test_short_numbers(value: float, expected: str) -> None:
    assert short(value) == expected


@pytest.mark.parametrize(("count", "most", "kept"), [(3, 5, 3), (5, 5, 5), (400, 40, 40)])
def test_a_long_curve_is_thinned_with_both_its_ends(count: int, most: int, kept: int) -> None:
    found = thinned(range(count), most)
    assert (len(found), found[0], found[-1]) == (kept, 0, count - 1)


def test_bars_start_at_zero_and_lines_do_not() -> None:
    assert limits(simple(Bars("", [0], [5], "blue")), "y")[0] == 0
    assert limits(simple(Line("", [1, 2], [5, 6], "blue")), "y")[0] > 4


def test_zero_has_a_place_of_its_own_on_a_log_axis() -> None:
    domain = Float(1e-6, 1e-2, log=True, zero=True)
    axis = axis_of("l2", domain, ())
    assert axis.ticks[0][1] == "0"
    assert axis.low is not None
    assert axis.low < place_of(domain, (), 0.0) == axis.ticks[0][0] < 1e-6
    assert place_of(domain, (), 1e-3) == 1e-3


@pytest.mark.parametrize(
    ("domain", "ticks"),
    [
        (Int(1, 3), ["1", "2", "3"]),
        (Choice(False, True), ["no", "yes"]),
        (Choice(0.9, 0.999), ["0.9", "0.999"]),
        (Float(0.0, 0.6, step=0.05), []),
    ],
)
def test_axes_of_values(domain: Any, ticks: list[str]) -> None:
    choices = domain.values if isinstance(domain, Choice) else ()
    assert [text for _, text in axis_of("a name", domain, choices).ticks] == ticks


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_who_learned_nothing_does_not_hide_the_rest(sign: float) -> None:
    scores = [sign * score for score in (0.1, 0.86, 0.87, 0.88, 0.89, 0.9)]
    low, high = score_limits(scores, sign)
    assert high - low < 0.2
    assert sum(low <= score <= high for score in scores) == 5


def test_what_lies_beyond_the_frame_is_a_triangle_on_its_edge() -> None:
    dots = Dots("some", [1, 2, 3], [0.5, 0.1, 0.99], "blue", hover=["a", "b", "c"])
    inside, below, above = within(dots, 0.4, 0.9)
    assert isinstance(inside, Dots)
    assert isinstance(below, Dots)
    assert isinstance(above, Dots)
    assert (inside.x, inside.hover, inside.name) == ([1], ["a"], "some")
    assert (below.symbol, below.x, below.name) == ("triangle-down", [2], "")
    assert (above.symbol, above.hover) == ("triangle-up", ["c"])
    assert all(0.4 < y < 0.9 for y in (*below.y, *above.y))


def test_the_best_so_far_rises_with_completed_trials_only(tmp_path: Path) -> None:
    study = searched(tmp_path, 20)
    plot = best_so_far(study)
    assert plot is not None
    (line,) = (layer for layer in plot.layers if isinstance(layer, Line))
    heights = [y for y in line.y if y is not None]
    assert heights == sorted(heights)
    best = studies.best_first(study, ("completed",))[0][1]
    assert heights[-1] == best.best["val_accuracy"]
    times = [x for x in line.x if x is not None]
    spent = sum(r.worker_seconds for t in study.get_trials() if (r := studies.read(t)))
    assert times[-1] == pytest.approx(spent)


def test_every_trial_ended_in_some_way(tmp_path: Path) -> None:
    study = searched(tmp_path, 20, faults={(2, 0): "memory"}, stop_at=60)
    plot = endings(study)
    assert plot is not None
    counts = [layer.values[0] for layer in plot.layers if isinstance(layer, Bars)]
    assert sum(counts) == len(study.get_trials())
    ways = " ".join(text for _, text in plot.y.ticks)
    assert "pruned at epoch 1" in ways
    assert "failed: out of memory" in ways


def test_trials_at_the_same_time_stand_in_different_rows(tmp_path: Path) -> None:
    found = course(searched(tmp_path, 10))
    assert len(found.spans) == 10
    assert found.n_rows >= 1
    for row in range(found.n_rows):
        own = sorted((a, b) for r, a, b in found.spans.values() if r == row)
        assert all(after[0] >= before[0] for before, after in pairwise(own))


def test_a_gap_narrows_with_dropout() -> None:
    (plot,) = gaps(overfitted(), SPACE)
    assert plot.key == "gap-dropout"
    assert "from +17.0 to +1.0 points" in plot.caption


@pytest.mark.parametrize(("n", "share"), [(10, 0.0), (10, 1.0), (400, 0.25)])
def test_wilsons_interval_holds_the_share(n: int, share: float) -> None:
    low, high = wilson(share, n)
    assert 0 <= low <= share <= high <= 1
    assert high - low < 2 / math.sqrt(n)


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe (1998), table I: 81 of 263.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)


@pytest.mark.parametrize(
    ("errors", "told"), [((0.1, 0.5), "Most mistakes at b"), ((0.1, 0.12), "No value stands out")]
)
def test_a_group_stands_out_when_the_intervals_lie_apart(
    errors: Sequence[float], told: str
) -> None:
    rows = [{"value": v, "n": 200, "error": e} for v, e in zip("ab", errors, strict=True)]
    assert told in slice_plot("letter", rows).caption


def test_the_most_frequent_mistake_is_told() -> None:
    plot = confusion([[8, 2, 0], [0, 9, 1], [5, 0, 5]], ["cat", "dog", "cow"])
    assert plot is not None
    assert "cow taken for cat, 5 times (50% of all cow)" in plot.caption
    assert texts(plot).count("5") == 2


def test_nothing_wrong_is_said_too() -> None:
    plot = confusion(np.eye(3, dtype=int).tolist(), ["a", "b", "c"])
    assert plot is not None
    assert plot.caption == "No row is answered wrong."
    assert confusion([[0, 0], [0, 0]], ["a", "b"]) is None


def test_a_network_too_sure_of_itself_is_called_so() -> None:
    plot = calibration([{"confidence": 0.9, "accuracy": 0.7, "n": 100}])
    assert plot is not None
    assert "surer of itself than it is right, by 20.0 points" in plot.caption
    assert calibration([{"confidence": 0.9, "accuracy": 0.7, "n": 0}]) is None


def test_on_the_front_nobody_is_better_for_less(tmp_path: Path) -> None:
    study = searched(tmp_path, 25)
    _, seconds = costs(study, None)
    (line,) = (layer for layer in seconds.layers if isinstance(layer, Line))
    points = list(zip(line.x, line.y, strict=True))
    assert points == sorted(points)
    for number, record in studies.best_first(study, ("completed",)):
        score, cost = record.best["val_accuracy"], record.train_seconds
        better = [y for x, y in points if x is not None and y is not None and x <= cost]
        assert max(better) >= score, number


def test_without_trials_there_is_nothing_to_draw() -> None:
    study = new_study()
    assert best_so_far(study) is None
    assert endings(study) is None
    assert timeline(study) is None
    assert finalists_plot(study) is None
    assert learning_curves(study, None) is None
    assert costs(study, None) == []
    assert gaps(study, SPACE) == []
