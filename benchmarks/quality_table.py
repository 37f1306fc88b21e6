"""The tables of `benchmarks.quality`: how soon each system reaches the end of the best peer."""

import math
import statistics
from collections.abc import Sequence

from rich.table import Table

from benchmarks.quality_cases import OURS, PLAIN, Result


def by_setup(results: Sequence[Result]) -> list[list[Result]]:
    """The results of each machine and versions, the latest at the end: one table each."""
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda result: result.date):
        groups.setdefault(result.setup, []).append(result)
    return sorted(groups.values(), key=lambda group: group[-1].date)


def origin(group: Sequence[Result]) -> str:
    """Where and when the results of one setup were measured, to stand above their table."""
    dates = sorted({result.date for result in group})
    commits = dict.fromkeys(result.commit[:7] or "unknown" for result in group)
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"Measured {when} at commit {', '.join(commits)} on {group[0].setup}"


def summary(results: Sequence[Result]) -> tuple[Result | None, dict[str, list[Result]]]:
    """The median run of the best peer, whose end is the target, and all results by title."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.case.title, []).append(result)
    peers = [
        _median_run(group)
        for group in groups.values()
        if group[0].case.system != OURS and group[0].case.variant == PLAIN
    ]
    return max(peers, key=lambda run: run.end, default=None), groups


def _median_run(group: Sequence[Result]) -> Result:
    """The lower of the two in the middle, so that half of the runs are as good."""
    return sorted(group, key=lambda result: result.end)[(len(group) - 1) // 2]


def median_time(group: Sequence[Result], target: float) -> float:
    return statistics.median(result.reached(target) for result in group)


def show(results: Sequence[Result], metric: str) -> Table:
    best, groups = summary(results)
    title = "no peer has been run yet"
    if best is not None:
        title = f"target: {metric} {best.end:.4f}, the end of {best.case.title}'s median run"
    table = Table("", title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for heading in ("seeds", "median", "min to max", "s to target", "sooner"):
        table.add_column(heading, justify="right", no_wrap=True)
    ranked = sorted(groups.values(), key=lambda group: -_median_run(group).end)
    for group in ranked:
        ends = [result.end for result in group]
        row = [group[0].case.title, str(len(group)), f"{_median_run(group).end:.4f}"]
        row.append(f"{min(ends):.4f}-{max(ends):.4f}")
        if best is not None:
            row += _against(group, best, groups[best.case.title])
        table.add_row(*row)
    return table


def _against(group: Sequence[Result], best: Result, peers: Sequence[Result]) -> list[str]:
    """Seconds to the target, and how many times shorter than the best peer's they are."""
    seconds = median_time(group, best.end)
    if math.isinf(seconds):
        n_reached = sum(math.isfinite(result.reached(best.end)) for result in group)
        return [f"not reached ({n_reached} of {len(group)})", ""]
    return [f"{seconds:.0f}", f"{median_time(peers, best.end) / seconds:.1f}x"]
