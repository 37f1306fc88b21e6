"""How the trials learned: their curves, the gap to the training rows, score against cost."""

from collections.abc import Sequence

import numpy as np
import optuna

from search import study as studies
from search.report.plots import Axis, Colour, Dots, Layer, Line, Plot, Symbol, thinned
from search.report.scale import score_limits, scored_line, sign_of, within
from search.report.values_axis import axis_of, place_of, value_text
from search.report.words import metric_name
from search.study import Record
from search.tracking.trial_log import trial_name
from spaces.domains import Choice, Domain, Value
from spaces.presets import PRESETS
from spaces.space import Space

Numbered = tuple[int, Record]

MOST_POINTS = 40
"""Of a curve."""
REGULARIZERS = (
    "dropout", "conv_dropout", "l2", "l1", "label_smoothing", "weight_averaging", "shift",
    "rotation", "zoom", "erasing",
)  # fmt: skip
N_GAPS = 4
LEAST = 6
"""Trials from which on a trend is drawn."""
CURVES: dict[str, tuple[Colour, float, float]] = {
    "failed": ("red", 1.0, 0.5),
    "pruned": ("grey", 1.0, 0.5),
    "interrupted": ("purple", 1.0, 0.7),
    "running": ("orange", 1.5, 0.9),
    "completed": ("blue", 1.2, 0.45),
}


def begun(study: optuna.Study) -> list[Numbered]:
    """The trials that have a score, by number."""
    found = [(t.number, studies.read(t)) for t in study.get_trials(deepcopy=False)]
    return [(n, record) for n, record in found if record and record.rows and record.best]


def learning_curves(study: optuna.Study, winner: int | None) -> Plot | None:
    """Score over epochs of all trials; None without any."""
    metric, sign = study.user_attrs["metric"], sign_of(study)
    trials = begun(study)
    if not trials:
        return None
    low, high = score_limits([record.best[metric] for _, record in trials], sign)
    layers: list[Layer] = []
    for state, (colour, width, opacity) in CURVES.items():
        own = [(n, r) for n, r in trials if r.state == state and n != winner]
        if own:
            x, y, hover = _joined(own, metric)
            layers.append(Line(state, x, y, colour, width, opacity=opacity, hover=hover))
    own = [(n, r) for n, r in trials if n == winner]
    if own:
        x, y, hover = _joined(own, metric)
        layers.append(Line(f"{trial_name(own[0][0])}, the winner", x, y, "orange", 3, hover=hover))
    n_pruned = sum(record.state == "pruned" for _, record in trials)
    faded = f" The {n_pruned} faded ones were pruned." if n_pruned else ""
    return Plot(
        "learning-curves",
        f"{metric_name(metric)} over epochs, a line for each trial",
        f"A line is a trial: it ends where the trial was ended.{faded} Lines that still rise at"
        " their end would have gained by longer training.",
        Axis("epoch", low=0.0),
        Axis(metric_name(metric), low=low, high=high),
        tuple(layers),
        height=420,
    )


def _joined(
    trials: Sequence[Numbered], metric: str
) -> tuple[list[float | None], list[float | None], list[str]]:
    """The curves as one line with gaps: hundreds of lines would make the page slow."""
    x: list[float | None] = []
    y: list[float | None] = []
    hover: list[str] = []
    for number, record in trials:
        for index in thinned(range(len(record.rows)), MOST_POINTS):
            row = record.rows[index]
            x.append(row["epoch"])
            y.append(row[metric])
            hover.append(f"{trial_name(number)} {row[metric]:.4f}")
        x.append(None)
        y.append(None)
        hover.append("")
    return x, y, hover


def gaps(study: optuna.Study, space: Space) -> list[Plot]:
    """Training less validation accuracy over what is meant to narrow that gap."""
    trials = [(n, r, g) for n, r in begun(study) if (g := _gap(r)) is not None]
    known = []
    for number, record, gap in trials:
        used = record.parsed_config().parameters()
        known.append((number, record, gap, used))
    plots = []
    for name in REGULARIZERS:
        domain = space.domains.get(name)
        own = [(n, r, g, used[name]) for n, r, g, used in known if name in used]
        own = [each for each in own if domain and domain.contains(each[3])]
        if domain and len(own) >= LEAST and len({value for *_, value in own}) > 1:
            plots.append(_gap_plot(name, domain, own))
    return plots[:N_GAPS]


def _gap(record: Record) -> float | None:
    """At the best epoch, in points of accuracy."""
    best = record.best
    if record.state != "completed" or not {"train_accuracy", "val_accuracy"} <= best.keys():
        return None
    return 100 * (best["train_accuracy"] - best["val_accuracy"])


def _gap_plot(name: str, domain: Domain, own: Sequence[tuple[int, Record, float, Value]]) -> Plot:
    choices = domain.values if isinstance(domain, Choice) else ()
    places = [place_of(domain, choices, value) for *_, value in own]
    values = [gap for _, _, gap, _ in own]
    hover = [
        f"{trial_name(n)}: {name} {value_text(value)}, gap {gap:+z.1f} points"
        for n, _, gap, value in own
    ]
    trend = _trend(places, values)
    layers: list[Layer] = [Dots("completed", places, values, "blue", hover=hover)]
    if len(trend) > 1:
        x, y = [a for a, _ in trend], [b for _, b in trend]
        layers.append(Line("middle of each third", x, y, "orange", 2.5))
    told = "Dots are completed trials; below 0 the network does better on validation rows."
    if len(trend) > 1:
        told += (
            f" From the lowest third of {name} to the highest the middle gap goes from"
            f" {trend[0][1]:+z.1f} to {trend[-1][1]:+z.1f} points."
        )
    return Plot(
        f"gap-{name}",
        f"Training less validation accuracy over {name}",
        told,
        axis_of(name, domain, choices),
        Axis("gap in points of accuracy"),
        tuple(layers),
        height=270,
    )


def _trend(places: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Medians of the lowest, middle and highest third; equal places stay together."""
    edges = np.quantile(places, [1 / 3, 2 / 3])
    which = np.digitize(places, edges, right=True)
    found = []
    for third in range(3):
        inside = which == third
        if inside.sum() >= 2:
            place, value = np.array(places)[inside], np.array(values)[inside]
            found.append((float(np.median(place)), float(np.median(value))))
    return found


def costs(study: optuna.Study, winner: int | None) -> list[Plot]:
    """Score against weights and against seconds, with the front of those that nobody beats."""
    metric, sign = study.user_attrs["metric"], sign_of(study)
    completed = [(n, r) for n, r in begun(study) if r.state == "completed"]
    if not completed:
        return []
    low, high = score_limits([record.best[metric] for _, record in completed], sign)
    found = []
    for key, title, what in (
        ("n_parameters", "weights", "fewer weights"),
        ("train_seconds", "seconds of training", "less time"),
    ):
        own = [(n, r, float(getattr(r, key))) for n, r in completed if getattr(r, key) > 0]
        if own:
            found.append(_cost_plot(key, title, what, own, metric, sign, (low, high), winner))
    return found


def _cost_plot(
    key: str,
    title: str,
    what: str,
    own: Sequence[tuple[int, Record, float]],
    metric: str,
    sign: float,
    ends: tuple[float, float],
    winner: int | None,
) -> Plot:
    def dots(name: str, colour: Colour, symbol: Symbol, size: float, kept: list[int]) -> Dots:
        return Dots(
            name,
            [own[i][2] for i in kept],
            [own[i][1].best[metric] for i in kept],
            colour,
            symbol,
            size,
            hover=[
                f"{_cost_text(own[i][2])} {title}; {scored_line(*own[i][:2], metric)}"
                for i in kept
            ],
        )

    presets = [i for i, (_, r, _) in enumerate(own) if r.preset in PRESETS]
    won = [i for i, (n, *_) in enumerate(own) if n == winner]
    rest = [i for i in range(len(own)) if i not in {*presets, *won}]
    front = _front([(cost, sign * r.best[metric]) for _, r, cost in own])
    x, y = [own[i][2] for i in front], [own[i][1].best[metric] for i in front]
    x, y = [*x, max(cost for *_, cost in own)], [*y, y[-1]]
    layers: list[Layer] = [Line("nobody is better for less", x, y, "orange", 2, steps=True)]
    for each in (
        dots("completed", "blue", "circle", 7, rest),
        dots("a tutorial's model", "green", "diamond", 11, presets),
        dots("the winner", "red", "star", 14, won),
    ):
        layers += within(each, *ends)
    cheap = own[front[0]]
    return Plot(
        f"cost-{key}",
        f"{metric_name(metric)} against {title}, a dot for each completed trial",
        f"Up and to the left is better: on the line there is no better score for {what}. Its"
        f" cheapest end is {trial_name(cheap[0])} with {_cost_text(cheap[2])} {title}"
        f" ({cheap[1].best[metric]:.4f}).",
        Axis(title, log=True),
        Axis(metric_name(metric), low=ends[0], high=ends[1]),
        tuple(layers),
    )


def _cost_text(cost: float) -> str:
    return f"{cost:,.0f}" if cost >= 100 else f"{cost:.2g}"


def _front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that none is better than for as little, the cheapest first."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    for i in order:
        if not front or points[i][1] > points[front[-1]][1]:
            front.append(i)
    return front
