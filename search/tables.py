"""Spaces and presets as a person reads them on a terminal: a heading line, and what it means."""

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from spaces.presets import presets_of
from spaces.space import Space


def space_text(space: Space) -> Group:
    entries = [_entry(name, domain.text(), domain.about) for name, domain in space.domains.items()]
    return Group(*entries)


def presets_text(space: Space) -> Group:
    entries = []
    for preset in presets_of(space.task):
        config = preset.config
        about = (
            f"{config.title()}, batch {config.optimization.batch_size},"
            f" {config.training.epochs} epochs"
        )
        if not space.contains(config):
            about += "; outside the search space"
        entries.append(_entry(preset.name, f"reported: {preset.reported}", about))
    return Group(*entries) if entries else Group(f"There are no presets for {space.task}.")


def _entry(name: str, value: str, about: str) -> RenderableType:
    heading = Text(name, style="bold").append(f"  {value}", style="cyan not bold")
    return Group(heading, Padding(Text(about), (0, 0, 0, 4)))
