"""What came of the guide's trainings: kept in one file a sweep, read, and shown as tables."""

import hashlib
import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scipy import stats

from benchmarks import store
from benchmarks.guide_sweeps import SWEEPS, Cell, Sweep, Values
from pipelines.tasks import find_task
from search.checkpoints import write_whole

FOLDER = store.FOLDER / "guide"
DOCS = Path(__file__).parent.parent / "docs" / "guide.md"
TABLES = DOCS.parent / "guide" / "tables.md"
COMMAND = "python -m benchmarks.guide"
PATIENCES = (3, 10, 30)


@dataclass(frozen=True)
class Outcome:
    """One training.

    Attributes:
        digest: Of the config and the division: another one is another training.
        seconds: Of CPU time, for all epochs with their validation.
        score: The task's metric on validation after each epoch; shorter if it diverged.
        train_loss: What was minimized, penalties included, as a mean over each epoch.
        val_loss: Plain cross entropy.
        train_score: The metric on rows of the training split by the last weights, without
            dropout; None if the training diverged.
        last: All metrics of the last epoch.
    """

    digest: str
    seed: int
    n_parameters: int
    seconds: float
    score: list[float]
    train_loss: list[float]
    val_loss: list[float]
    train_score: float | None
    last: dict[str, float]

    @property
    def end(self) -> float:
        """The score after the last epoch; NaN if the training diverged."""
        return math.nan if self.train_score is None else self.score[-1]

    @property
    def gap(self) -> float:
        return math.nan if self.train_score is None else self.train_score - self.end

    @property
    def epoch_seconds(self) -> float:
        return self.seconds / max(1, len(self.score))


Trainings = list[tuple[Values, list[Outcome]]]
"""The cases of a sweep with their outcomes by seed; cases without one are left out."""


def digest_of(sweep: Sweep, case: Values) -> str:
    content = [sweep.task, sweep.config(case).model_dump(mode="json"), sweep.division(case)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def missing(name: str, folder: Path = FOLDER) -> list[tuple[Values, int]]:
    """Cases and seeds that are not stored, the first seed of all cases first."""
    sweep, known = SWEEPS[name], {(o.digest, o.seed) for o in _stored(name, folder)}
    return [
        (case, seed)
        for seed in range(sweep.seeds)
        for case in sweep.cases
        if (digest_of(sweep, case), seed) not in known
    ]


def keep(name: str, outcome: Outcome, folder: Path = FOLDER) -> None:
    """Adds an outcome to those of the sweep; those of cases that it has no more are dropped."""
    sweep = SWEEPS[name]
    wanted = {digest_of(sweep, case) for case in sweep.cases}
    outcomes = [each for each in _stored(name, folder) if each.digest in wanted]
    outcomes.append(outcome)
    outcomes.sort(key=lambda each: (each.digest, each.seed))
    # A training stands on a line of its own, else a curve would take a page.
    lines = ",\n".join(json.dumps(asdict(each)) for each in outcomes)
    head = json.dumps({**store.circumstances(), "results": None}, indent=1)
    folder.mkdir(parents=True, exist_ok=True)
    text = head.replace("null\n}", f"[\n{lines}\n]\n}}\n")
    write_whole(folder / f"{name}.json", text.encode())


def trainings(name: str, folder: Path = FOLDER) -> Trainings:
    sweep, found = SWEEPS[name], []
    outcomes = sorted(_stored(name, folder), key=lambda each: each.seed)
    for case in sweep.cases:
        digest = digest_of(sweep, case)
        if own := [each for each in outcomes if each.digest == digest]:
            found.append((case, own))
    return found


def _stored(name: str, folder: Path) -> list[Outcome]:
    path = folder / f"{name}.json"
    if not path.exists():
        return []
    return [Outcome(**each) for each in json.loads(path.read_text())["results"]]


def describe(case: Values) -> str:
    """`flip, shift 0.1`; the base itself is 'as it is'."""
    words = []
    for name, value in case.items():
        if isinstance(value, bool):
            words.append(name if value else f"no {name}")
        else:
            words.append(f"{name} {text_of(value)}")
    return ", ".join(words) or "as it is"


def text_of(value: object) -> str:
    if isinstance(value, tuple):
        return "-".join(map(str, value)) or "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation in points; says how many diverged, if any."""
    finite = [100 * value for value in values if math.isfinite(value)]
    if len(finite) < len(values):
        many = "" if len(values) == 1 else f" {len(values) - len(finite)} of {len(values)}"
        return f"diverged{many}"
    deviation = f" ± {statistics.stdev(finite):.2f}" if len(finite) > 1 else ""
    return f"{statistics.mean(finite):.2f}{deviation}"


def noise(found: Trainings) -> tuple[float, float] | None:
    """How far seeds are apart, and how far means must be, to be taken as different; in points.

    The standard deviation is pooled over the better half of the cases: bad ones scatter more.
    The second is the half width of the 95 % interval of a difference of two means (Student's t).
    """
    scores = [[100 * each.end for each in outcomes] for _, outcomes in found]
    scores = [each for each in scores if len(each) > 1 and all(map(math.isfinite, each))]
    if not scores:
        return None
    middle = statistics.median(map(statistics.mean, scores))
    good = [each for each in scores if statistics.mean(each) >= middle]
    freedom = sum(len(each) - 1 for each in good)
    pooled = (sum(statistics.variance(e) * (len(e) - 1) for e in good) / freedom) ** 0.5
    n_seeds = min(map(len, good))
    return pooled, float(stats.t.ppf(0.975, freedom)) * pooled * (2 / n_seeds) ** 0.5


def table(name: str, found: Trainings) -> str:
    """The sweep's figures in Markdown, with a line on what counts as a difference."""
    if name in _TABLES:
        return _TABLES[name](found)
    columns = SWEEPS[name].columns
    rows = _pivot(found, columns) if columns else _list(name, found)
    return "\n".join([_markdown(rows), "", _counts(found)])


def _list(name: str, found: Trainings) -> list[list[str]]:
    task = find_task(SWEEPS[name].task)
    # A table's classes are unequal: which rows are called is another question than their order.
    more = ["val_accuracy", "val_f1"] if task.goal.metric == "val_auc" else []
    rows = [["", task.goal.metric, "train less val", *more, "weights", "CPU s an epoch"]]
    for case, outcomes in found:
        seconds = statistics.median(each.epoch_seconds for each in outcomes)
        rows.append(
            [
                describe(case),
                spread([each.end for each in outcomes]),
                spread([each.gap for each in outcomes]),
                *[spread([each.last.get(own, math.nan) for each in outcomes]) for own in more],
                f"{outcomes[0].n_parameters:,}",
                f"{seconds:.2g}",
            ]
        )
    return rows


def pivoted(found: Trainings, column: str) -> dict[str, dict[Cell, list[Outcome]]]:
    """Outcomes by what else a case says, then by its value of `column`."""
    rows: dict[str, dict[Cell, list[Outcome]]] = {}
    for case, outcomes in found:
        rest = {name: value for name, value in case.items() if name != column}
        rows.setdefault(describe(rest), {})[case[column]] = outcomes
    return rows


def _pivot(found: Trainings, column: str) -> list[list[str]]:
    values = list(dict.fromkeys(case[column] for case, _ in found))
    rows = [[f"{column}:", *map(text_of, values)]]
    for label, by_value in pivoted(found, column).items():
        cells = [by_value.get(value) for value in values]
        rows.append([label, *[spread([o.end for o in cell]) if cell else "" for cell in cells]])
    return rows


def _counts(found: Trainings) -> str:
    n_seeds = sorted({len(outcomes) for _, outcomes in found})
    seeds = "one seed" if n_seeds == [1] else f"{'-'.join(map(str, n_seeds))} seeds"
    measured = noise(found)
    if measured is None:
        return f"{seeds.capitalize()} each."
    return (
        f"{seeds.capitalize()} each; the standard deviation over seeds is {measured[0]:.2f}"
        f" points in the better half of the cases, so two means must differ by"
        f" {measured[1]:.2f} to count."
    )


def solved(outcomes: Iterable[Outcome]) -> int:
    """How many trainings had every row right at their end."""
    return sum(each.end == 1 for each in outcomes)


def _xor_table(found: Trainings) -> str:
    rows = [["hidden layer", *dict.fromkeys(str(case["activation"]) for case, _ in found)]]
    for label, by_value in pivoted(found, "activation").items():
        rows.append([label, *[f"{solved(own)} of {len(own)}" for own in by_value.values()]])
    return _markdown(rows)


def stopped(score: Sequence[float], patience: int) -> tuple[int, float]:
    """The epochs that were trained, and the best score of them, had there been patience."""
    best, best_epoch = -math.inf, 0
    for epoch, value in enumerate(score, 1):
        if value > best:
            best, best_epoch = value, epoch
        elif epoch - best_epoch >= patience:
            return epoch, best
    return len(score), best


def _patience_table(found: Trainings) -> str:
    outcomes = [each for each in found[0][1] if math.isfinite(each.end)]
    rows = [["patience", "epochs trained", "val_auc that is kept"]]
    for patience in PATIENCES:
        ends = [stopped(each.score, patience) for each in outcomes]
        epochs = statistics.mean(epoch for epoch, _ in ends)
        rows.append([str(patience), f"{epochs:.0f}", spread([best for _, best in ends])])
    length = len(outcomes[0].score)
    best = spread([max(each.score) for each in outcomes])
    rows += [
        ["never stopped, best weights", str(length), best],
        ["never stopped, last weights", str(length), spread([each.end for each in outcomes])],
    ]
    return _markdown(rows)


_TABLES = {"xor": _xor_table, "early_stopping": _patience_table}


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_tables(path: Path = TABLES, folder: Path = FOLDER) -> None:
    """One page with the tables of all sweeps that have trainings."""
    parts = [f"# The guide's tables\n\nWritten by `{COMMAND} --pictures`; see ../guide.md."]
    for name in SWEEPS:
        if found := trainings(name, folder):
            head = f"## {name}\n\n{_base(name)}\n\nRepeat: `{COMMAND} {name}`."
            parts += [head, table(name, found)]
    write_whole(path, ("\n\n".join(parts) + "\n").encode())


def _base(name: str) -> str:
    sweep = SWEEPS[name]
    return f"{find_task(sweep.task).title}. What all have in common: {describe(sweep.base)}."


def renew(name: str, text: str, path: Path = DOCS) -> bool:
    """Puts `text` between the markers of a sweep; False if the page has none."""
    page, begin, end = path.read_text(), f"<!-- guide:{name} -->", f"<!-- /guide:{name} -->"
    if begin not in page or end not in page:
        return False
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    write_whole(path, f"{head}{begin}\n{text}\n{end}{tail}".encode())
    return True
