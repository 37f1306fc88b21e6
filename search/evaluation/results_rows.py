"""What docs/results.md says of each model: tutorials, scikit-learn, the search, its ensemble."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna

from pipelines.classical import Classical
from pipelines.tasks import Task
from search.evaluation.classical import TRIALS, values_of
from search.evaluation.ledger import Opening, latest, ledger_line
from search.evaluation.measurements import WITHOUT_TEST, Measurement, Spread, plain
from search.finalists.verdict import chosen
from search.settings import Settings
from search.tracking.trial_log import trial_name
from spaces.errors import InputError
from spaces.presets import Preset

MISSING = "not measured yet"
FOUND = "**found by the search**"
TOGETHER = "networks of the test together, the mean of their probabilities"
ALONE = -1
"""In the place of a draw: the score of the trial itself."""

Scores = Mapping[int, Mapping[str, float]]
"""By draw or seed, then by name of the metric without `val_`."""


@dataclass(frozen=True)
class Row:
    """A model in the table; scores are one for each training, and empty if there are none.

    Attributes:
        model: As the measurements name it; empty for what the search found.
        note: A line of Markdown below the table.
        unvalidated: What stands in the place of validation scores that are not there.
        opening: Of the test rows, where the row is a study's winner.
    """

    name: str
    reported: str
    validation: Scores
    test: Scores
    n_parameters: int
    seconds: float
    model: str = ""
    note: str = ""
    unvalidated: str = MISSING
    opening: Opening | None = None

    @property
    def measured(self) -> bool:
        """Whether this machine knows anything of it."""
        return bool(self.validation or self.test or self.note)


def preset_row(preset: Preset, stored: Sequence[Measurement]) -> Row:
    config = preset.config.model_dump(mode="json")
    own = [m for m in stored if dict(m.config) == config]
    failed = [m for m in own if m.cause]
    note = ""
    if failed:
        note = (
            f"- `{preset.name}`: {len(failed)} of {len(own)} trainings failed: {failed[0].cause}."
        )
    name = f"`{preset.name}` ({preset.config.title()})"
    return _measured_row(name, preset.reported, own, preset.name, note)


def classical_row(model: Classical, stored: Sequence[Measurement]) -> Row:
    note = ""
    if stored:
        values = ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in values_of(stored[0].config).items()
        )
        note = f"- {model.title} with {stored[0].config[TRIALS]} trials: {values}."
    return _measured_row(model.title, "not in the tutorial", stored, model.name, note)


def _measured_row(
    name: str, reported: str, stored: Sequence[Measurement], model: str, note: str
) -> Row:
    good = [m for m in stored if not m.cause]
    seconds = Spread.of(m.train_seconds for m in good)
    return Row(
        name=name,
        reported=reported,
        validation={m.draw: _plain(m.validation) for m in good},
        test={m.draw: m.test for m in good if m.test},
        n_parameters=max((m.n_parameters for m in good), default=0),
        seconds=seconds.mean if seconds else 0.0,
        model=model,
        note=note,
    )


def found_row(task: Task, settings: Settings, study: optuna.Study | None) -> Row:
    """What the search's finalists say of its winner; without any, its best trial's own score."""
    blank = Row(FOUND, "", {}, {}, 0, 0.0)
    if study is None:
        return blank
    try:
        number, record, standing = chosen(study)
    except InputError:  # no trial has completed
        return blank
    trained = [r for r in standing.retrainings if not r.cause] if standing else []
    seconds = Spread.of(r.train_seconds for r in trained)
    finished = sum(t.state.is_finished() for t in study.get_trials(deepcopy=False))
    where = f"{trial_name(number)} of the {finished} trials of study {study.study_name}"
    if trained:
        note = f"- The search's row is {where}, trained again as a finalist."
    else:
        note = (
            f"- The search's row is {where}; that score chose it, and no finalist was trained"
            " again: it is too good."
        )
    if task.name not in WITHOUT_TEST:
        line = ledger_line(settings.runs_dir, study, number)
        note += f" In the ledger: {line}."
    opening = latest(settings.runs_dir, study, number)
    return Row(
        name=f"{FOUND} ({record.parsed_config().title()})",
        reported="",
        validation={r.draw: _plain(r.last) for r in trained} or {ALONE: _plain(record.best)},
        test=_by_seed(opening),
        n_parameters=record.n_parameters,
        seconds=seconds.mean if seconds else record.train_seconds,
        note=note,
        opening=opening,
    )


def ensemble_rows(found: Row) -> list[Row]:
    """The winner's networks of the last opening together, if it scored more than one."""
    opening = found.opening
    if opening is None or not opening.ensemble:
        return []
    count = len(opening.scores[opening.metric].values)
    scores = {name: score.mean for name, score in opening.ensemble.items()}
    return [
        Row(
            name=f"its {count} {TOGETHER}",
            reported="",
            validation={},
            test={ALONE: scores},
            n_parameters=count * found.n_parameters,
            seconds=count * found.seconds,
            unvalidated="trained on",
        )
    ]


def _by_seed(opening: Opening | None) -> Scores:
    if opening is None:
        return {}
    n_scored = len(opening.scores[opening.metric].values)
    return {
        n: {name: score.values[n] for name, score in opening.scores.items()}
        for n in range(n_scored)
    }


def _plain(scores: Mapping[str, float]) -> dict[str, float]:
    return {plain(name): value for name, value in scores.items()}
