"""What an export claims: MODEL_CARD.md for people, scores.json for programs."""

import json
import math
from pathlib import Path
from typing import Any

import optuna

from pipelines.tasks import Task
from search import study as studies
from search.checkpoints import write_whole
from search.evaluation.ledger import latest, ledger_line, n_for_others, openings
from search.export.check import Check
from search.export.exported import Exported
from search.export.model_card import model_card
from search.finalists.verdict import Retraining, Standing, chosen, verdict
from search.one_trial import standing_of
from search.settings import Settings
from search.tracking.trial_log import best_scores
from spaces.errors import RunFailedError


def claims(
    task: Task, settings: Settings, study: optuna.Study, exported: Exported, result: Check | None
) -> dict[str, str]:
    """The files that say how good the model is, by name."""
    tested = _tested(settings.runs_dir, study, exported.number)
    card = model_card(task, study, exported, verdict=verdict(study), check=result, tested=tested)
    record, standing = exported.record, exported.standing
    scores = {
        "task": task.name,
        "study": study.study_name,
        "trial": exported.number,
        "winner": exported.number == chosen(study)[0],
        "run_id": exported.run_id,
        "seed": exported.seed,
        "division": exported.division,
        "origin": dict(exported.origin),
        "data_digest": study.user_attrs["data_digest"],
        "n_parameters": record.n_parameters,
        "validation": best_scores(record),
        "finalist": _standing_fields(standing) if standing else None,
        "test": _test_scores(settings.runs_dir, study, exported.number),
        "openings": _openings(settings.runs_dir, study),
        "verified": result.verified if result else None,
        "verification": result.fields() if result else None,
    }
    return {"MODEL_CARD.md": card, "scores.json": json.dumps(scores, indent=2) + "\n"}


def earlier_check(
    folder: Path, new: Path, study: optuna.Study, exported: Exported
) -> Check | None:
    """What the check of an earlier export said, where `new` holds the same model and script."""
    scores = read_scores(folder)
    ours = {"study": study.study_name, "trial": exported.number, "run_id": exported.run_id}
    if scores is None or not ours.items() <= scores.items() or not scores["verification"]:
        return None
    for name in ("train.py", "requirements.txt"):
        earlier = folder / name
        if not earlier.exists() or earlier.read_bytes() != (new / name).read_bytes():
            return None
    return Check.read(scores["verification"])


def refresh_card(
    task: Task, settings: Settings, study: optuna.Study, exports_dir: Path
) -> Path | None:
    """Brings card and scores of an export up to date with the study and its ledger.

    Returns:
        The card; None where `exports_dir/<task>/` holds no export of this study.

    Raises:
        RunFailedError: they cannot be written.
    """
    folder = exports_dir / task.name
    scores = read_scores(folder)
    if scores is None or scores["study"] != study.study_name or "origin" not in scores:
        return None
    number, check = scores["trial"], scores["verification"]
    record = studies.read(study.get_trials(deepcopy=False)[number])
    if record is None:
        raise KeyError(f"trial {number} was exported but has no record")
    standing = standing_of(study, number)
    place = scores["run_id"], scores["seed"], scores["division"]
    exported = Exported(number, record, standing, *place, scores["origin"])
    result = Check.read(check) if check else None
    try:
        for name, text in claims(task, settings, study, exported, result).items():
            write_whole(folder / name, text.encode())
    except OSError as error:
        raise RunFailedError(
            f"The card in {folder} cannot be brought up to date ({error.strerror}):"
            f" `hpsearch export {task.name}` writes it anew."
        ) from error
    return folder / "MODEL_CARD.md"


def _standing_fields(standing: Standing) -> dict[str, object]:
    known = math.isfinite(standing.interval[1])
    return {
        "mean": standing.mean if standing.n_scored else None,
        "std": standing.std if standing.n_scored > 1 else None,
        "interval": standing.interval if known else None,
        "retrainings": [_retraining_fields(retraining) for retraining in standing.retrainings],
    }


def _retraining_fields(retraining: Retraining) -> dict[str, object]:
    fields = ("draw", "seed", "last", "epochs", "run_id", "cause")
    return {name: getattr(retraining, name) for name in fields}


def read_scores(folder: Path) -> dict[str, Any] | None:
    """What the scores.json of an export says; None where the folder holds none."""
    try:
        scores = json.loads((folder / "scores.json").read_text())
    except (OSError, ValueError):
        return None
    ours = isinstance(scores, dict) and {"task", "study", "trial"} <= scores.keys()
    return scores if ours else None


def _tested(runs_dir: Path, study: optuna.Study, number: int) -> str:
    """What the ledger of the sealed test set says of a study, in sentences."""
    line = ledger_line(runs_dir, study, number)
    told = f"{line[0].upper()}{line[1:]}."
    if latest(runs_dir, study, number) is None:
        return told
    return (
        f"{told} It was measured on networks trained on training and validation rows together,"
        " not on `model.keras`."
    )


def _openings(runs_dir: Path, study: optuna.Study) -> dict[str, int]:
    """How often the task's test rows were read, for whom."""
    own, others = len(openings(runs_dir, study)), n_for_others(runs_dir, study)
    return {"this_study": own, "other_studies": others, "total": own + others}


def _test_scores(runs_dir: Path, study: optuna.Study, number: int) -> dict[str, object] | None:
    opening = latest(runs_dir, study, number)
    if opening is None:
        return None
    means = {
        name: {"mean": score.mean, "interval": score.interval, "sampling": score.sampling}
        for name, score in opening.scores.items()
    }
    return {"opening": opening.number, "time": opening.time, "scores": means}
