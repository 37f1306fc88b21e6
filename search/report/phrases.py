"""Values and differences of scores as people say them."""

import math

from search.report.words import AS_POINTS
from spaces.domains import Choice, Domain, Float, Value


def value_text(domain: Domain, value: Value) -> str:
    """As spaces are shown; what lies anywhere in a range with two digits."""
    if isinstance(domain, Float) and not domain.step:
        value = float(f"{float(value):.2g}")
    text = Choice(value).text()
    # "No costs a point" would say something else.
    return f"'{text}'" if text in ("yes", "no", "none") else text


def points(value: float, metric: str, error: float = 0.0) -> str:
    """A difference of scores: `0.6 points` for accuracies and AUC, `0.012 in loss` for others.

    Args:
        error: Half the width of its band, finer than which nothing is said; without one the
            difference has two digits.
    """
    plain = metric.removeprefix("val_")
    as_points = plain in AS_POINTS
    scale = 100.0 if as_points else 1.0
    text = _rounded(scale * value, scale * error)
    if not as_points:
        return f"{text} in {plain.replace('_', ' ')}"
    return "1 point" if text == "1" else f"{text} points"


def _rounded(value: float, error: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = -math.floor(math.log10(error)) if error else 1 - math.floor(math.log10(abs(value)))
    text = f"{value:.{min(max(digits, 0), 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
