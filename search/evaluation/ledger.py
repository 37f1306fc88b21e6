"""The ledger: every time that the sealed test set of a task was opened.

A file in `--runs-dir` has a line for each, and a study's own are in its user attributes as well.
"""

import contextlib
import fcntl
import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from pydantic import TypeAdapter

from search.checkpoints import write_whole
from search.texts import times
from search.tracking.trial_log import trial_name

Interval = tuple[float, float]


@dataclass(frozen=True)
class Score:
    """One score on the test rows.

    Attributes:
        values: One a seed.
        interval: 95 %, of the mean over seeds; None for a single seed.
        sampling: 95 %, of what other test rows would have given; None where it was not worked out.
    """

    values: tuple[float, ...]
    interval: Interval | None = None
    sampling: Interval | None = None

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def text(self) -> str:
        """As people read it: 0.9412 (95 %: 0.9401 to 0.9423 over 5 seeds)."""
        n_seeds = "1 seed" if len(self.values) == 1 else f"{len(self.values)} seeds"
        known = [(self.interval, n_seeds), (self.sampling, "test rows")]
        spread = ", ".join(f"{i[0]:.4f} to {i[1]:.4f} over {of}" for i, of in known if i)
        return f"{self.mean:.4f} ({f'95 %: {spread}' if spread else n_seeds})"


@dataclass(frozen=True)
class Opening:
    """The test rows were read, be it that their scores came to be known or not.

    Attributes:
        study: What was scored: a study's winner, or another name for what belongs to no study.
        number: Of this opening among those for the study, from 1.
        time: UTC, in ISO 8601.
        trial: Number of the trial whose config was scored; None for what is no trial.
        seeds: Those of the trainings that were to be scored.
        epochs: That each of them took.
        metric: The score that stands for all others, such as `accuracy`.
        promised: What validation said of that score.
        scores: By name, `metric` among them; empty if the scoring never ended.
        ensemble: Of the mean of what all scored networks say, by name; empty for fewer than two.
        thresholds: Of F1 for two classes, one a scored seed.
        failed: Why the training of a seed could not be scored.
        data_digest: Of the rows that the study searched on.
        test_digest: Of the test rows; empty if the scoring never ended.
    """

    task: str
    study: str
    metric: str
    data_digest: str
    number: int = 0
    time: str = ""
    trial: int | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    epochs: float = 0.0
    promised: float | None = None
    scores: Mapping[str, Score] = field(default_factory=dict)
    ensemble: Mapping[str, Score] = field(default_factory=dict)
    thresholds: tuple[float, ...] = ()
    failed: Mapping[int, str] = field(default_factory=dict)
    test_digest: str = ""
    precision: str = ""
    command: str = ""
    commit: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """Names the opening: two folders can each have the first one for a study."""
        return self.study, self.time, self.number

    @property
    def gap(self) -> float | None:
        """What the test gave less what validation promised."""
        if self.promised is None or not self.scores:
            return None
        return self.scores[self.metric].mean - self.promised

    def line(self) -> str:
        """As it stands in the ledger: JSON, with the means and the gap for people."""
        stored = asdict(self)
        for what, scores in (("scores", self.scores), ("ensemble", self.ensemble)):
            for name, score in scores.items():
                stored[what][name] = {"mean": score.mean, **stored[what][name]}
        return json.dumps({**stored, "gap": self.gap})


_PARSER = TypeAdapter(Opening)
_KEPT = "opening_"
"""Begins the names of a study's user attributes that hold openings."""


def openings(runs_dir: Path, study: optuna.Study) -> list[Opening]:
    """All openings for a study, the first one first; also those whose scores never came.

    The folder and the study's storage each have those that the other lacks: a study can be
    evaluated from several folders, and a folder can be lost.
    """
    filed = filed_openings(runs_dir, study.user_attrs["task"], study.study_name)
    return _union(filed, _kept(study.user_attrs))


def filed_openings(runs_dir: Path, task: str, name: str) -> list[Opening]:
    """Those in the folder alone: all that there are for what belongs to no study."""
    return [opening for opening in _read(_path(runs_dir, task)) if opening.study == name]


def latest(runs_dir: Path, study: optuna.Study, trial: int | None) -> Opening | None:
    """The last opening for a trial of a study that was scored; None if there is none."""
    found = openings(runs_dir, study)
    scored = [opening for opening in found if opening.scores and opening.trial == trial]
    return scored[-1] if scored else None


def n_for_others(runs_dir: Path, study: optuna.Study) -> int:
    """How often the task's test rows were opened for other studies' winners."""
    task, name = study.user_attrs["task"], study.study_name
    summaries = optuna.get_all_study_summaries(study._storage, include_best_trial=False)
    kept = [
        opening
        for summary in summaries
        if summary.user_attrs.get("task") == task
        for opening in _kept(summary.user_attrs)
    ]
    every = _union(_read(_path(runs_dir, task)), kept)
    return sum(each.study != name and each.trial is not None for each in every)


def write_opened(runs_dir: Path, opening: Opening, study: optuna.Study | None = None) -> Opening:
    """Writes down that the test set is about to be opened: call it before, never after.

    Args:
        study: Whose winner is scored; None for what belongs to no study.

    Returns:
        The opening with its time and its number.
    """
    path = _path(runs_dir, opening.task)
    path.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(path):
        known = _read(path)
        own = _union(
            [each for each in known if each.study == opening.study],
            _kept(study.user_attrs) if study else [],
        )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        numbered = replace(opening, number=1 + len(own), time=now)
        if study is not None:
            for each in [*own, numbered]:  # also those from before studies kept them
                _keep(study, each)
        _write(path, [*known, numbered])
    return numbered


def write_scored(runs_dir: Path, opening: Opening, study: optuna.Study | None = None) -> None:
    """Puts the opening, now with its scores, in the place of what `write_opened` wrote."""
    path = _path(runs_dir, opening.task)
    with sole_writer(path):
        known = _read(path)
        _write(path, [opening if each.key == opening.key else each for each in known])
    if study is not None:
        # The file has the scores, and the next opening brings them to the study.
        with contextlib.suppress(StorageInternalError, sqlalchemy.exc.SQLAlchemyError):
            _keep(study, opening)


def ledger_line(runs_dir: Path, study: optuna.Study, trial: int | None) -> str:
    """What the ledger says of a study and its winner `trial`, without an end of sentence."""
    found, others = openings(runs_dir, study), n_for_others(runs_dir, study)
    if not found:
        but = f", but {times(others)} for other studies" if others else ""
        return f"the sealed test set has not been opened for this study{but}"
    also = f" and {times(others)} for other studies" if others else ""
    count = f"opened {times(len(found))} for this study{also}"
    scored = [opening for opening in found if opening.scores]
    if not scored:
        return f"test set {count}, its score never came to be known"
    shown = latest(runs_dir, study, trial) or scored[-1]
    score = f"test {shown.metric} {shown.scores[shown.metric].text}, {count}"
    if trial is None or shown.trial is None or trial == shown.trial:
        return score
    return f"{trial_name(trial)} has not been tested; {trial_name(shown.trial)} has: {score}"


def _union(filed: Iterable[Opening], kept: Iterable[Opening]) -> list[Opening]:
    """Each opening once, by time; with its scores, if one of the two places has them."""
    found: dict[tuple[str, str, int], Opening] = {}
    for each in [*filed, *kept]:
        if each.scores or each.key not in found:
            found[each.key] = each
    return sorted(found.values(), key=lambda each: (each.time, each.number))


def _kept(attributes: Mapping[str, Any]) -> list[Opening]:
    return [
        _PARSER.validate_python(value)
        for name, value in attributes.items()
        if name.startswith(_KEPT)
    ]


def _keep(study: optuna.Study, opening: Opening) -> None:
    name = f"{_KEPT}{opening.number}_{opening.time}"
    study.set_user_attr(name, json.loads(opening.line()))


def _path(runs_dir: Path, task: str) -> Path:
    return runs_dir / "ledger" / f"{task}.jsonl"


def _read(path: Path) -> list[Opening]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [_PARSER.validate_json(line) for line in lines]


def _write(path: Path, every: list[Opening]) -> None:
    write_whole(path, "".join(f"{opening.line()}\n" for opening in every).encode())


@contextlib.contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Waits until no other process writes the file: it would lose what that wrote."""
    with path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
