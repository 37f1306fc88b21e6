"""The verdict on finalists as people read it: a table, sentences, a file."""

import csv
import io
import math

import optuna
from optuna.study import StudyDirection
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from search.finalists.comparison import Interval
from search.finalists.verdict import (
    LEAST_DRAWS,
    Standing,
    Verdict,
    has_fewer_weights,
    is_cheaper,
    on_folds,
    verdict,
)
from search.tracking.trial_log import trial_name

_GO_ON = "The same command goes on with more; --seeds sets how many."


def finalists_table(study: optuna.Study) -> Table | None:
    """A row a finalist, best mean first; None before any was trained.

    In the place of its rank, one that was dropped has `-`, and one with too few draws `?`.
    """
    found = verdict(study)
    if found is None:
        return None
    drawn = "folds" if on_folds(study) else "fresh seeds"
    title = f"Finalists: {study.user_attrs['metric']} on {drawn}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("", "trial", "mean ± 95 %", "std", "n", "diff", "weights", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("config")
    for rank, standing in enumerate(found.standings, 1):
        low, high = standing.interval
        table.add_row(
            _rank(found, standing, rank),
            trial_name(standing.number),
            f"{_text(standing.mean)} ± {_text((high - low) / 2)}",
            _text(standing.std),
            str(standing.n_scored),
            "" if standing is found.winner else _text(standing.mean - found.winner.mean, "+z"),
            f"{standing.record.n_parameters:,}",
            f"{standing.seconds:.0f} s",
            _config_text(standing),
            style="dim" if standing.dropped else "",
        )
    return table


def verdict_lines(study: optuna.Study) -> list[str]:
    """Who won and how clearly, who failed, and how far the search flattered its best."""
    found = verdict(study)
    if found is None:
        return []
    metric, drawn = study.user_attrs["metric"], "fold" if on_folds(study) else "fresh seed"
    lines = [_outcome(found, metric, drawn)]
    for each in found.standings:
        if each.causes:
            n_all, causes = _n_of(len(each.retrainings), drawn), ", ".join(sorted({*each.causes}))
            failures = f"{trial_name(each.number)} failed on {len(each.causes)} of {n_all}"
            out = ", so it cannot win" if each.dropped else ""
            lines.append(f"{failures} ({causes}){out}.")
    lines += _too_few(found, drawn)
    if found.promised.n_scored:
        lines.append(_promise(found, study, drawn))
    elif not found.promised.retrainings:
        lines.append(
            f"{trial_name(found.promised.number)}, the search's best, has not been trained again"
            " yet: the same command goes on with it."
        )
    return lines


def whole_verdict(study: optuna.Study) -> list[RenderableType]:
    """The table, set off from what stands above, and the sentences; empty without finalists."""
    table = finalists_table(study)
    return [] if table is None else ["", table, *verdict_lines(study)]


def finalists_rows(study: optuna.Study) -> list[dict[str, object]]:
    """A flat dict a finalist, with the score of each draw; empty where there is none."""
    found = verdict(study)
    if found is None:
        return []
    metric = study.user_attrs["metric"]
    return [
        {
            "rank": rank,
            "trial": standing.number,
            "winner": standing is found.winner,
            "dropped": standing.dropped,
            "mean": standing.mean,
            "std": standing.std,
            "low": standing.interval[0],
            "high": standing.interval[1],
            "n": standing.n_scored,
            "difference": standing.mean - found.winner.mean,
            "in_search": standing.record.best[metric],
            "n_parameters": standing.record.n_parameters,
            "seconds": standing.seconds,
            "config": _config_text(standing).plain,
            **{f"draw_{r.draw}": r.last.get(metric, r.cause) for r in standing.retrainings},
        }
        for rank, standing in enumerate(found.standings, 1)
    ]


def summary(study: optuna.Study) -> tuple[dict[str, float], dict[str, str], dict[str, bytes]]:
    """Metrics, tags and artifacts by which the study's run shows the verdict."""
    found = verdict(study)
    if found is None:
        return {}, {}, {}
    metric = study.user_attrs["metric"]
    metrics = {f"finalist_mean_{metric}": found.winner.mean} if found.winner.n_scored else {}
    tags = {"winner": trial_name(found.winner.number), "verdict": " ".join(verdict_lines(study))}
    rows, text = finalists_rows(study), io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return metrics, tags, {"finalists.csv": text.getvalue().encode()}


def _outcome(found: Verdict, metric: str, drawn: str) -> str:
    winner, other = found.winner, found.runner_up
    name = trial_name(winner.number)
    if not winner.n_scored:
        kept = f"{name}, the best of them in the search, is kept"
        return f"No finalist could be trained on a {drawn}: {kept}."
    score = f"mean {metric} {_text(winner.mean)} over {_n_of(winner.n_scored, drawn)}"
    if other is None or found.difference is None:
        if any(found.has_too_few(each) for each in found.standings):
            return (
                f"{name} leads: {score}, and no other has so many yet, so nothing is decided."
                f" {_GO_ON}"
            )
        only = "only finalist" if len(found.standings) == 1 else "only finalist that never failed"
        return f"{name} is the {only}: {score}{_interval_text(winner.interval)}."
    between = _interval_text(found.difference_interval)
    rival, gap = trial_name(other.number), _text(abs(found.difference))
    if found.tied:
        return (
            f"{name} and {rival} are tied: their means of {metric} differ by {gap}{between}."
            f" {name} was taken: {why_taken(winner, other)}."
        )
    if winner.n_scored < LEAST_DRAWS:
        return (
            f"{name} leads: {score}, {gap} better than {rival}. One {drawn} each decides nothing"
            f" yet. {_GO_ON}"
        )
    return f"{name} is the best: {score}, {gap} better than {rival}{between}."


def _too_few(found: Verdict, drawn: str) -> list[str]:
    """What `?` in the table stands for."""
    names = [trial_name(each.number) for each in found.standings if found.has_too_few(each)]
    few = f"scored on fewer than {_n_of(LEAST_DRAWS, drawn)}"
    return [f"? {', '.join(names)}: {few}, too few to win yet."] if names else []


def why_taken(winner: Standing, other: Standing) -> str:
    """Why the winner was taken of two that are tied."""
    if has_fewer_weights(winner, other):
        few, many = winner.record.n_parameters, other.record.n_parameters
        return f"it has fewer weights ({few:,} against {many:,})"
    if is_cheaper(winner, other):
        times = f"{winner.seconds:.1f} s, {other.seconds:.1f}"
        return f"it has about as many weights and trains faster ({times})"
    return "its mean is better, and they cost about the same"


def _promise(found: Verdict, study: optuna.Study, drawn: str) -> str:
    best, gap, metric = found.promised, _text(abs(found.optimism)), study.user_attrs["metric"]
    larger_is_better = study.direction == StudyDirection.MAXIMIZE
    flattered = (found.optimism >= 0) == larger_is_better
    verb = "flattered it by" if flattered else "promised too little by"
    spread = "" if math.isnan(best.std) else f" ± {_text(best.std)}"
    return (
        f"{trial_name(best.number)}, the search's best, scored"
        f" {_text(best.record.best[metric])} in the search and {_text(best.mean)}{spread} on"
        f" {_n_of(best.n_scored, drawn)}: the search {verb} {gap}."
    )


def _rank(found: Verdict, standing: Standing, rank: int) -> str:
    if standing.dropped:
        return "-"
    return "?" if found.has_too_few(standing) else str(rank)


def _interval_text(interval: Interval | None) -> str:
    if interval is None or not math.isfinite(interval[0]):
        return " (too few draws for an interval)"
    return f" (95 % interval {_text(interval[0])} to {_text(interval[1])})"


def _config_text(standing: Standing) -> Text:
    preset = f" [{standing.record.preset}]" if standing.record.preset else ""
    return Text(standing.record.parsed_config().title() + preset)


def _text(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if math.isfinite(value) else "-"


def _n_of(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
