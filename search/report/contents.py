"""What stands in the report, section by section, before it becomes a page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from pipelines.tasks import Task
from search import audit as audits
from search import config_words
from search import study as studies
from search.finalists.verdict import on_folds, retrainings
from search.layers import layers_of
from search.one_trial import input_shape
from search.report import advice
from search.report.answer import Answer, answer
from search.report.curves import costs, gaps, learning_curves
from search.report.drawing import Drawn, drawn
from search.report.effects import Findings, findings
from search.report.evidence import Evidence, evidence
from search.report.finalists_plot import finalists_plot
from search.report.glance import best_so_far, endings
from search.report.hyperparameters import cards, importances, interaction_plot
from search.report.mistakes import Errors, errors
from search.report.plots import Plot
from search.report.searched import overrides_from, search_command, searched_space
from search.report.timeline import timeline
from search.report.words import n_of
from search.settings import Settings
from search.tracking.reading import RunReader
from spaces.config import Config
from spaces.space import Space

N_PAIRS = 4
N_SLICES = 6
NO_AUDIT = "No trial of this study was pruned, so there is nothing to audit."


@dataclass(frozen=True)
class Proposal:
    """The next search: a command to paste, or empty."""

    command: str
    overrides: tuple[str, ...]


def contents(
    task: Task, settings: Settings, study: optuna.Study, reader: RunReader
) -> dict[str, Any]:
    """All that the template shows, by the names it has there."""
    space = searched_space(study, task.space)
    known = evidence(study, space)
    found = findings(known, space)
    said = answer(task, study, settings.runs_dir)
    wrong = errors(reader, _runs(study, said))
    audited = audits.audit(study)
    _, tags = reader.study_run(task.name, study.study_name)
    return {
        "task": task,
        "study": study.study_name,
        "command": tags.get("command", ""),
        "answer": said,
        "layers": _layers(task, study, said),
        "words": _words(said),
        "finalists": finalists_plot(study),
        "glance": _there(best_so_far(study), endings(study), timeline(study)),
        "importances": importances(found),
        "cards": cards(known, found, space),
        "warnings": advice.warnings(found, known, space),
        "pairs": [interaction_plot(pair, known) for pair in found.interactions[:N_PAIRS]],
        "proposal": _proposal(task, found, known, space),
        "curves": _there(learning_curves(study, said.number)),
        "gaps": gaps(study, space),
        "costs": costs(study, said.number),
        "errors": wrong,
        "slices": wrong.slices[:N_SLICES],
        "audit": audited,
        "audit_lines": audits.lines(audited) if audited else [NO_AUDIT],
        "unfinished": _unfinished(study),
        "lacks": _lacks(said, wrong, reader, known),
        "limits": _limits(study, known, space),
    }


def _there(*plots: Plot | None) -> list[Plot]:
    return [plot for plot in plots if plot]


def _layers(task: Task, study: optuna.Study, said: Answer) -> list[Drawn]:
    shape = input_shape(task, study)
    if said.record is None or shape is None:
        return []
    return drawn(layers_of(said.record.parsed_config(), shape, task.n_classes))


def _words(said: Answer) -> list[str]:
    config: Config | None = said.record.parsed_config() if said.record else None
    return config_words.sentences(config) if config else []


def _runs(study: optuna.Study, said: Answer) -> Mapping[str, str]:
    """The runs that may tell of the winner's mistakes: the trial's own, then its retrainings'."""
    if said.number is None or said.record is None:
        return {}
    runs = {
        f"{said.name} as trained in the search": studies.run_of(study, said.number, said.record)
    }
    for each in said.standing.retrainings if said.standing else ():
        runs[f"{said.name} trained again with seed {each.seed}"] = each.run_id
    return {of: run_id for of, run_id in runs.items() if run_id}


def _proposal(task: Task, found: Findings, known: Evidence, space: Space) -> Proposal | None:
    """The narrowed space as a command, with what had narrowed the space of this study before."""
    new = advice.proposal(found, known, space)
    if not new:
        return None
    narrowed = overrides_from(task.space, space) | {
        override.partition("=")[0]: override for override in new
    }
    here = {n: text for n, text in narrowed.items() if n in task.space.domains}
    unused = task.space.unused(here.values())
    usable = {n: text for n, text in here.items() if text not in unused}
    return Proposal(search_command(task.name, usable), tuple(new))


def _unfinished(study: optuna.Study) -> str:
    """A sentence on the trials that have not ended; empty without any."""
    trials = study.get_trials(deepcopy=False)
    records = [studies.read(trial) for trial in trials if trial.state == TrialState.RUNNING]
    if not records:
        return ""
    count, one = n_of(len(records), "trial"), len(records) == 1
    if all(record and record.state == "interrupted" for record in records):
        were, them = ("was", "it") if one else ("were", "them")
        goes_on = f"the command that began the search goes on with {them}"
        return f"{count} {were} interrupted when the search ended: {goes_on}."
    return f"The search is not over: {count} had not ended when this page was made."


def _lacks(said: Answer, wrong: Errors, reader: RunReader, known: Evidence) -> list[str]:
    """What this page would show if it were there."""
    lines = [reader.lacks] if reader.lacks else []
    if said.number is not None and wrong.empty:
        lines.append(f"The run of {said.name} has no files on its mistakes.")
    elif not wrong.empty and not wrong.told:
        lines.append(
            f"The run of {said.name} has no mistakes.json, as runs of earlier versions: its"
            " mistakes are shown as far as pictures of them are there."
        )
    if known.left_out:
        lines.append(
            f"{n_of(known.left_out, 'trial')} with a score do not fit the space of today and are"
            " left out of what is said of hyperparameters."
        )
    return lines


def _limits(study: optuna.Study, known: Evidence, space: Space) -> list[str]:
    n_trials, n_varied = n_of(len(known), "trial"), len(space.domains)
    longest = max((r.parsed_config().training.epochs for _, r in known.records), default=0)
    drawn_on = "other folds" if on_folds(study) else "other seeds, and the same rows"
    again = f" Only the finalists saw {drawn_on}." if retrainings(study) else ""
    return [
        f"{n_trials} with a score are few points in a space of {n_varied} hyperparameters.",
        f"All trials were scored on the same validation rows, and may suit just those.{again}",
        f"Nothing is known beyond the ranges that were searched, and {longest or 'any'} epochs.",
        *advice.limits(known),
        "Seconds are of one machine, with whatever else it was doing.",
    ]
