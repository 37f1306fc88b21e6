"""The commands that show what there is: space, presets, leaderboard, ui."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from search.commands.command_line import MORE, console, find_task, group
from search.commands.options import (
    FormatOption,
    Overrides,
    RunsDir,
    Storage,
    Study,
    Task,
    TrackingUri,
)

app = group()


@app.command(context_settings=MORE)
def space(
    context: typer.Context,
    task: Task,
    overrides: Overrides = [],  # noqa: B006 - typer copies it
) -> None:
    """Print what may vary for a task.

    Every hyperparameter with its range and what it does.

    Example: hpsearch space fashion
    """
    from search.tables import space_text
    from spaces.spaces import find_space

    console().print(space_text(find_space(task).narrow([*overrides, *context.args])))


@app.command()
def presets(task: Task) -> None:
    """List the tutorials' models for a task.

    Example: hpsearch presets mnist
    """
    from search.tables import presets_text
    from spaces.spaces import find_space

    console().print(presets_text(find_space(task)))


@app.command()
def leaderboard(
    task: Task,
    study: Study = None,
    top: Annotated[int, typer.Option(min=1, help="How many trials.")] = 10,
    output: Annotated[FormatOption, typer.Option("--format")] = FormatOption.table,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
) -> None:
    """Show the best trials of a study.

    Example: hpsearch leaderboard fashion --format csv > best.csv
    """
    from search import results
    from search.finalists.standings import whole_verdict
    from search.settings import Settings
    from search.study import find_study

    images = find_task(task).has_images
    found = find_study(Settings(runs_dir=runs_dir, storage=storage), task, study)
    best = results.leaders(found, top)
    if output is FormatOption.table:
        console().print(results.leaderboard_table(found, best))
        for line in whole_verdict(found):
            console().print(line)
    else:
        write = results.as_json if output is FormatOption.json else results.as_csv
        typer.echo(write(results.leaderboard_rows(best, images=images)))


@app.command()
def ui(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="MLflow's usual one by default.")
    ] = None,
    runs_dir: RunsDir = Path("mlruns"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Open the MLflow UI with every study and trial.

    Example: hpsearch ui --port 5001
    """
    import os

    from search.tracking.store import UI_PORT, ui_command

    port = port or UI_PORT
    command, environment = ui_command(runs_dir, tracking_uri, port)
    typer.echo(f"MLflow at http://127.0.0.1:{port} in a few seconds; Ctrl-C ends it.")
    typer.echo(
        "In a task's experiment, the view 'Trials, best first' has the columns that matter."
    )
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, **environment})  # noqa: S606 - it takes our place
