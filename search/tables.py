"""Spaces and presets as tables for the terminal."""

from rich.table import Table

from spaces.presets import presets_of
from spaces.space import Space


def space_table(space: Space) -> Table:
    table = Table(box=None, padding=(0, 1), title=f"What may vary in {space.task}")
    table.add_column("hyperparameter", no_wrap=True)
    table.add_column("range", max_width=26)
    table.add_column("what it does")
    for name, domain in space.domains.items():
        table.add_row(name, domain.text(), domain.about)
    return table


def presets_table(space: Space) -> Table:
    table = Table(box=None, padding=(0, 1), title=f"The tutorials' models for {space.task}")
    table.add_column("preset", no_wrap=True)
    table.add_column("config")
    table.add_column("batch", justify="right")
    table.add_column("epochs", justify="right")
    table.add_column("reported by its author")
    table.add_column("in the space", no_wrap=True)
    for preset in presets_of(space.task):
        table.add_row(
            preset.name,
            preset.config.title(),
            str(preset.config.optimization.batch_size),
            str(preset.config.training.epochs),
            preset.reported,
            "yes" if space.contains(preset.config) else "no",
        )
    return table
