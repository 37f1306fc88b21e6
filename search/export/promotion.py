"""Which version of a registered model is the champion of its task."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pipelines.tasks import Goal


@dataclass(frozen=True)
class Contender:
    """What a version is compared by; stored as its tags.

    Attributes:
        kind: What the score is: the mean of a finalist's retrainings, or that of one trial.
        verified: Whether its exported script was seen to score as the search did.
    """

    task: str
    data_digest: str
    metric: str
    kind: str
    score: float
    verified: bool

    def tags(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> "Contender | None":
        """From the tags of a version; None for one that did not come from here."""
        try:
            texts = {name: tags[name] for name in cls.__dataclass_fields__}
            score, verified = float(texts.pop("score")), texts.pop("verified") == "True"
        except (KeyError, ValueError):
            return None
        return cls(**texts, score=score, verified=verified)


def promotion(
    new: Contender,
    champion: Contender | None,
    goal: Goal,
    *,
    winner: bool,
    note: str | None,
) -> tuple[bool, str]:
    """Whether a new version takes the place of the champion, and why, in a part of a sentence.

    Args:
        champion: None if there is none.
        winner: Whether its config is the one that its study chose. No other becomes champion: a
            score that was looked for among many trials is too good, and one that failed on a
            fresh seed cannot win.
        note: What came out of the check of its export; None if nobody has tried.
    """
    if not (new.verified and winner):
        return False, _why_unfit(new, note)
    if champion is None:
        return True, "it is the first with a verified export"
    for name in ("task", "metric", "kind", "data_digest"):
        ours, theirs = getattr(new, name), getattr(champion, name)
        if ours != theirs:
            return False, (
                f"it cannot be compared with the champion, whose {name.replace('_', ' ')} is"
                f" '{theirs}' and not '{ours}', so choose between them in the MLflow UI"
            )
    scores = f"{new.metric} {new.score:.4f} against {champion.score:.4f}, {new.kind}"
    # A sum in another order differs in its last digits.
    if math.isclose(new.score, champion.score, rel_tol=1e-9):
        return False, f"the champion is as good ({scores})"
    if goal.better(new.score, champion.score):
        return True, f"it beats the champion before it ({scores})"
    return False, f"the champion is better ({scores})"


def _why_unfit(new: Contender, note: str | None) -> str:
    if new.verified:
        return f"it is not its study's winner, which `hpsearch export {new.task}` exports"
    how = note or f"`hpsearch export {new.task} --verify` runs its train.py"
    return f"its export is not verified ({how})"
