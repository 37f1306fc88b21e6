"""What came of the cases of `benchmarks.quality`, and how it is stored."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import store
from benchmarks.quality_cases import BUDGETS, Case

Point = tuple[float, float]
"""Seconds since the process started, and the best score so far."""


@dataclass(frozen=True)
class Origin:
    """Where, when and by which code a stored case was run, all as it was when it began.

    Attributes:
        setup: As `store.setup` says it.
        code: Hashes of what the case depends on, by name; empty where none were kept yet.
        dirty: Sources differed from the commit.
        date: With the time of day, but for old files.
    """

    setup: str = ""
    code: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    dirty: bool = False
    date: str = ""


@dataclass(frozen=True)
class Result:
    """What came of a case.

    Attributes:
        note: What was odd about it, if anything: one line, and the last of its output.
        config: Of the best score, as JSON holds it; None in old files.
        n_failed: Trials that ended by an error or without a number.
        confirmed: Scores of the config on the folds or seeds of `quality_confirm`, None where
            it could not be trained; empty as long as nobody asked.
    """

    case: Case
    trajectory: list[Point]
    note: str = ""
    config: Mapping[str, Any] | None = None
    n_failed: int = 0
    confirmed: Sequence[float | None] = ()
    origin: Origin = Origin()

    @property
    def end(self) -> float:
        return self.trajectory[-1][1] if self.trajectory else -math.inf

    def reached(self, target: float) -> float:
        """Seconds until the target was reached, infinite if it never was."""
        return next((seconds for seconds, score in self.trajectory if score >= target), math.inf)


def folder_of(task: str, budget: float) -> Path:
    """Cases with another budget are kept apart."""
    own = task if budget == BUDGETS[task] else f"{task}-{budget:g}s"
    return store.FOLDER / "quality" / own


def circumstances(case: Case) -> dict[str, Any]:
    """Under which the case begins now."""
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return {**store.circumstances(), "started": started, "code": store.sources(case.sources)}


def missing(wanted: Iterable[Case], folder: Path) -> list[Case]:
    """The cases that have not been run on this machine with these versions and this code."""
    here = store.setup(store.circumstances())
    return [case for case in wanted if not _is_done(case, here, store.load(case.name, folder))]


def _is_done(case: Case, here: str, file: Mapping[str, Any] | None) -> bool:
    if file is None or store.setup(file) != here:
        return False
    return bool(file.get("code") == store.sources(case.sources))


def keep(result: Result, taken: Mapping[str, Any], budget: float, folder: Path) -> None:
    content = {
        **asdict(result.case),
        "budget_seconds": budget,
        "note": result.note,
        "n_failed": result.n_failed,
        "config": result.config,
        "trajectory": [[round(seconds, 2), score] for seconds, score in result.trajectory],
    }
    store.save(result.case.name, content, folder, taken)


def kept(task: str, folder: Path) -> list[Result]:
    """All that is stored, old files included, which lack some of it."""
    return [_read(task, store.load(path.stem, folder)) for path in sorted(folder.glob("*.json"))]


def _read(task: str, file: Any) -> Result:  # noqa: ANN401 - JSON
    content = file["results"]
    return Result(
        Case(task, content["system"], content["variant"], content["seed"]),
        [(seconds, score) for seconds, score in content["trajectory"]],
        content["note"],
        content.get("config"),
        content.get("n_failed", 0),
        content.get("confirmed", ()),
        Origin(
            store.setup(file),
            file.get("code", {}),
            file["commit"],
            file.get("dirty", False),
            file.get("started", file["date"]),
        ),
    )


def by_origin(results: Sequence[Result]) -> list[list[Result]]:
    """The results of each machine, versions and code, the latest at the end: one table each.

    Systems depend on different parts of the code. Those stand together that have all common
    parts in common, with the latest where that leaves a choice.
    """
    groups: list[tuple[Origin, dict[str, str], list[Result]]] = []
    for result in sorted(results, key=lambda result: result.origin.date, reverse=True):
        for origin, code, members in groups:
            if origin.setup == result.origin.setup and _agree(code, result.origin.code):
                code.update(result.origin.code)
                members.append(result)
                break
        else:
            groups.append((result.origin, dict(result.origin.code), [result]))
    return [members[::-1] for _, _, members in reversed(groups)]


def _agree(code: Mapping[str, str], other: Mapping[str, str]) -> bool:
    known = bool(code) == bool(other)
    return known and all(other.get(name, value) == value for name, value in code.items())
