"""`hpsearch compare`: what differs between trials, and what it did."""

import math
from collections.abc import Callable, Sequence

import optuna
from optuna.study import StudyDirection
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from search import study as studies
from search.finalists.comparison import LEVEL, Interval
from search.finalists.verdict import comparison, on_folds
from search.one_trial import gap
from search.show import SPARK_WIDTH, thinned
from search.study import Record
from search.texts import sparkline
from search.tracking.trial_log import trial_name
from spaces.config import Config
from spaces.domains import Value
from spaces.errors import InputError

Trial = tuple[int, Record]
Columns = list[tuple[str, list[str]]]
"""Rows of a table: a name, and a text a trial."""

MOST = 5
"""Trials side by side in 80 columns."""
N_EPOCHS = 10
_OF_BLOCKS = {
    "kernel_size": "kernel_size",
    "convolutions": "convolutions",
    "residual": "residual",
    "padding": "padding",
    "pooling": "pooling",
    "conv_dropout": "dropout",
}


def check(trials: Sequence[Trial]) -> None:
    """Refuses what cannot be laid side by side.

    Raises:
        InputError: too few, too many, or one twice.
    """
    names = [trial_name(number) for number, _ in trials]
    if not 2 <= len(names) <= MOST:
        count = len(names)
        raise InputError(f"Name two to {MOST} trials to compare, got {count}: {', '.join(names)}.")
    if len(set(names)) < len(names):
        raise InputError(f"Name different trials to compare, got {', '.join(names)}.")


def comparison_page(study: optuna.Study, trials: Sequence[Trial]) -> Group:
    """What differs, what came of it, the curves, and what may be concluded."""
    metric = study.user_attrs["metric"]
    parts: list[RenderableType] = [Text(study.study_name, style="dim")]
    differing = differences([record.parsed_config() for _, record in trials])
    if differing:
        parts += ["", _table("What differs", trials, _texts(differing))]
    parts += ["", _table("What it did", trials, _outcome(trials, metric))]
    curves = _curves(trials, metric)
    if curves:
        parts += ["", _table(f"{metric} at the same epoch", trials, curves)]
    for number, record in trials:
        values = thinned([row[metric] for row in record.rows], SPARK_WIDTH)
        parts.append(Text(f"{trial_name(number)} {sparkline(values)}"))
    parts += ["", *(Text(line) for line in conclusions(study, trials))]
    return Group(*parts)


def differences(configs: Sequence[Config]) -> dict[str, list[Value | None]]:
    """The parameters that are not the same everywhere, a value a config or None."""
    flat = [config.parameters() for config in configs]
    names = dict.fromkeys(name for each in flat for name in each)
    values = {name: [each.get(name) for each in flat] for name in names}
    return {name: own for name, own in values.items() if any(v != own[0] for v in own)}


def causes(one: Config, other: Config) -> list[str]:
    """What was set differently, without what only follows from that.

    `filters_3` of a network with two blocks follows from the number of blocks, and so does that
    the third is not pooled; Adam's betas follow from the optimizer.
    """
    differing = differences([one, other])
    own = [name for name, values in differing.items() if None not in values]
    return [name for name in own if name not in _OF_BLOCKS or not _same_blocks(one, other, name)]


def conclusions(study: optuna.Study, trials: Sequence[Trial]) -> list[str]:
    """What may be said of the difference, which is little where several things differ."""
    if len(trials) > 2:
        return [_of_many(trials)]
    one, other = trials
    return [_better(study, one, other), _why(one, other), *_retrained(study, one, other)]


def _better(study: optuna.Study, one: Trial, other: Trial) -> str:
    """Who is ahead: at the end, or else at the last epoch that both have seen."""
    metric = study.user_attrs["metric"]
    sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
    if one[1].state == other[1].state == "completed":
        scores, when = [record.best[metric] for _, record in (one, other)], "at their best"
    else:
        epoch = _last_common([one[1], other[1]])
        if epoch is None:
            return "They have no epoch in common at which they could be compared."
        scores = [_best_until(record, epoch, metric, sign) for _, record in (one, other)]
        last = studies.epoch_text(epoch)
        when = f"at their best up to epoch {last}, the last that both have seen"
    if not all(math.isfinite(score) for score in scores):
        return "One of them has no score to compare."
    names = [trial_name(number) for number, _ in (one, other)]
    if scores[0] == scores[1]:
        return f"{names[0]} and {names[1]} have the same {metric} {when}, {scores[0]:.4f}."
    ahead = 0 if sign * (scores[0] - scores[1]) > 0 else 1
    lead = abs(scores[0] - scores[1])
    return f"{names[ahead]} is {lead:.4f} better than {names[1 - ahead]} in {metric} {when}."


def _why(one: Trial, other: Trial) -> str:
    found = causes(one[1].parsed_config(), other[1].parsed_config())
    if not found:
        return "Their configs are the same: the difference is the luck of the seed."
    if len(found) == 1:
        return (
            f"Only {found[0]} was set differently: the difference comes from it or from the luck"
            " of the seed, which one training each cannot tell apart."
        )
    return (
        f"{len(found)} settings differ ({', '.join(found)}): any of them, several together or the"
        " luck of the seed may have made the difference."
    )


def _of_many(trials: Sequence[Trial]) -> str:
    differing = differences([record.parsed_config() for _, record in trials])
    if len(differing) == 1:
        (name,) = differing
        return f"Only {name} differs; each was trained once, so the luck of the seed is in it."
    return (
        f"{len(differing)} parameters differ: no difference in the score belongs to one of them;"
        " compare two trials to see what was set differently."
    )


def _retrained(study: optuna.Study, one: Trial, other: Trial) -> list[str]:
    """The difference on fresh seeds or folds, for two finalists."""
    numbers, fit = (one[0], other[0]), comparison(study)
    if not all(math.isfinite(fit.mean(number)) for number in numbers):
        return []
    difference = fit.mean(numbers[0]) - fit.mean(numbers[1])
    half = fit.half_width(numbers[0], numbers[1], (1 + LEVEL) / 2)
    drawn = "folds" if on_folds(study) else "fresh seeds"
    names = " less ".join(map(trial_name, numbers))
    what = f"Trained again on {drawn}, {names} is {difference:+z.4f} in the mean"
    if not math.isfinite(half):
        return [f"{what}, on too few of them for an interval."]
    return [f"{what} {_interval_text((difference - half, difference + half))}."]


def _interval_text(interval: Interval) -> str:
    low, high = interval
    verdict = "nobody can say which is better" if low <= 0 <= high else "more than luck"
    return f"(95 % interval {low:+z.4f} to {high:+z.4f}): {verdict}"


def _outcome(trials: Sequence[Trial], metric: str) -> Columns:
    def row(name: str, text: Callable[[Record], str]) -> tuple[str, list[str]]:
        return name, [text(record) for _, record in trials]

    def scored(text: Callable[[Record], str]) -> Callable[[Record], str]:
        return lambda record: text(record) if record.best else "-"

    return [
        row("state", lambda r: r.cause or r.state),
        row(metric, scored(lambda r: f"{r.best[metric]:.4f}")),
        row("best at epoch", scored(lambda r: studies.epoch_text(r.best["epoch"]))),
        row("gap (train - val accuracy)", scored(lambda r: f"{gap(r.best):+z.4f}")),
        row("weights", lambda r: f"{r.n_parameters:,}" if r.n_parameters else "-"),
        row("epochs trained", lambda r: studies.epoch_text(r.epoch)),
        row("seconds an epoch", lambda r: f"{r.train_seconds / r.epoch:.3g}" if r.epoch else "-"),
    ]


def _curves(trials: Sequence[Trial], metric: str) -> Columns:
    """Scores at epochs that all have been at, a few of them."""
    by_epoch = [{row["epoch"]: row[metric] for row in record.rows} for _, record in trials]
    common = sorted(set.intersection(*(set(each) for each in by_epoch)))
    return [
        (f"epoch {studies.epoch_text(epoch)}", [f"{each[epoch]:.4f}" for each in by_epoch])
        for epoch in thinned(common, N_EPOCHS)
    ]


def _table(title: str, trials: Sequence[Trial], rows: Columns) -> Group:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for number, _ in trials:
        table.add_column(trial_name(number), justify="right")
    for name, texts in rows:
        table.add_row(name, *texts)
    return Group(Text(title, style="bold cyan"), table)


def _texts(differing: dict[str, list[Value | None]]) -> Columns:
    return [(name, [_text(value) for value in own]) for name, own in differing.items()]


def _text(value: Value | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _same_blocks(one: Config, other: Config, name: str) -> bool:
    """Whether the blocks that both networks have agree in a parameter."""
    pairs = zip(one.network.blocks, other.network.blocks, strict=False)
    field = _OF_BLOCKS[name]
    return all(getattr(mine, field) == getattr(theirs, field) for mine, theirs in pairs)


def _last_common(records: Sequence[Record]) -> float | None:
    """The last epoch at which all of them had been scored."""
    ends = [record.rows[-1]["epoch"] for record in records if record.rows]
    return min(ends) if len(ends) == len(records) else None


def _best_until(record: Record, epoch: float, metric: str, sign: float) -> float:
    seen = [row[metric] for row in record.rows if row["epoch"] <= epoch + 1e-9]
    finite = [score for score in seen if math.isfinite(score)]
    return max(finite, key=lambda score: sign * score) if finite else math.nan
