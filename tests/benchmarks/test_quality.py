"""The cases of the comparison and the loop over them. Nothing is trained."""

from pathlib import Path
from unittest import mock

import pytest

from benchmarks import quality, quality_cases, quality_run
from benchmarks.quality_cases import OURS, PLAIN, Case
from benchmarks.quality_results import Result
from benchmarks.quality_run import EarlyEndError


def test_cases_are_interleaved_by_seed() -> None:
    found = quality_cases.cases("churn", [OURS, "optuna"], 2, variants=False)
    assert [(case.seed, case.system) for case in found] == [
        (0, OURS),
        (0, OURS),
        (0, "optuna"),
        (1, OURS),
        (1, OURS),
        (1, "optuna"),
    ]


def test_our_search_is_always_shown_without_its_starting_points_too() -> None:
    found = quality_cases.cases("churn", quality_cases.SYSTEMS, 1, variants=False)
    ours = [case for case in found if case.system == OURS]
    assert [case.title for case in ours] == ["hpsearch", "hpsearch, no starting points"]
    assert "--no-presets" in quality_run.command(ours[1], 180.0, Path(), 0.0)
    assert len(found) == len(quality_cases.SYSTEMS) + 1


@pytest.mark.parametrize(("task", "has_float32"), [("fashion", True), ("churn", False)])
def test_tables_have_no_variant_of_precision(task: str, *, has_float32: bool) -> None:
    found = quality_cases.cases(task, [OURS], 1, variants=True)
    assert found[0].variant == PLAIN
    assert ("float32" in {case.variant for case in found}) == has_float32


def test_every_variant_of_every_system_has_a_title() -> None:
    found = quality_cases.cases("fashion", quality_cases.SYSTEMS, 1, variants=True)
    assert len({case.title for case in found}) == len(found)


def test_a_case_that_failed_is_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [Case("churn", "optuna", PLAIN, seed) for seed in (0, 1)]
    results = [EarlyEndError("no score"), Result(wanted[1], [(1.0, 0.7)])]
    with mock.patch("benchmarks.quality.run", side_effect=results):
        assert not quality.run_all(wanted, 180.0, tmp_path)
    assert [path.stem for path in tmp_path.iterdir()] == [wanted[1].name]
    assert "seed 0 Optuna: not kept: no score" in capsys.readouterr().out
