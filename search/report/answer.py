"""The answer of a search: which network won, how good it is, against what, and at what cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState

from pipelines.tasks import Task
from search import study as studies
from search.evaluation.ledger import ledger_line
from search.finalists import verdict as verdicts
from search.finalists.comparison import Interval
from search.finalists.standings import verdict_lines
from search.finalists.verdict import LEAST_DRAWS, Standing
from search.report.compared import Gain, gain, tutorials_text
from search.report.words import (
    clock,
    listed,
    metric_name,
    n_of,
    pair,
    sentence_case,
    signed,
    spelled,
)
from search.study import Record, epoch_text
from search.tracking.trial_log import trial_name
from spaces.config import Config, ConvBlock
from spaces.errors import InputError
from spaces.presets import PRESETS


@dataclass(frozen=True)
class Fact:
    """A number with its name, and what to know about it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Answer:
    """What came of a study.

    Attributes:
        record: Of the winner; None while no trial has completed.
        sentences: The answer.
        verdict: Sentences on the finalists.
        tested: What the ledger of the sealed test set says.
    """

    number: int | None
    record: Record | None
    standing: Standing | None
    sentences: tuple[str, ...]
    facts: tuple[Fact, ...]
    verdict: tuple[str, ...]
    tested: str

    @property
    def name(self) -> str:
        return "" if self.number is None else trial_name(self.number)


def answer(task: Task, study: optuna.Study, runs_dir: Path) -> Answer:
    try:
        number, record, standing = verdicts.chosen(study)
    except InputError:
        tested = _tested(runs_dir, study, None)
        return Answer(None, None, None, _nothing_yet(study), _costs(study), (), tested)
    tested = _tested(runs_dir, study, number)
    found = None if record.preset in PRESETS else gain(study, number, standing)
    tutorials = tutorials_text(task, study, number, runs_dir)
    sentences = (
        _who(study, number, record, standing),
        _how_good(study, record, standing),
        f"{_against(record, found, study.user_attrs['metric'])}; {tutorials}.",
    )
    facts = (
        _score(study, record, standing),
        *([] if found is None else [_gain(found, study.user_attrs["metric"])]),
        Fact("weights", f"{record.n_parameters:,}"),
        *_costs(study),
    )
    said = tuple(verdict_lines(study))
    return Answer(number, record, standing, sentences, facts, said, tested)


def _tested(runs_dir: Path, study: optuna.Study, number: int | None) -> str:
    return f"{sentence_case(ledger_line(runs_dir, study, number))}."


def _nothing_yet(study: optuna.Study) -> tuple[str, ...]:
    count = sum(studies.read(trial) is not None for trial in study.get_trials(deepcopy=False))
    if not count:
        return (f"There is no answer yet: no trial of study {study.study_name} has begun.",)
    return (
        f"There is no answer yet: of {n_of(count, 'trial')} none has completed.",
        "What follows is all that they tell; the command that began the search goes on with them.",
    )


def _who(study: optuna.Study, number: int, record: Record, standing: Standing | None) -> str:
    config = record.parsed_config()
    how, known = config.optimization, record.preset in PRESETS
    schedule = "" if how.schedule == "constant" else f" ({how.schedule.replace('_', '-')})"
    name = f"{trial_name(number)}, the tutorials' {record.preset}" if known else trial_name(number)
    return (
        f"{_winner(study, standing)} is {name}: {network_words(config)};"
        f" {record.n_parameters:,} weights, trained by {how.optimizer} at a learning rate of"
        f" {how.learning_rate:.2g}{schedule} in batches of {how.batch_size}."
    )


def _winner(study: optuna.Study, standing: Standing | None) -> str:
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    unfinished = standing is None and TrialState.RUNNING in states
    undecided = standing is not None and standing.n_scored < LEAST_DRAWS
    return "The best so far" if unfinished or undecided else "The winner"


def network_words(config: Config) -> str:
    """The layers in a clause: three convolution blocks of 32, 64 and 64 filters, then ..."""
    network = config.network
    parts = []
    if network.blocks:
        parts.append(_blocks_words(network.blocks))
        if network.head == "average":
            parts.append("the mean of each filter")
    if network.embedding:
        parts.append(f"{network.embedding} units for each column by itself")
    if network.layers:
        units = [str(layer.units) for layer in network.layers]
        one = len(units) == 1
        layers = "a dense layer" if one else f"{spelled(len(units))} dense layers"
        parts.append(f"{layers} of {listed(units)} units")
    return ", then ".join(parts) or "nothing but an output layer"


def _blocks_words(blocks: Sequence[ConvBlock]) -> str:
    first = blocks[0]
    size = f"{first.kernel_size} x {first.kernel_size}"
    each = f", {spelled(first.convolutions)} convolutions each" if first.convolutions > 1 else ""
    kind = f"{'residual ' if first.residual else ''}convolution block"
    what = f"a {kind}" if len(blocks) == 1 else f"{spelled(len(blocks))} {kind}s"
    filters = listed([str(block.filters) for block in blocks])
    return f"{what} of {filters} filters ({size}{each})"


def _how_good(study: optuna.Study, record: Record, standing: Standing | None) -> str:
    metric = study.user_attrs["metric"]
    name, score = metric_name(metric), f"{record.best[metric]:.4f}"
    if standing is None:
        n_ended = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
        return (
            f"Its {name} is {score} at epoch {epoch_text(record.best['epoch'])}, the best of"
            f" {n_of(n_ended, 'trial')}: as that score chose it, it promises too much."
        )
    if not standing.n_scored:
        return f"In the search its {name} was {score}; trained again it failed."
    drawn = "fold" if verdicts.on_folds(study) else "fresh seed"
    return (
        f"Trained again on {n_of(standing.n_scored, drawn)}, its {name} is {standing.mean:.4f}"
        f"{_within(standing.interval)}."
    )


def _against(record: Record, found: Gain | None, metric: str) -> str:
    if record.preset in PRESETS:
        return "Nothing that the search drew itself was clearly better"
    if found is None:
        return "No preset has completed in this study"
    return f"That is {found.text(metric)}"


def _score(study: optuna.Study, record: Record, standing: Standing | None) -> Fact:
    metric = study.user_attrs["metric"]
    name = metric_name(metric)
    if standing is None or not standing.n_scored:
        return Fact(name, f"{record.best[metric]:.4f}", "of the training that chose it")
    low, high = standing.interval
    drawn = "fold" if verdicts.on_folds(study) else "seed"
    note = f"mean over {n_of(standing.n_scored, drawn)}"
    if math.isfinite(low):
        note = f"{low:.4f} to {high:.4f} (95 %), {note}"
    return Fact(name, f"{standing.mean:.4f}", note)


def _gain(found: Gain, metric: str) -> Fact:
    between = f"{pair(*found.interval, metric)} (95 %), " if found.known else ""
    return Fact("above the best preset", signed(found.gain, metric), f"{between}{found.preset}")


def _costs(study: optuna.Study) -> tuple[Fact, ...]:
    """What was spent on trials and finalists."""
    found = [studies.read(trial) for trial in study.get_trials(deepcopy=False)]
    records = [record for record in found if record]
    epochs = sum(record.epoch for record in records)
    seconds = sum(record.worker_seconds for record in records)
    facts = [
        Fact("trials", f"{len(records):,}", f"{epochs:,.0f} epochs"),
        Fact("time of the workers", clock(seconds), "on the trials"),
    ]
    again = verdicts.retrainings(study)
    if again:
        final = clock(sum(each.train_seconds for each in again))
        facts.append(Fact("finalists", final, f"{len(again)} trainings more"))
    return tuple(facts)


def _within(interval: Interval) -> str:
    low, high = interval
    return f" (95 % interval {low:.4f} to {high:.4f})" if math.isfinite(high) else ""
