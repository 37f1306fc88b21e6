"""The command that makes a study's page: report."""

from pathlib import Path
from typing import Annotated

import typer

from search.commands.command_line import console, find_task, group
from search.commands.options import RunsDir, Storage, Study, Task, TrackingUri

app = group()


@app.command()
def report(
    task: Task,
    study: Study = None,
    output: Annotated[
        Path | None, typer.Option(help="The page; reports/TASK.html by default.")
    ] = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Write a page on what a search found.

    What each hyperparameter did, in pictures and sentences.

    Example: hpsearch report fashion
    """
    from search.report.page import make_report
    from search.settings import Settings
    from search.study import find_study

    found = find_task(task)
    settings = Settings(runs_dir=runs_dir, storage=storage, tracking_uri=tracking_uri)
    make_report(found, settings, find_study(settings, task, study), console(), output)
