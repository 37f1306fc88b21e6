"""What an export claims: MODEL_CARD.md for people, scores.json for programs."""

import json
import math
from pathlib import Path
from typing import Any

import optuna

from pipelines.tasks import Task
from search.evaluation.ledger import latest, ledger_line
from search.export.check import Check
from search.export.exported import Exported
from search.export.model_card import model_card
from search.finalists.verdict import Retraining, Standing, chosen, verdict
from search.settings import Settings
from search.tracking.trial_log import best_scores


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
        "data_digest": study.user_attrs["data_digest"],
        "n_parameters": record.n_parameters,
        "validation": best_scores(record),
        "finalist": _standing_fields(standing) if standing else None,
        "test": _test_scores(settings.runs_dir, study, exported.number),
        "verified": result.verified if result else None,
        "verification": result.fields() if result else None,
    }
    return {"MODEL_CARD.md": card, "scores.json": json.dumps(scores, indent=2) + "\n"}


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
    task = study.user_attrs["task"]
    line = ledger_line(runs_dir, task, study.study_name, number)
    told = f"{line[0].upper()}{line[1:]}."
    if latest(runs_dir, task, study.study_name, number) is None:
        return told
    return (
        f"{told} It was measured on networks trained on training and validation rows together,"
        " not on `model.keras`."
    )


def _test_scores(runs_dir: Path, study: optuna.Study, number: int) -> dict[str, object] | None:
    opening = latest(runs_dir, study.user_attrs["task"], study.study_name, number)
    if opening is None:
        return None
    means = {
        name: {"mean": score.mean, "interval": score.interval, "sampling": score.sampling}
        for name, score in opening.scores.items()
    }
    return {"opening": opening.number, "time": opening.time, "scores": means}
