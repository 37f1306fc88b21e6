"""The finalists beside each other: what each scored when trained again, and how sure that is."""

import math

import optuna

from search.finalists.verdict import Standing, on_folds, verdict
from search.report.plots import Axis, Colour, Dots, Layer, Line, Plot, categories
from search.report.words import metric_name, n_of
from search.tracking.trial_log import trial_name

LABEL = 14


def finalists_plot(study: optuna.Study) -> Plot | None:
    """Scores of all retrainings as dots, means with their intervals; None without finalists."""
    found = verdict(study)
    shown = [each for each in found.standings if each.n_scored][::-1] if found else []
    if not found or not shown:
        return None
    metric = study.user_attrs["metric"]
    x = [r.last[metric] for each in shown for r in each.retrainings if not r.cause]
    y = [float(i) for i, each in enumerate(shown) for r in each.retrainings if not r.cause]
    layers: list[Layer] = []
    colours: list[tuple[str, Colour, bool]] = [
        ("mean and 95 %", "blue", False),
        ("winner", "orange", True),
    ]
    for name, colour, won in colours:
        own = [(i, s) for i, s in enumerate(shown) if (s is found.winner) == won]
        layers += _means(name, colour, own)
    layers.append(Dots("a training", x, y, "ink", "circle-open", 6))
    drawn = "fold" if on_folds(study) else "fresh seed"
    most = max(each.n_scored for each in shown)
    return Plot(
        "finalists",
        f"Scores of the finalists on up to {n_of(most, drawn)}, with means and intervals",
        "Where the bars of two overlap by much, nobody knows which is better.",
        Axis(metric_name(metric)),
        categories("", [_label(each) for each in shown]),
        tuple(layers),
        height=110 + 34 * len(shown),
    )


def _means(name: str, colour: Colour, own: list[tuple[int, Standing]]) -> list[Layer]:
    across: list[float | None] = []
    up: list[float | None] = []
    for i, each in own:
        if math.isfinite(each.interval[0]):
            across += [*each.interval, None]
            up += [float(i), float(i), None]
    means = [each.mean for _, each in own]
    hover = [f"{trial_name(each.number)}: mean {each.mean:.4f}" for _, each in own]
    bars = [Line("", across, up, colour, 3)] if across else []
    return [
        *bars,
        Dots(name, means, [float(i) for i, _ in own], colour, "diamond", 11, 1.0, hover),
    ]


def _label(each: Standing) -> str:
    """Short: on a phone the name would leave no room for the scores."""
    layers = " ".join(each.record.parsed_config().title().split()[1:-1])
    kind = "preset" if each.record.preset else layers
    return f"{trial_name(each.number)} {kind if len(kind) <= LABEL else kind[: LABEL - 1] + '…'}"
