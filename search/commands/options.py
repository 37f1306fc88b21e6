"""The options that commands share, as typer reads them."""

import enum
from pathlib import Path
from typing import Annotated, Literal

import typer


class FormatOption(enum.StrEnum):
    table = "table"
    json = "json"
    csv = "csv"


Task = Annotated[
    str, typer.Argument(help="churn, mnist or fashion; digits, iris or xor need no files.")
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Databases, artifacts and checkpoints.")]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="HPSEARCH_DATA_DIR", help="Where the data files are."),
]
Storage = Annotated[str | None, typer.Option("--storage", help="URL of another Optuna storage.")]
TrackingUri = Annotated[
    str | None,
    typer.Option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", help="Another MLflow."),
]
Trials = Annotated[
    int | None,
    typer.Option(
        "--trials",
        help="Finished trials, earlier ones included; 50, or with a budget as many as fit.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Decides all that is random.")]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Training processes; one a core by default.")
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Longest training of a trial.")]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    typer.Option("--precision", help="auto: bfloat16 for images where the hardware has it."),
]
Presets = Annotated[
    bool,
    typer.Option(
        "--presets/--no-presets", help="Try our starting points and the tutorials' models first."
    ),
]
Finalists = Annotated[
    int, typer.Option("--finalists", help="Best configs to train again at the end; 0 for none.")
]
FinalistSeeds = Annotated[
    int | None,
    typer.Option("--seeds", help="Fresh seeds a finalist: 3, or 10 folds of few rows."),
]
Study = Annotated[
    str | None, typer.Option("--study", help="A study by name, not the one used last.")
]
Overrides = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="NAME=VALUES...",
        help="Narrows the space: --set optimizer=adam learning_rate=1e-4..1e-2 units_1=64,128",
    ),
]
