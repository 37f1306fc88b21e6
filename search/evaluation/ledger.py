"""The ledger: a line for every time that the sealed test set of a task was opened."""

import contextlib
import fcntl
import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

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


def openings(runs_dir: Path, task: str, study: str) -> list[Opening]:
    """All openings for a study, the first one first; also those whose scores never came."""
    return [opening for opening in _read(_path(runs_dir, task)) if opening.study == study]


def latest(runs_dir: Path, task: str, study: str, trial: int | None) -> Opening | None:
    """The last opening for a trial of a study that was scored; None if there is none."""
    found = openings(runs_dir, task, study)
    scored = [opening for opening in found if opening.scores and opening.trial == trial]
    return scored[-1] if scored else None


def n_for_others(runs_dir: Path, task: str, study: str) -> int:
    """How often the task's test rows were opened for other studies' winners."""
    every = _read(_path(runs_dir, task))
    return sum(each.study != study and each.trial is not None for each in every)


def write_opened(runs_dir: Path, opening: Opening) -> Opening:
    """Writes down that the test set is about to be opened: call it before, never after.

    Returns:
        The opening with its time and its number.
    """
    path = _path(runs_dir, opening.task)
    path.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(path):
        known = _read(path)
        number = 1 + sum(each.study == opening.study for each in known)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        numbered = replace(opening, number=number, time=now)
        _write(path, [*known, numbered])
    return numbered


def write_scored(runs_dir: Path, opening: Opening) -> None:
    """Puts the opening, now with its scores, in the place of what `write_opened` wrote."""
    path = _path(runs_dir, opening.task)
    key = (opening.study, opening.number)
    with sole_writer(path):
        known = _read(path)
        _write(path, [opening if (each.study, each.number) == key else each for each in known])


def ledger_line(runs_dir: Path, task: str, study: str, trial: int | None) -> str:
    """What the ledger says of a study and its winner `trial`, without an end of sentence."""
    found, others = openings(runs_dir, task, study), n_for_others(runs_dir, task, study)
    if not found:
        but = f", but {times(others)} for other studies" if others else ""
        return f"the sealed test set has not been opened for this study{but}"
    also = f" and {times(others)} for other studies" if others else ""
    count = f"opened {times(len(found))} for this study{also}"
    scored = [opening for opening in found if opening.scores]
    if not scored:
        return f"test set {count}, its score never came to be known"
    shown = latest(runs_dir, task, study, trial) or scored[-1]
    score = f"test {shown.metric} {shown.scores[shown.metric].text}, {count}"
    if trial is None or shown.trial is None or trial == shown.trial:
        return score
    return f"{trial_name(trial)} has not been tested; {trial_name(shown.trial)} has: {score}"


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
