"""The logic around the cases: what is run, stored, read and compared. Nothing is trained."""

import json
import math
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
import pytest

from benchmarks import no_pruning, quality, quality_cases, quality_table, store
from benchmarks.quality_cases import OURS, PLAIN, Case, Point, Result
from search.pruner import SparingHalving


def result(system: str, seed: int, *points: Point, variant: str = PLAIN) -> Result:
    return Result(Case("churn", system, variant, seed), list(points))


def test_cases_are_interleaved_by_seed() -> None:
    found = quality_cases.cases("churn", [OURS, "optuna"], 2, variants=False)
    assert [(case.seed, case.system) for case in found] == [
        (0, OURS),
        (0, "optuna"),
        (1, OURS),
        (1, "optuna"),
    ]


@pytest.mark.parametrize(("task", "has_float32"), [("fashion", True), ("churn", False)])
def test_tables_have_no_variant_of_precision(task: str, *, has_float32: bool) -> None:
    found = quality_cases.cases(task, [OURS], 1, variants=True)
    assert found[0].variant == PLAIN
    assert ("float32" in {case.variant for case in found}) == has_float32


def test_every_variant_of_every_system_has_a_title() -> None:
    found = quality_cases.cases("fashion", quality_cases.SYSTEMS, 1, variants=True)
    assert len({case.title for case in found}) == len(found)


def test_a_stored_case_is_not_run_again_and_is_read_as_it_was(tmp_path: Path) -> None:
    wanted = quality_cases.cases("churn", [OURS, "optuna"], 1, variants=False)
    done = Result(wanted[1], [(1.5, 0.7), (9.25, 0.81)], "exit status 1")
    quality_cases.keep(done, 180.0, tmp_path)
    assert quality_cases.missing(wanted, tmp_path) == [wanted[0]]
    (kept,) = quality_cases.kept("churn", tmp_path)
    assert replace(kept, setup="", commit="", date="") == done
    assert kept.setup == store.setup(store.circumstances())


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        ({"machine": {"cpu": "another"}}, False),
        ({"machine": {"cores": 99}}, False),
        ({"versions": {"keras": "2.0"}}, False),
        ({"machine": {"memory_gib": 1}}, True),
        ({"commit": "another", "date": "2020-01-01"}, True),
    ],
    ids=["cpu", "cores", "version", "memory", "commit"],
)
def test_a_case_of_another_machine_or_version_is_run_again(
    tmp_path: Path, changes: dict[str, Any], *, is_kept: bool
) -> None:
    (case,) = quality_cases.cases("churn", [OURS], 1, variants=False)
    quality_cases.keep(Result(case, [(1.0, 0.7)]), 180.0, tmp_path)
    path = tmp_path / f"{case.name}.json"
    file = json.loads(path.read_text())
    for name, value in changes.items():
        file[name] = {**file[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(file))
    assert quality_cases.missing([case], tmp_path) == ([] if is_kept else [case])


def test_what_was_measured_elsewhere_stands_in_a_table_of_its_own() -> None:
    here = [
        replace(result(OURS, seed, (1.0, 0.9)), setup="here", commit=commit, date=date)
        for seed, commit, date in [(0, "b" * 40, "2026-11-23"), (1, "a" * 40, "2026-11-22")]
    ]
    there = replace(result(OURS, 2, (1.0, 0.7)), setup="there", date="2026-11-21")
    latest, first = quality_table.by_setup([*here, there])[::-1]
    assert first == [there]
    assert latest == here[::-1]
    line = "Measured 2026-11-22 to 2026-11-23 at commit aaaaaaa, bbbbbbb on here"
    assert quality_table.origin(latest) == line
    assert quality_table.origin(first) == "Measured 2026-11-21 at commit unknown on there"


def test_cases_of_another_budget_are_kept_apart() -> None:
    assert quality_cases.folder_of("churn", 180.0) != quality_cases.folder_of("churn", 40.0)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        ([(1.0, 0.5), (2.0, 0.4), (3.0, 0.6)], [(1.0, 0.5), (3.0, 0.6)]),
        ([(3.0, 0.6), (1.0, 0.5)], [(1.0, 0.5), (3.0, 0.6)]),
        ([(9.0, 0.5), (10.0, 0.6), (10.1, 0.9)], [(9.0, 0.5), (10.0, 0.6)]),
        ([(1.0, 0.5), (2.0, 0.5)], [(1.0, 0.5)]),
    ],
    ids=["none", "worse", "unsorted", "too late", "equal"],
)
def test_a_trajectory_is_the_best_so_far_within_the_budget(
    events: list[Point], expected: list[Point]
) -> None:
    assert quality.trajectory(events, 10.0) == expected


@pytest.mark.parametrize(
    ("target", "seconds"), [(0.5, 1.0), (0.55, 3.0), (0.6, 3.0), (0.61, math.inf)]
)
def test_the_first_point_at_the_target_counts(target: float, seconds: float) -> None:
    assert result("optuna", 0, (1.0, 0.5), (3.0, 0.6)).reached(target) == seconds


def test_a_run_without_a_score_reaches_nothing() -> None:
    assert result("optuna", 0).reached(0.0) == math.inf


def test_only_the_metric_is_read_from_mlflow_and_no_nan(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE metrics (key, value, timestamp, is_nan)")
        connection.executemany(
            "INSERT INTO metrics VALUES (?, ?, ?, ?)",
            [
                ("val_auc", 0.8, 1_002_500, False),
                ("val_auc", 0.0, 1_003_000, True),
                ("best_val_auc", 0.9, 1_004_000, False),
            ],
        )
    connection.close()
    assert quality.logged_scores(database, "val_auc", began=1000.0) == [(2.5, 0.8)]


def test_a_search_that_never_came_to_mlflow_has_no_scores(tmp_path: Path) -> None:
    assert quality.logged_scores(tmp_path / "mlflow.db", "val_auc", began=0.0) == []
    assert list(tmp_path.iterdir()) == []


def test_the_target_is_the_end_of_the_best_peers_median_run() -> None:
    results = [
        result(OURS, 0, (1.0, 0.99)),
        result("optuna", 0, (1.0, 0.7)),
        result("optuna", 1, (1.0, 0.8)),
        result("optuna", 2, (1.0, 0.9)),
        result("ray_asha", 0, (1.0, 0.75)),
        result("optuna", 0, (1.0, 0.95), variant="presets"),
    ]
    best, groups = quality_table.summary(results)
    assert best == results[2]
    assert {title: len(group) for title, group in groups.items()} == {
        "hpsearch": 1,
        "Optuna": 3,
        "Optuna + presets": 1,
        "Ray Tune ASHA": 1,
    }


@pytest.mark.parametrize(
    ("ends", "expected"), [((0.7,), 0.7), ((0.7, 0.8), 0.7), ((0.9, 0.7, 0.8), 0.8)]
)
def test_at_least_half_of_the_best_peers_runs_reach_the_target(
    ends: tuple[float, ...], expected: float
) -> None:
    runs = [result("optuna", seed, (5.0, end)) for seed, end in enumerate(ends)]
    best, _ = quality_table.summary(runs)
    assert best is not None
    assert best.end == expected
    assert math.isfinite(quality_table.median_time(runs, best.end))


def test_without_peers_there_is_no_target() -> None:
    best, groups = quality_table.summary([result(OURS, 0, (1.0, 0.9))])
    assert best is None
    assert list(groups) == ["hpsearch"]


def cells(results: list[Result]) -> dict[str, list[str]]:
    columns = [list(column.cells) for column in quality_table.show(results, "val_auc").columns]
    return {str(row[0]): [str(cell) for cell in row[1:]] for row in zip(*columns, strict=True)}


def test_the_table_shows_how_many_times_sooner_the_target_was_reached() -> None:
    results = [
        result("optuna", 0, (10.0, 0.5), (100.0, 0.8)),
        result(OURS, 0, (20.0, 0.85)),
        result(OURS, 1, (25.0, 0.9)),
        result(OURS, 2, (90.0, 0.88)),
    ]
    assert cells(results) == {
        "hpsearch": ["3", "0.8800", "0.8500-0.9000", "25", "4.0x"],
        "Optuna": ["1", "0.8000", "0.8000-0.8000", "100", "1.0x"],
    }


def test_the_table_says_when_most_runs_do_not_reach_the_target() -> None:
    results = [
        result("optuna", 0, (100.0, 0.8)),
        *(result("ray_asha", seed, (50.0, end)) for seed, end in enumerate((0.7, 0.81, 0.6))),
    ]
    assert cells(results)["Ray Tune ASHA"][3:] == ["not reached (1 of 3)", ""]


def test_the_search_is_started_as_a_user_would(tmp_path: Path) -> None:
    words = quality.command(Case("churn", OURS, "one_worker", 3), 180.0, tmp_path, 0.0)
    assert Path(words[0]).name == "hpsearch"
    line = " ".join(words[1:])
    assert line.startswith("search churn --seed 3 ")
    assert "--budget 180s" in line
    assert line.endswith("--workers 1")


def test_the_search_without_pruning_has_a_command_of_its_own(tmp_path: Path) -> None:
    words = quality.command(Case("churn", OURS, "no_pruning", 3), 180.0, tmp_path, 0.0)
    assert " ".join(words[1:]).startswith("-m benchmarks.no_pruning search churn --seed 3 ")


def test_without_pruning_no_trial_falls_behind() -> None:
    judged = []

    def search() -> None:
        study = optuna.create_study(direction="maximize", pruner=SparingHalving())
        for score in (0.9, 0.1, 0.2):
            trial = study.ask()
            trial.report(score, 1)
            judged.append(trial.should_prune())

    with mock.patch("search.cli.main", search), mock.patch("search.fork_server.start"):
        no_pruning._main()
    assert judged == [False] * 3


def test_a_peer_is_told_what_counts_against_its_time(tmp_path: Path) -> None:
    words = quality.command(Case("fashion", "optuna", "presets", 1), 600.0, tmp_path, 1234.5)
    line = " ".join(words[1:])
    assert line.startswith("-m benchmarks.peers optuna fashion --seed 1 --variant presets")
    assert "--began 1234.5 --budget 600.0" in line
