"""Numbers and names as the report's sentences have them."""

from collections.abc import Sequence

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
AS_POINTS = ("accuracy", "auc", "pr_auc", "f1")
"""Scores between 0 and 1, of which a hundredth is called a point."""
NAMES = {"auc": "AUC", "pr_auc": "PR-AUC", "f1": "F1"}


def metric_name(metric: str) -> str:
    """`val_auc` as people say it: validation AUC."""
    plain = metric.removeprefix("val_")
    name = NAMES.get(plain, plain.replace("_", " "))
    return f"validation {name}" if metric.startswith("val_") else name


def n_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def spelled(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else f"{count}"


def listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def clock(seconds: float) -> str:
    """38 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest:02d} min" if hours else f"{minutes} min"


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit for an axis that goes so far, and its seconds."""
    if seconds < 200:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)


def signed(difference: float, metric: str) -> str:
    """+1.2 points, or +0.0123 of what has no points."""
    if metric.removeprefix("val_") in AS_POINTS:
        return f"{100 * difference:+z.1f} points"
    return f"{difference:+z.4f}"


def pair(low: float, high: float, metric: str) -> str:
    """Both ends of an interval of a difference."""
    if metric.removeprefix("val_") in AS_POINTS:
        return f"{100 * low:+z.1f} to {100 * high:+z.1f}"
    return f"{low:+z.4f} to {high:+z.4f}"


def sentence_case(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
