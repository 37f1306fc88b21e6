"""What is stored of a case, what is run again, and what may stand in one table."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from benchmarks import quality_cases, quality_results, quality_table, store
from benchmarks.quality_cases import OURS, PLAIN, Case
from benchmarks.quality_results import Origin, Point, Result


def result(system: str, seed: int, *points: Point, variant: str = PLAIN) -> Result:
    return Result(Case("churn", system, variant, seed), list(points))


def keep(result: Result, folder: Path) -> None:
    quality_results.keep(result, quality_results.circumstances(result.case), 180.0, folder)


def test_a_stored_case_is_not_run_again_and_is_read_as_it_was(tmp_path: Path) -> None:
    wanted = quality_cases.cases("churn", ["optuna"], 2, variants=False)
    done = Result(wanted[1], [(1.5, 0.7), (9.25, 0.81)], "exit status 1", {"a": 1}, 3)
    keep(done, tmp_path)
    assert quality_results.missing(wanted, tmp_path) == [wanted[0]]
    (kept,) = quality_results.kept("churn", tmp_path)
    assert replace(kept, origin=Origin()) == done
    assert kept.origin.setup == store.setup(store.circumstances())
    assert set(kept.origin.code) == {
        "pipelines",
        "spaces",
        "search/machine.py",
        "benchmarks/peers",
    }


def test_a_file_of_the_time_before_configs_and_hashes_is_still_read(tmp_path: Path) -> None:
    (case,) = quality_cases.cases("churn", ["optuna"], 1, variants=False)
    keep(Result(case, [(1.0, 0.7)]), tmp_path)
    path = tmp_path / f"{case.name}.json"
    file = json.loads(path.read_text())
    for name in ("started", "code", "dirty"):
        del file[name]
    for name in ("config", "n_failed"):
        del file["results"][name]
    path.write_text(json.dumps(file))
    (kept,) = quality_results.kept("churn", tmp_path)
    assert (kept.end, kept.config, kept.origin.code) == (0.7, None, {})
    assert quality_results.missing([case], tmp_path) == [case]


@pytest.mark.parametrize(
    ("changes", "is_kept"),
    [
        ({"machine": {"cpu": "another"}}, False),
        ({"machine": {"cores": 99}}, False),
        ({"versions": {"keras": "2.0"}}, False),
        ({"machine": {"memory_gib": 1}}, True),
        ({"commit": "another", "date": "2020-01-01", "dirty": True}, True),
        ({"code": {"spaces": "another"}}, False),
    ],
    ids=["cpu", "cores", "version", "memory", "commit", "code"],
)
def test_a_case_of_another_machine_version_or_code_is_run_again(
    tmp_path: Path, changes: dict[str, Any], *, is_kept: bool
) -> None:
    case = Case("churn", OURS, PLAIN, 0)
    keep(Result(case, [(1.0, 0.7)]), tmp_path)
    path = tmp_path / f"{case.name}.json"
    file = json.loads(path.read_text())
    for name, value in changes.items():
        file[name] = {**file[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(file))
    assert quality_results.missing([case], tmp_path) == ([] if is_kept else [case])


def from_(system: str, seed: int, date: str = "2026-11-22", **origin: Any) -> Result:
    return replace(result(system, seed, (1.0, 0.7)), origin=Origin(date=date, **origin))


def test_what_was_measured_elsewhere_stands_in_a_table_of_its_own() -> None:
    here = [
        from_(OURS, 0, "2026-11-23T10:00", setup="here", commit="b" * 40, dirty=True),
        from_(OURS, 1, "2026-11-22T10:00", setup="here", commit="a" * 40),
    ]
    there = from_(OURS, 2, "2026-11-21", setup="there")
    first, latest = quality_results.by_origin([*here, there])
    assert first == [there]
    assert latest == here[::-1]
    line = quality_table.origin(latest)
    assert line.startswith(
        "Measured 2026-11-22 to 2026-11-23 at commit aaaaaaa, bbbbbbb with changes on here"
    )
    assert "at commit unknown on there" in quality_table.origin(first)


def test_what_other_code_measured_stands_in_a_table_of_its_own() -> None:
    peer = from_("optuna", 0, code={"spaces": "1", "benchmarks/peers": "1"})
    old = from_(OURS, 1, "2026-11-22T09:00", code={"spaces": "1", "search": "1"})
    new = from_(OURS, 0, "2026-11-22T10:00", code={"spaces": "1", "search": "2"})
    other_space = from_("ray_asha", 0, "2026-11-20", code={"spaces": "2", "benchmarks/peers": "1"})
    unknown = from_("ray_asha", 1, "2026-11-19")
    groups = quality_results.by_origin([peer, old, new, other_space, unknown])
    assert groups == [[unknown], [other_space], [old], [peer, new]]
    assert quality_table.origin([peer, new]).endswith(
        "sources: benchmarks/peers 1, search 2, spaces 1"
    )


def test_a_changed_source_changes_the_hash(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.py").write_text("a = 1")
    (tmp_path / "part" / "notes.md").write_text("a")
    (tmp_path / "b.py").write_text("b = 1")
    with mock.patch.object(store, "ROOT", tmp_path):
        before = store.sources(["part", "b.py"])
        (tmp_path / "part" / "notes.md").write_text("b")
        assert store.sources(["part", "b.py"]) == before
        (tmp_path / "part" / "a.py").write_text("a = 2")
        after = store.sources(["part", "b.py"])
    assert after["b.py"] == before["b.py"]
    assert after["part"] != before["part"]


def test_every_source_of_a_case_is_there() -> None:
    for system in quality_cases.SYSTEMS:
        for name in Case("churn", system, PLAIN, 0).sources:
            assert (store.ROOT / name).exists()


def test_a_cpu_is_told_by_more_than_its_name() -> None:
    lines = ["model name\t: Xeon", "cpu family\t: 6", "model\t: 167", "stepping\t: 8"]
    told = "Xeon (family 6, model 167, stepping 8"
    assert store.cpu_name(lines) == f"{told})"
    flags = "flags\t: fpu avx512_bf16 amx_bf16"
    assert store.cpu_name([*lines, flags, "flags\t: "]) == f"{told}, amx_bf16, avx512_bf16)"
    assert store.cpu_name([]) == ""


def test_cases_of_another_budget_are_kept_apart() -> None:
    assert quality_results.folder_of("churn", 180.0) != quality_results.folder_of("churn", 40.0)


@pytest.mark.parametrize(
    ("target", "seconds"), [(0.5, 1.0), (0.55, 3.0), (0.6, 3.0), (0.61, math.inf)]
)
def test_the_first_point_at_the_target_counts(target: float, seconds: float) -> None:
    assert result("optuna", 0, (1.0, 0.5), (3.0, 0.6)).reached(target) == seconds


def test_a_run_without_a_score_reaches_nothing() -> None:
    assert result("optuna", 0).reached(0.0) == math.inf
