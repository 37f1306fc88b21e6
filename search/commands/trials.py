"""The commands that look at single trials: show, compare."""

from pathlib import Path
from typing import Annotated

import typer

from search.commands.command_line import console, find_task, group
from search.commands.options import RunsDir, Storage, Study, Task, TrackingUri

app = group()


@app.command()
def show(
    task: Task,
    trial: Annotated[str, typer.Argument(help="Its number, or 'best' for the winner.")],
    study: Study = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Show one trial: config, layers, curve, cost, links.

    Example: hpsearch show fashion 17
    """
    from search.one_trial import numbered
    from search.settings import Settings
    from search.show import next_steps, trial_page
    from search.study import find_study

    found = find_task(task)
    settings = Settings(runs_dir=runs_dir, storage=storage, tracking_uri=tracking_uri)
    source = find_study(settings, task, study)
    number, record = numbered(source, trial)
    console().print(trial_page(found, source, number, record))
    for line in next_steps(found, source, settings, number, record, study):
        console().print(line, soft_wrap=True, markup=False)


@app.command()
def compare(
    task: Task,
    trials: Annotated[list[str], typer.Argument(help="Two to five numbers, or 'best'.")],
    study: Study = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
) -> None:
    """Show what differs between trials, and what it did.

    Example: hpsearch compare fashion 17 23
    """
    from search import compare as comparing
    from search.one_trial import numbered
    from search.settings import Settings
    from search.study import find_study

    find_task(task)
    source = find_study(Settings(runs_dir=runs_dir, storage=storage), task, study)
    chosen = [numbered(source, each) for each in trials]
    comparing.check(chosen)
    console().print(comparing.comparison_page(source, chosen))
