"""The commands that look before and after a search: plan, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from search.commands.command_line import MORE, console, find_task, group
from search.commands.options import (
    DataDir,
    Epochs,
    Finalists,
    FinalistSeeds,
    Overrides,
    Precision,
    Presets,
    RunsDir,
    Seed,
    Storage,
    Task,
    TrackingUri,
    Trials,
    Workers,
)

app = group()


@app.command(context_settings=MORE)
def plan(
    context: typer.Context,
    task: Task = "digits",
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    trials: Trials = None,
    budget: Annotated[
        str | None, typer.Option(help="Time for the search: 90s, 30m, 1h30m.")
    ] = None,
    workers: Workers = None,
    seed: Seed = 0,
    epochs: Epochs = None,
    presets: Presets = True,
    finalists: Finalists = 5,
    draws: FinalistSeeds = None,
    precision: Precision = "auto",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
) -> None:
    """Say before a search what it will try and what it will cost.

    Nothing is trained and nothing written.

    Example: hpsearch plan fashion --budget 30m --set optimizer=adam
    """
    from search import plan as planning
    from search.machine import Machine
    from search.settings import Settings, parse_duration
    from search.stored import stored_studies

    settings = Settings(
        trials=trials,
        budget_seconds=None if budget is None else parse_duration("--budget", budget),
        workers=1 if workers is None else workers,
        seed=seed,
        epochs=epochs,
        presets=presets,
        finalists=finalists,
        draws=draws,
        data_dir=data_dir,
        runs_dir=runs_dir,
        storage=storage,
    )
    found = find_task(task)
    space = found.space.narrow([*overrides, *context.args])
    settings, machine = Machine.here().suit(settings, found, workers, precision)
    data = planning.data_here(found, settings)
    stored = stored_studies(settings, task)
    page = planning.make_plan(found, space, settings, machine, data, stored)
    console().print(planning.plan_page(page))


@app.command()
def doctor(
    check: Annotated[bool, typer.Option("--check", help="Only look, mend nothing.")] = False,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Check machine, data, storage and MLflow; mend what can safely be mended.

    A study whose search is at work is left alone. Status 1 if a problem remains.

    Example: hpsearch doctor --check
    """
    from search.doctor.examination import examine
    from search.settings import Settings

    settings = Settings(
        data_dir=data_dir, runs_dir=runs_dir, storage=storage, tracking_uri=tracking_uri
    )
    if not examine(settings, console(), mend=not check):
        raise typer.Exit(1)
