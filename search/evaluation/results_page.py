"""docs/results.md: what the tutorials reported, what was measured here, what the search found."""

import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import optuna

from pipelines.classical import CLASSICAL
from pipelines.splits import FOLDS
from pipelines.tasks import TASKS, Task
from search.checkpoints import write_whole
from search.evaluation.baseline_training import duration_text
from search.evaluation.ledger import filed_openings
from search.evaluation.measurements import (
    WITHOUT_TEST,
    Measurements,
    Spread,
    ledger_name,
    plain,
)
from search.evaluation.published import PRECISIONS, REOPENED, Published
from search.evaluation.results_rows import (
    ALONE,
    MISSING,
    Row,
    Scores,
    classical_row,
    ensemble_rows,
    found_row,
    preset_row,
)
from search.finalists.comparison import LEVEL, Comparison
from search.settings import Settings
from search.texts import times
from spaces.errors import InputError
from spaces.presets import PRESETS, presets_of

PAGE = Path("docs/results.md")
_COMPARED = "On the test rows, which chose neither, |Over the same |Whether the boosting wins "
NAMES = {"accuracy": "accuracy", "auc": "AUC"}
CHECKS = {
    "xor": "There is no test, and validation is on the rows that were trained on: a check that a "
    "network can represent the function, and nothing more.",
}


def check_page(task: Task, path: Path = PAGE) -> None:
    """Call it before hours of training, for whose table the page may have no place.

    Raises:
        InputError: the page cannot be read or written, or has no markers for the task.
    """
    _parts(task, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unusable(path, "write", error) from error


def write_page(
    task: Task, settings: Settings, study: optuna.Study | None, path: Path = PAGE
) -> None:
    """Puts the task's table into the page; all that stands outside its markers stays.

    Raises:
        InputError: as `check_page`.
    """
    head, old, tail = _parts(task, path)
    begin, end = _markers(task.name)
    text = "\n".join(section(task, settings, study, Published(old)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"{head}{begin}\n{text}\n{end}{tail}".encode())
    except OSError as error:
        raise _unusable(path, "write", error) from error


def _parts(task: Task, path: Path) -> tuple[str, str, str]:
    """What stands before, between and after the task's markers."""
    try:
        page = path.read_text() if path.exists() else new_page()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, "read", error) from error
    begin, end = _markers(task.name)
    head, has_begin, rest = page.partition(begin)
    old, has_end, tail = rest.partition(end)
    if not (has_begin and has_end):
        raise InputError(
            f"{path} has no lines {begin} and {end} for the table: add them, or move it away."
        )
    return head, old, tail


def _unusable(path: Path, verb: str, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or "it is no text"
    return InputError(f"Cannot {verb} the page {path}: {reason}; choose another --page.")


def new_page() -> str:
    """The page before anything was measured."""
    blank = Settings(runs_dir=Path("nowhere"))
    parts = [_PROSE]
    for name in dict.fromkeys(preset.task for preset in PRESETS.values()):
        begin, end = _markers(name)
        table = "\n".join(section(TASKS[name], blank, None, Published()))
        parts.append(f"\n## {TASKS[name].title}\n\n{begin}\n{table}\n{end}\n")
    return "".join(parts)


def section(
    task: Task, settings: Settings, study: optuna.Study | None, published: Published
) -> Iterator[str]:
    """The lines between the markers of a task.

    Args:
        published: What stands there: kept of the models of which nothing is stored here.
    """
    store = Measurements(settings.runs_dir, task.name)
    rows = [preset_row(preset, store.of(preset.name)) for preset in presets_of(task.name)]
    classical = [classical_row(m, store.of(m.name)) for m in CLASSICAL.get(task.name, ())]
    found = found_row(task, settings, study)
    every = [*rows, *classical, found, *ensemble_rows(found)]
    shown = _shown(task)
    untested = "none" if task.name in WITHOUT_TEST else MISSING
    titles = [f"{split} {NAMES[name]}" for split in ("validation", "test") for name in shown]
    counted = "trainings, validation / test"
    head = ["model", "reported by the author", *titles, counted, "weights", "a training"]
    yield _line(head)
    yield _line(["---", "---", *["---:"] * (len(head) - 2)])
    for row in every:
        kept = [] if row.measured else published.rows(row, len(head))
        yield from kept or [_line(_cells(row, shown, untested))]
    notes = [f"- `{p.name}`: {p.note}" for p in presets_of(task.name) if p.note]
    for row in every:
        notes += _notes(task, settings, row) if row.measured else published.notes(row)
    precisions = {m.precision for p in presets_of(task.name) for m in store.of(p.name)}
    if not all(row.measured for row in rows):
        precisions |= set(published.precisions())
    if precisions:
        notes.append(PRECISIONS.format(" and ".join(sorted(precisions))))
    if task.name in CHECKS:
        notes.append(f"- {CHECKS[task.name]}")
    if classical:
        neither = not (classical[0].measured or found.measured)
        kept = published.notes_on(_COMPARED) if neither else []
        notes += kept or [f"- {_compared(task, classical[0], found)}"]
    yield from ["", *notes] if notes else []


def _notes(task: Task, settings: Settings, row: Row) -> Iterator[str]:
    """The row's own, and a line where the test scores of a model are not the first ones."""
    if row.note:
        yield row.note
    if row.model:
        count = len(filed_openings(settings.runs_dir, task.name, ledger_name(row.model)))
        if count > 1:
            yield f"- `{row.model}`: {REOPENED} {times(count)} for it."


def _shown(task: Task) -> list[str]:
    return list(dict.fromkeys([plain(task.goal.metric), "accuracy"]))


def _compared(task: Task, boosting: Row, found: Row) -> str:
    """Who wins: the boosted trees, or the network that the search found."""
    name, rows = plain(task.goal.metric), ((0, boosting), (1, found))
    common = sorted(set(boosting.validation) & set(found.validation))
    if len(common) < 2:
        return "Whether the boosting wins over the search's network is not measured yet."
    fit = Comparison(
        {(n, draw): row.validation[draw][name] for n, row in rows for draw in common},
        overlap=1 / (FOLDS - 1),
    )
    mean, half = fit.mean(0) - fit.mean(1), fit.half_width(0, 1, (1 + LEVEL) / 2)
    low, high = mean - half, mean + half
    winner = "the boosting wins" if mean > 0 else "the network wins"
    verdict = "the boosting and the network are tied" if low <= 0 <= high else winner
    return (
        f"{_compared_on_test(name, boosting, found)}Over the same {len(common)} folds, which"
        f" chose the network among the finalists, {verdict}: the boosting's validation"
        f" {NAMES[name]} is {mean:+z.4f} from the network's (95 % interval {low:+z.4f} to"
        f" {high:+z.4f})."
    )


def _compared_on_test(name: str, boosting: Row, found: Row) -> str:
    """A sentence with a space behind it; empty where one of the two was not tested."""
    theirs, ours = _spread(boosting.test, name), _spread(found.test, name)
    if theirs is None or ours is None:
        return ""
    leader = "boosting" if theirs.mean > ours.mean else "network"
    sampling = found.opening.scores[name].sampling if found.opening else None
    others = ""
    if sampling:
        others = f" (95 % interval {sampling[0]:.4f} to {sampling[1]:.4f} over other test rows)"
    return (
        f"On the test rows, which chose neither, the {leader} is ahead: {NAMES[name]}"
        f" {_text(theirs, name)} of the boosting, {_text(ours, name)} of the network{others}. "
    )


def _spread(scores: Scores, name: str) -> Spread | None:
    return Spread.of(each[name] for each in scores.values() if name in each)


def _cells(row: Row, shown: Sequence[str], untested: str) -> list[str]:
    scores = [
        _text(_spread(split, name), name, missing)
        for split, missing in ((row.validation, row.unvalidated), (row.test, untested))
        for name in shown
    ]
    counts = len(row.validation), len(set(row.test) - {ALONE})
    return [
        row.name,
        row.reported or "-",
        *scores,
        " / ".join(str(count or "-") for count in counts) if any(counts) else "-",
        f"{row.n_parameters:,}" if row.n_parameters else "-",
        duration_text(row.seconds) if row.seconds else "-",
    ]


def _text(spread: Spread | None, metric: str, missing: str = MISSING) -> str:
    if spread is None:
        return missing
    scale, unit, digits = (100, " %", 2) if metric == "accuracy" else (1, "", 4)
    mean = f"{spread.mean * scale:.{digits}f}"
    if math.isnan(spread.std):
        return f"{mean}{unit}"
    return f"{mean} ± {spread.std * scale:.{digits}f}{unit}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markers(task: str) -> tuple[str, str]:
    return f"<!-- results:{task} -->", f"<!-- /results:{task} -->"


_PROSE = """\
# Results

Every model of the tutorials, as its author reported it and as this project measures it, beside
the best that the search found. The tables are written by `make baselines TASK=...` from stored
measurements; the text outside of their markers is not touched.

How it was measured:

- Each model trains with its author's hyperparameters and epochs on the training rows that are
  left once the validation rows are carved from them (one sixth of the images, a fifth of the
  rows of tables). The last weights count, as they did for the author.
- Five seeds, three where the training with the first takes more than ten minutes (the tables have
  the mean time of all): mean ± standard deviation. Churn and iris also change the fold with the
  seed, as the luck of a split is larger there.
- The test rows are opened once all models of a table are trained. These scores choose nothing.
  Each opening is counted in the ledger of its `--runs-dir`, and for a search's winner in its study
  as well.
- The authors of the MNIST and Fashion-MNIST tutorials validated on the test set, and stopped or
  chose by it; what they report is comparable as a figure of the same model, not of the same
  protocol. "train" marks figures on training rows.
- The search's model is the winner of its finalists: validation over fresh seeds, or folds, which
  chose it and so flatter it a little, and its last weights count as well. For its test score it
  trains on the validation rows too, as do the models of scikit-learn.
- ± is a standard deviation of single trainings; intervals are 95 %, of the mean over seeds, and
  where it says so of what other test rows would have given.
"""
