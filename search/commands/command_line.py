"""What the modules of the command line share."""

import shlex
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import rich.console

    import pipelines.tasks

# `--set a=1 b=2`: what follows the first value reaches us as further arguments.
MORE: dict[str, Any] = {"allow_extra_args": True}


def group() -> typer.Typer:
    """Commands without a name of their own, to be added to the command line."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


def console() -> "rich.console.Console":
    from rich.console import Console

    return Console(highlight=False)


def find_task(name: str) -> "pipelines.tasks.Task":
    from pipelines.tasks import find_task

    return find_task(name)


def command_line() -> str:
    """What the user typed, for the record, which others read: without passwords."""
    from search.addresses import without_password

    return shlex.join(["hpsearch", *map(without_password, sys.argv[1:])])
