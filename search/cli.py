"""The command line: `hpsearch`, or `python -m search`.

The modules that do the work are imported inside the commands: `--help` and wrong options are
answered at once, without numpy, Optuna, MLflow or TensorFlow.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from search.commands import advice as cli_advice
from search.commands import dashboard as cli_dashboard
from search.commands import models as cli_models
from search.commands import report as cli_report
from search.commands import results as cli_results
from search.commands import trials as cli_trials
from search.commands.command_line import MORE, command_line, console, find_task
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

app = typer.Typer(
    help="Hyperparameter search for Keras networks.\n\n"
    "Example: hpsearch search fashion --budget 30m",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command(context_settings=MORE)
def search(
    context: typer.Context,
    task: Task = "digits",
    overrides: Overrides = [],  # noqa: B006 - typer copies it
    trials: Trials = None,
    budget: Annotated[
        str | None, typer.Option(help="Time for this call: 90s, 30m, 1h30m.")
    ] = None,
    workers: Workers = None,
    seed: Seed = 0,
    epochs: Epochs = None,
    presets: Presets = True,
    warm_start: Annotated[
        str | None,
        typer.Option("--warm-start", metavar="TASK", help="Try the best of another task first."),
    ] = None,
    take_over: Annotated[
        str | None,
        typer.Option("--from", metavar="STUDY", help="Take over a study's trials that fit."),
    ] = None,
    finalists: Finalists = 5,
    draws: FinalistSeeds = None,
    precision: Precision = "auto",
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same study with many workers; slower.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="A trial silent for so long has failed.")] = "15m",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("mlruns"),
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Search a task's space, or go on with a search.

    The same command again goes on where it stopped.

    Example: hpsearch search fashion --budget 30m --set optimizer=adam,adamw
    """
    from search import fork_server
    from search.machine import Machine
    from search.settings import Settings, parse_duration

    settings = Settings(
        trials=trials,
        budget_seconds=None if budget is None else parse_duration("--budget", budget),
        workers=1 if workers is None else workers,  # until the machine is known
        seed=seed,
        epochs=epochs,
        presets=presets,
        warm_start=warm_start,
        take_over=take_over,
        finalists=finalists,
        draws=draws,
        deterministic=deterministic,
        timeout_seconds=parse_duration("--timeout", timeout),
        data_dir=data_dir,
        runs_dir=runs_dir,
        storage=storage,
        tracking_uri=tracking_uri,
    )
    found = find_task(task)
    space = found.space.narrow([*overrides, *context.args])

    _check_mlflow(runs_dir, tracking_uri)
    fork_server.start(found)  # the workers import TensorFlow for seconds, beside all that follows
    settings, machine = Machine.here().suit(settings, found, workers, precision)
    data = found.load(data_dir)

    from search.run import run_search  # late: it takes a second, and the input is checked now

    try:
        ended = run_search(found, space, settings, data, machine, console(), command_line())
    except KeyboardInterrupt:
        _fail("Left at once; the same command goes on from what is stored.", 130)
    if not ended:
        raise typer.Exit(130)


@app.command()
def train(
    task: Task,
    preset: Annotated[
        str | None, typer.Option(help="A model of the tutorials: see `hpsearch presets`.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A config in YAML or JSON, as `export` writes it.")
    ] = None,
    seed: Seed = 0,
    epochs: Epochs = None,
    precision: Precision = "auto",
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("mlruns"),
    tracking_uri: TrackingUri = None,
) -> None:
    """Train one preset or config file.

    It is logged as a run of its own, without a study.

    Example: hpsearch train mnist --preset mnist_conv_net
    """
    from search.machine import Machine
    from search.settings import Settings
    from spaces.config import Config
    from spaces.errors import InputError
    from spaces.presets import find_preset

    settings = Settings(
        seed=seed,
        epochs=epochs,
        data_dir=data_dir,
        runs_dir=runs_dir,
        tracking_uri=tracking_uri,
    )
    found = find_task(task)
    if preset is not None and config is None:
        name, chosen = preset, find_preset(task, preset).config
    elif config is not None and preset is None:
        name, chosen = config.stem, Config.from_file(config)
    else:
        raise InputError(f"`hpsearch train {task}` needs either --preset NAME or --config FILE.")
    if epochs is not None:
        chosen = chosen.with_epochs(epochs)

    _check_mlflow(runs_dir, tracking_uri)
    settings, machine = Machine.here().suit(settings, found, 1, precision)
    data = found.load(data_dir)
    console().print(machine, soft_wrap=True)

    from search.train import run_training

    run_training(found, chosen, name, settings, data, console(), command_line())


for part in (cli_advice, cli_results, cli_trials, cli_report, cli_models, cli_dashboard):
    app.add_typer(part.app)


def main() -> None:
    """Runs the command line; what is no bug ends in one sentence and status 1 or 2."""
    from spaces.errors import InputError, RunFailedError

    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except RunFailedError as error:
        _fail(str(error), 1)


def _fail(message: str, code: int) -> NoReturn:
    print(f"hpsearch: {message}", file=sys.stderr)  # noqa: T201 - this is the command line
    sys.exit(code)


def _check_mlflow(runs_dir: Path, tracking_uri: str | None) -> None:
    """Before anything is written, and before the imports that take a second."""
    from search.tracking.store import check_place

    check_place(runs_dir, tracking_uri)
