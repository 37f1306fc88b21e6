"""The command that opens Optuna's dashboard."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from search.commands.command_line import find_task, group
from search.commands.options import RunsDir, Storage, TrackingUri

app = group()


@app.command()
def dashboard(
    task: Annotated[
        str | None, typer.Argument(help="The task whose last study is shown; all by default.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8080,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Open Optuna's dashboard on a study.

    Each trial has a note that says what it was and leads to its run in MLflow.

    Example: hpsearch dashboard fashion
    """
    from search import dashboard as board
    from search.settings import Settings
    from search.tracking.store import locate

    if task is not None:
        find_task(task)
    settings = Settings(runs_dir=runs_dir, storage=storage, tracking_uri=tracking_uri)
    mlflow = locate(runs_dir, tracking_uri).ui_address
    shown = board.chosen_studies(settings, task)
    typer.echo("Trials without a note get one.")
    for each in shown:
        board.write_notes(each, mlflow)
    with board.open_server(shown[0], port) as server, contextlib.suppress(KeyboardInterrupt):
        typer.echo(f"Optuna's dashboard at {board.address(shown, port)}; Ctrl-C ends it.")
        server.serve_forever()
