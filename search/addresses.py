"""Where studies and runs are kept, as a user names it: shown to people, and named again."""

import os
import shlex

from search.settings import Settings

_SECRET = ("pass", "pwd")
"""In the query of an address, part of the names under which drivers take a password."""


def without_password(address: str) -> str:
    """An address as it may be shown and kept; other text stays as it is.

    URL parsers do not serve: they differ on where a password with '@' or '/' in it ends. Here it
    ends at the last '@', so that nothing of it is left.
    """
    scheme, found, rest = address.partition("://")
    known, at, place = rest.rpartition("@")
    user, colon, _ = known.partition(":")
    shown = f"{scheme}{found}{user}:***@{place}" if at and colon else address
    before, question, query = shown.partition("?")
    secret = found and any(word in query.lower() for word in _SECRET)
    return f"{before}{question}***" if secret else shown


def where_options(
    settings: Settings, study: str | None = None, *, storage: bool = True, mlflow: bool = True
) -> str:
    """The options by which another command finds the same study and runs.

    What would be found without them is left out. So is a password, which stands as `***`: what
    is printed may be kept.

    Args:
        study: As the user named it.
        storage, mlflow: Whether the command has an option for it.
    """
    named = {"--study": study}
    if settings.runs_dir != Settings.runs_dir:
        named["--runs-dir"] = str(settings.runs_dir)
    if storage:
        named["--storage"] = settings.storage
    # What stands in the environment, the next command finds there too.
    if mlflow and settings.tracking_uri != os.environ.get("MLFLOW_TRACKING_URI"):
        named["--tracking-uri"] = settings.tracking_uri
    given = {option: without_password(value) for option, value in named.items() if value}
    return "".join(f" {option} {shlex.quote(value)}" for option, value in given.items())
