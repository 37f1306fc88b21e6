"""How the code of a training script is laid out."""

from collections.abc import Sequence

WIDTH = 99


def wrapped(opening: str, entries: Sequence[str], closing: str, *, room: int = 0) -> str:
    """A call or a literal on one line or, where that is too long, with a line for each entry.

    Args:
        room: Characters that will stand before it.
    """
    line = f"{opening}{', '.join(entries)}{closing}"
    if len(line) + room <= WIDTH:
        return line
    return "\n".join([opening, *(f"    {entry}," for entry in entries), closing])


def joined(*parts: str) -> str:
    """With two empty lines between, as between all functions."""
    return "\n\n\n".join(part.strip("\n") for part in parts if part)
