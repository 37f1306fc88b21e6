"""The tables of `benchmarks.quality`: how soon each system reaches the ends of its peers."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from benchmarks.quality_cases import OURS, PLAIN, STANDARD
from benchmarks.quality_ratio import sooner
from benchmarks.quality_results import Result

WIDTH = 100
LEGEND = (
    "again: mean score of the best configs, trained again by one trainer for all systems.",
    "sooner: the peer's median time over the system's own, and its 95 % interval over seeds. Runs",
    "that never got there were stopped by the budget: > and < are bounds, and inf is none.",
)


def origin(group: Sequence[Result]) -> str:
    """Where, when and by which code the results of one group were measured."""
    dates = sorted({result.origin.date[:10] for result in group})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    commits = dict.fromkeys(_commit_text(result) for result in group)
    code = dict(sorted({item for result in group for item in result.origin.code.items()}))
    parts = ", ".join(f"{name} {digest[:6]}" for name, digest in code.items())
    return (
        f"Measured {when} at commit {', '.join(commits)} on {group[0].origin.setup};"
        f" sources: {parts or 'of that commit or near it, not recorded'}"
    )


def _commit_text(result: Result) -> str:
    commit = result.origin.commit[:7] or "unknown"
    return f"{commit} with changes" if result.origin.dirty else commit


def by_title(results: Iterable[Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.case.title, []).append(result)
    return groups


def peers_of(groups: Mapping[str, list[Result]]) -> list[list[Result]]:
    """The peers as their guides have them, the best first."""
    plain = [
        group
        for group in groups.values()
        if group[0].case.system != OURS and group[0].case.variant == PLAIN
    ]
    return _ranked(plain)


def _ranked(groups: Iterable[list[Result]]) -> list[list[Result]]:
    return sorted(groups, key=lambda group: -median_run(group).end)


def median_run(group: Sequence[Result]) -> Result:
    """The lower of the two in the middle, so that half of the runs are as good."""
    return sorted(group, key=lambda result: result.end)[(len(group) - 1) // 2]


def median_time(group: Sequence[Result], target: float) -> float:
    return statistics.median(result.reached(target) for result in group)


def show(results: Sequence[Result], metric: str, budget: float) -> Table:
    """Each system's end, and its time to the end of the best peer's median run."""
    groups = by_title(results)
    peers = peers_of(groups)
    title = "no peer has been run yet"
    if peers:
        best = median_run(peers[0])
        title = f"target: {metric} {best.end:.4f}, the end of {best.case.title}'s median run"
    table = _table(title, "seeds", "median", "min-max", "again", "s to target", "sooner")
    for group in _ranked(groups.values()):
        ends = [result.end for result in group]
        row = [group[0].case.title, str(len(group)), f"{median_run(group).end:.4f}"]
        row += [f"{min(ends):.4f}-{max(ends):.4f}", again(group)]
        if peers:
            row.append(_time_text(group, best.end))
            row.append("" if group is peers[0] else sooner(group, peers[0], best.end, budget))
        table.add_row(*row)
    return table


def show_targets(results: Sequence[Result], budget: float) -> Table:
    """The time to each peer's own end, its and ours: the best peer's is one target of several."""
    groups = by_title(results)
    ours = [
        group
        for group in groups.values()
        if group[0].case.system == OURS and group[0].case.variant in STANDARD[OURS]
    ]
    headings = [heading for group in ours for heading in (f"{_short(group)} s", "sooner")]
    table = _table("seconds to the end of each peer's median run", "end", "its s", *headings)
    for peer in peers_of(groups):
        target = median_run(peer).end
        row = [peer[0].case.title, f"{target:.4f}", _time_text(peer, target)]
        for group in ours:
            row += [_time_text(group, target), sooner(group, peer, target, budget)]
        table.add_row(*row)
    return table


def _short(group: Sequence[Result]) -> str:
    return "hpsearch" if group[0].case.variant == PLAIN else "no starts"


def _table(title: str, *headings: str) -> Table:
    table = Table("", title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.columns[0].no_wrap = True
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _time_text(group: Sequence[Result], target: float) -> str:
    seconds = median_time(group, target)
    if math.isfinite(seconds):
        return f"{seconds:.0f}"
    n_reached = sum(math.isfinite(result.reached(target)) for result in group)
    return f"never ({n_reached} of {len(group)})"


def again(group: Sequence[Result]) -> str:
    """The mean score of the best configs trained again, with their number if that is not all."""
    trained = [
        statistics.fmean(score for score in result.confirmed if score is not None)
        for result in group
        if result.confirmed and None not in result.confirmed
    ]
    if not trained:
        return ""
    count = "" if len(trained) == len(group) else f" ({len(trained)})"
    return f"{statistics.fmean(trained):.4f}{count}"


def remarks(results: Sequence[Result]) -> list[str]:
    """What must be known beside the tables."""
    lines = list(LEGEND)
    failed = {
        title: sum(result.n_failed for result in group)
        for title, group in by_title(results).items()
    }
    if any(failed.values()):
        counts = ", ".join(f"{title} {count}" for title, count in failed.items() if count)
        lines.append(f"Trials that failed, of all seeds: {counts}.")
    lines += [
        f"{result.case.title}, seed {result.case.seed}: {result.note.splitlines()[0]}."
        for result in results
        if result.note
    ]
    return lines
