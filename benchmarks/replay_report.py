"""Regret of replayed policies, as figures, as a table and as a part of the documentation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from benchmarks.replay_simulation import Trace
from benchmarks.replay_worlds import Floats, World
from search.checkpoints import write_whole

DOCS = Path(__file__).parent.parent / "docs" / "efficiency.md"
N_RESAMPLES = 2000
MEASURES = {"seconds": "time of", "epochs": "epochs of", "expected": "luck aside, time of"}
"""How regret is counted: after so much CPU, after so many epochs, or after so much CPU and by what
the surrogate expects of the config, without the luck of its training."""


@dataclass(frozen=True)
class Spread:
    """Mean and median over replays, each with its bootstrap 95 % interval."""

    mean: float
    mean_low: float
    mean_high: float
    median: float
    median_low: float
    median_high: float

    @classmethod
    def of(cls, values: Floats) -> "Spread":
        rng = np.random.default_rng(0)
        samples = values[rng.integers(len(values), size=(N_RESAMPLES, len(values)))]
        figures = []
        for middle, resampled in (
            (values.mean(), samples.mean(axis=1)),
            (np.median(values), np.median(samples, axis=1)),
        ):
            figures += [middle, *np.quantile(resampled, [0.025, 0.975])]
        return cls(*(round(float(figure), 4) for figure in figures))


@dataclass(frozen=True)
class Line:
    """What a policy came to.

    Attributes:
        regret: In points of the score x 100, by measure (below), by budget.
        against: Regret less that of the project's policy in the same replay, in seconds.
        used_up: Share of the replays that had no config left, by budget, in seconds.
    """

    policy: str
    started: float
    completed: float
    regret: dict[str, dict[str, Spread]]
    against: dict[str, Spread]
    used_up: dict[str, float]

    def plain(self) -> dict[str, object]:
        return asdict(self)


def lines(
    traces: Mapping[str, Sequence[Trace]],
    world: World,
    budgets: Sequence[float],
    project: str,
    *,
    exact: bool,
) -> list[Line]:
    """One line a policy, least regret at the middle budget first.

    Args:
        exact: On the rows of the table, where epochs were spent up to the budget as well, and
            nobody knows what was luck.
    """
    best = max(curve.true for curve in world.curves)
    measures = ("seconds", "epochs" if exact else "expected")

    def regrets(name: str, measure: str, budget: float) -> Floats:
        scores = [_score(trace, measure, budget, world) for trace in traces[name]]
        return 100 * (best - np.array(scores))

    found = []
    for name, each in traces.items():
        found.append(
            Line(
                policy=name,
                started=float(np.mean([trace.n_started for trace in each])),
                completed=float(np.mean([trace.n_completed for trace in each])),
                regret={
                    measure: {f"{b:g}": Spread.of(regrets(name, measure, b)) for b in budgets}
                    for measure in measures
                },
                against={
                    f"{b:g}": Spread.of(
                        regrets(name, "seconds", b) - regrets(project, "seconds", b)
                    )
                    for b in budgets
                },
                used_up={
                    f"{b:g}": float(
                        np.mean([t.seconds[-1] < b * world.full_seconds for t in each])
                    )
                    for b in budgets
                },
            )
        )
    middle = f"{budgets[len(budgets) // 2]:g}"
    return sorted(found, key=lambda line: line.regret["seconds"][middle].mean)


def _score(trace: Trace, measure: str, budget: float, world: World) -> float:
    if measure == "epochs":
        return trace.at(budget * world.epochs, trace.epochs, trace.true)
    score = trace.expected if measure == "expected" else trace.true
    return trace.at(budget * world.full_seconds, trace.seconds, score)


def cells(line: Line) -> list[str]:
    """Policy, trials, then the regret at each budget by the first measure, then by the second."""
    row = [line.policy, f"{line.started:.0f}", f"{line.completed:.0f}"]
    for budget, spread in line.regret["seconds"].items():
        star = "\\*" if line.used_up[budget] > 0.5 else ""
        row.append(
            f"{spread.mean:.2f}{star} [{spread.mean_low:.2f}, {spread.mean_high:.2f}]"
            f" ({spread.median:.2f})"
        )
    others = [regret for measure, regret in line.regret.items() if measure != "seconds"]
    return row + [f"{spread.mean:.2f}" for regret in others for spread in regret.values()]


def headings(line: Line) -> list[str]:
    return [
        *("policy", "started", "completed"),
        *[
            f"{MEASURES[measure]} {budget}"
            for measure, regret in line.regret.items()
            for budget in regret
        ],
    ]


def rich_table(title: str, found: Sequence[Line]) -> Table:
    table = Table(title=title, box=None)
    for index, heading in enumerate(headings(found[0])):
        table.add_column(heading, justify="right" if index else "left")
    for line in found:
        table.add_row(*[cell.replace("\\*", "*") for cell in cells(line)])
    return table


def markdown(found: Sequence[Line]) -> str:
    head = headings(found[0])
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *map(cells, found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_docs(task: str, text: str, path: Path = DOCS) -> None:
    """Puts `text` between the markers of `task`.

    Raises:
        ValueError: there are no such markers.
    """
    page, begin, end = path.read_text(), f"<!-- replay:{task} -->", f"<!-- /replay:{task} -->"
    if begin not in page or end not in page:
        raise ValueError(f"{path.name} has no markers {begin} and {end}")
    head, rest = page.split(begin, 1)
    tail = rest.split(end, 1)[1]
    write_whole(path, f"{head}{begin}\n{text}\n{end}{tail}".encode())
