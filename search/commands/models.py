"""The commands that make, test and use models: export, evaluate, predict, baselines."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.commands.command_line import command_line, console, find_task, group
from search.commands.options import (
    DataDir,
    FormatOption,
    Precision,
    RunsDir,
    Seed,
    Storage,
    Study,
    Task,
    TrackingUri,
    Workers,
)

if TYPE_CHECKING:
    import optuna

app = group()

ExportsDir = Annotated[Path, typer.Option("--exports-dir", help="Parent of the folder <task>/.")]
Draws = Annotated[int, typer.Option("--seeds", help="How many fresh seeds.")]


@app.command()
def export(
    task: Task,
    trial: Annotated[
        int | None, typer.Option(min=0, help="A completed trial by its number, not the winner.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Run train.py and the model by themselves; compare scores."),
    ] = False,
    study: Study = None,
    exports_dir: ExportsDir = Path("exports"),
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Write the best config as script, model and card, and register it.

    Example: hpsearch export fashion --verify
    """
    from search.export.folder import FILES, UnverifiedError
    from search.export.folder import export as write
    from search.export.registry import register
    from search.settings import Settings
    from search.study import find_study

    found = find_task(task)
    settings = Settings(
        data_dir=data_dir, runs_dir=runs_dir, storage=storage, tracking_uri=tracking_uri
    )
    source = find_study(settings, task, study)
    if trial is None:
        _warn_of_waiting(source)
    unverified: UnverifiedError | None = None
    try:
        folder = write(found, settings, source, exports_dir, console(), trial=trial, verify=verify)
    except UnverifiedError as error:
        folder, unverified = exports_dir / task, error
    for path in sorted(folder / name for name in FILES):
        if path.exists():
            typer.echo(path)
    verified = json.loads((folder / "scores.json").read_text())["verified"] is True
    register(found, settings, source, folder, console(), verified=verified)
    if unverified is not None:
        raise unverified


@app.command()
def evaluate(
    task: Task,
    draws: Draws = 5,
    study: Study = None,
    workers: Workers = None,
    precision: Precision = "auto",
    exports_dir: ExportsDir = Path("exports"),
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Open the sealed test set for a study's winner.

    The winner is trained anew on train and validation together. Each opening is counted in the
    ledger, and the card of an export of the study says so.

    Example: hpsearch evaluate fashion
    """
    from search import fork_server
    from search.machine import Machine
    from search.settings import Settings
    from search.study import find_study

    found = find_task(task)
    settings = Settings(
        data_dir=data_dir, runs_dir=runs_dir, storage=storage, tracking_uri=tracking_uri
    )
    source = find_study(settings, task, study)
    fork_server.start(found)
    settings, machine = Machine.here().suit(settings, found, workers, precision)
    console().print(machine, soft_wrap=True)
    _warn_of_waiting(source)

    from search.evaluation.evaluate import evaluate as test
    from search.export.claims import refresh_card

    test(found, settings, source, draws=draws, console=console(), command=command_line())
    card = refresh_card(found, settings, source, exports_dir)
    typer.echo(f"{card} says so too now." if card else f"Next: hpsearch export {task}")


def _warn_of_waiting(study: "optuna.Study") -> None:
    """The search's best may not have had the time to be compared with the winner."""
    from search.finalists.verdict import best_in_wait
    from search.tracking.trial_log import trial_name

    number = best_in_wait(study)
    if number is not None:
        console().print(
            f"Careful: {trial_name(number)}, the search's best, has not been trained again often"
            " enough to win: the command of the search goes on with it.",
            style="yellow",
            soft_wrap=True,
        )


@app.command()
def predict(
    task: Task,
    file: Annotated[Path, typer.Argument(help="A PNG or JPEG picture, or a CSV file of rows.")],
    model: Annotated[
        str | None, typer.Option(help="A registered model: models:/hpsearch-fashion@champion.")
    ] = None,
    output: Annotated[FormatOption, typer.Option("--format")] = FormatOption.table,
    exports_dir: ExportsDir = Path("exports"),
    runs_dir: RunsDir = Path("mlruns"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Ask the exported model for classes and probabilities.

    Example: hpsearch predict churn customers.csv
    """
    from search import results
    from search.export.predict import predict as ask
    from search.export.predict import prediction_table
    from search.settings import Settings

    found = find_task(task)
    settings = Settings(runs_dir=runs_dir, tracking_uri=tracking_uri)
    prediction = ask(found, settings, file, exports_dir, model=model)
    for note in prediction.notes:
        typer.echo(note, err=True)
    if output is FormatOption.table:
        console().print(prediction_table(prediction, picture=found.has_images))
    else:
        write = results.as_json if output is FormatOption.json else results.as_csv
        typer.echo(write(prediction.rows()))


@app.command()
def baselines(
    task: Task,
    presets: Annotated[
        list[str],
        typer.Option("--presets", metavar="NAME", help="Only this preset; can be repeated."),
    ] = [],  # noqa: B006 - typer copies it
    study: Study = None,
    draws: Draws = 5,
    trials: Annotated[
        int, typer.Option(help="To tune scikit-learn's models, where there is no study.")
    ] = 50,
    workers: Workers = None,
    seed: Seed = 0,
    precision: Precision = "auto",
    page: Annotated[Path, typer.Option(help="Where the table goes.")] = Path("docs/results.md"),
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Measure the tutorials' models under this project's protocol.

    What is measured is kept: the same command goes on.

    Example: hpsearch baselines churn
    """
    from search import fork_server
    from search.evaluation.results_page import write_page
    from search.machine import Machine
    from search.settings import Settings
    from search.study import NoStudyError, find_study

    found = find_task(task)
    settings = Settings(
        trials=trials,
        seed=seed,
        data_dir=data_dir,
        runs_dir=runs_dir,
        storage=storage,
        tracking_uri=tracking_uri,
    )
    try:
        source = find_study(settings, task, study)
    except NoStudyError:
        source = None
    fork_server.start(found)
    settings, machine = Machine.here().suit(settings, found, workers, precision)
    console().print(machine, soft_wrap=True)

    from search.evaluation.baselines import baselines as measure

    measure(
        found,
        settings,
        source,
        names=presets,
        draws=draws,
        page=page,
        console=console(),
        command=command_line(),
    )
    write_page(found, settings, source, page)
    typer.echo(page)
