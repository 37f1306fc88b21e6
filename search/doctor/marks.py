"""What the doctor says: a mark, what it is about, and a line on it."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "note", "mended", "problem"]
REMEDY = "`hpsearch doctor` without --check mends it"


@dataclass(frozen=True)
class Finding:
    mark: Mark
    about: str
    text: str


def ok(about: str, text: str) -> Finding:
    return Finding("ok", about, text)


def note(about: str, text: str) -> Finding:
    """What is no fault, but good to know."""
    return Finding("note", about, text)


def problem(about: str, text: str) -> Finding:
    return Finding("problem", about, text)


def mended(about: str, text: str, *, mend: bool) -> Finding:
    """What was mended, or with --check would have been."""
    return Finding("mended", about, text) if mend else problem(about, f"{text}; {REMEDY}")
