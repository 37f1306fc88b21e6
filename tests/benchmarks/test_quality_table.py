"""The tables of the comparison: targets, ratios and what stands below."""

import math
from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks import quality_table
from benchmarks.quality_cases import OURS, PLAIN, SYSTEMS, Case
from benchmarks.quality_results import Point, Result


def result(system: str, seed: int, *points: Point, variant: str = PLAIN) -> Result:
    return Result(Case("churn", system, variant, seed), list(points))


def test_the_target_is_the_end_of_the_best_peers_median_run() -> None:
    results = [
        result(OURS, 0, (1.0, 0.99)),
        result("optuna", 0, (1.0, 0.7)),
        result("optuna", 1, (1.0, 0.8)),
        result("optuna", 2, (1.0, 0.9)),
        result("ray_asha", 0, (1.0, 0.75)),
        result("optuna", 0, (1.0, 0.95), variant="presets"),
    ]
    groups = quality_table.by_title(results)
    assert {title: len(group) for title, group in groups.items()} == {
        "hpsearch": 1,
        "Optuna": 3,
        "Optuna + our starts": 1,
        "Ray Tune ASHA": 1,
    }
    best, *others = quality_table.peers_of(groups)
    assert quality_table.median_run(best) == results[2]
    assert others == [groups["Ray Tune ASHA"]]


@pytest.mark.parametrize(
    ("ends", "expected"), [((0.7,), 0.7), ((0.7, 0.8), 0.7), ((0.9, 0.7, 0.8), 0.8)]
)
def test_at_least_half_of_the_best_peers_runs_reach_the_target(
    ends: tuple[float, ...], expected: float
) -> None:
    runs = [result("optuna", seed, (5.0, end)) for seed, end in enumerate(ends)]
    best = quality_table.median_run(runs)
    assert best.end == expected
    assert math.isfinite(quality_table.median_time(runs, best.end))


def cells(table: Table) -> dict[str, list[str]]:
    columns = [list(column.cells) for column in table.columns]
    return {str(row[0]): [str(cell) for cell in row[1:]] for row in zip(*columns, strict=True)}


def test_without_peers_there_is_no_target() -> None:
    table = quality_table.show([result(OURS, 0, (1.0, 0.9))], "val_auc", 180.0)
    assert cells(table) == {"hpsearch": ["1", "0.9000", "0.9000-0.9000", "", "", ""]}


RESULTS = [
    result("optuna", 0, (10.0, 0.5), (100.0, 0.8)),
    result("optuna", 1, (80.0, 0.8)),
    result("optuna", 2, (120.0, 0.81)),
    result(OURS, 0, (20.0, 0.85)),
    result(OURS, 1, (25.0, 0.9)),
    result(OURS, 2, (90.0, 0.88)),
    result(OURS, 0, (30.0, 0.82), variant="no_presets"),
    *(result("ray_asha", seed, (50.0, end)) for seed, end in enumerate((0.7, 0.81, 0.6))),
]


def test_the_table_shows_how_many_times_sooner_the_target_was_reached() -> None:
    assert cells(quality_table.show(RESULTS, "val_auc", 180.0)) == {
        "hpsearch": ["3", "0.8800", "0.8500-0.9000", "", "25", "4.0x (1.3-5.0)"],
        "hpsearch, no starting points": ["1", "0.8200", "0.8200-0.8200", "", "30", "3.3x"],
        "Optuna": ["3", "0.8000", "0.8000-0.8100", "", "100", ""],
        "Ray Tune ASHA": [
            *("3", "0.7000", "0.6000-0.8100", ""),
            *("never (1 of 3)", "<0.6x (0.0-1.6)"),
        ],
    }


def test_the_other_table_has_each_peers_own_end_as_a_target() -> None:
    assert cells(quality_table.show_targets(RESULTS, 180.0)) == {
        "Optuna": ["0.8000", "100", "25", "4.0x (1.3-5.0)", "30", "3.3x"],
        "Ray Tune ASHA": ["0.7000", "50", "25", "2.0x (2.0-inf)", "30", "1.7x"],
    }


def test_the_tables_are_no_wider_than_a_page() -> None:
    never = [
        replace(each, confirmed=[0.8]) if each.case.seed else each
        for system, variant in [*((s, PLAIN) for s in SYSTEMS), (OURS, "no_presets")]
        for seed in range(5)
        for each in [result(system, seed, (100.0 + seed, 0.6 + 0.01 * seed), variant=variant)]
    ]
    for table in (
        quality_table.show(never, "val_accuracy", 600.0),
        quality_table.show_targets(never, 600.0),
    ):
        assert Console(width=200).measure(table).maximum <= quality_table.WIDTH


def test_the_mean_of_what_was_trained_again_is_over_whole_cases() -> None:
    first, second = result(OURS, 0, (1.0, 0.9)), result(OURS, 1, (1.0, 0.9))
    assert quality_table.again([first, second]) == ""
    first = replace(first, confirmed=[0.8, 0.9])
    assert quality_table.again([first]) == "0.8500"
    assert quality_table.again([first, replace(second, confirmed=[0.8, None])]) == "0.8500 (1)"


def test_notes_and_failures_stand_below_the_table() -> None:
    killed = replace(RESULTS[1], note="killed 30 s after its time\n  its last line", n_failed=2)
    lines = quality_table.remarks([*RESULTS, killed])[len(quality_table.LEGEND) :]
    assert lines == [
        "Trials that failed, of all seeds: Optuna 2.",
        "Optuna, seed 1: killed 30 s after its time.",
    ]
