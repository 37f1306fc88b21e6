"""The exceptions that are a message to the user and not a bug."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: one sentence with what is wrong, the value seen and what to do.

    The command line prints it and exits with status 2.
    """


class RunFailedError(RuntimeError):
    """A run could not go on, for no fault of the input: one sentence, exit status 1."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """An InputError for a name that does not exist, with the nearest one that does."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return InputError(f"Unknown {kind} '{name}'.{hint} Choose from: {', '.join(names)}.")
