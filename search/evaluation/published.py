"""What docs/results.md says already: kept where this machine has measured nothing itself."""

import re
from collections.abc import Iterator

from search.evaluation.results_rows import FOUND, TOGETHER, Row

REOPENED = "the test rows were opened"
PRECISIONS = "- The presets were trained in {}."


class Published:
    """The lines that stand between the markers of a task."""

    def __init__(self, text: str = "") -> None:
        lines = text.splitlines()
        self._rows = [line for line in lines if line.startswith("| ")]
        self._notes = [line for line in lines if line.startswith("- ")]

    def rows(self, row: Row, n_cells: int) -> list[str]:
        """Those of the row's model, and of its ensemble, in a table of so many columns."""
        names = re.escape(row.name) if row.model else rf"{re.escape(FOUND)}.*|its \d+ {TOGETHER}"
        return [
            line
            for line in self._rows
            if len(cells := line.strip("| ").split(" | ")) == n_cells
            and re.fullmatch(names, cells[0])
        ]

    def notes(self, row: Row) -> list[str]:
        """Those on the scores of the row's model."""
        if not row.model:
            return self.notes_on("The search's row is ")
        of_scores = rf"`{row.model}`: (\d+ of \d+ trainings failed|{REOPENED})"
        return self.notes_on(rf"{of_scores}|{re.escape(row.name)} with ")

    def notes_on(self, beginning: str) -> list[str]:
        """Those that begin with what matches the pattern."""
        return [note for note in self._notes if re.match(f"- ({beginning})", note)]

    def precisions(self) -> Iterator[str]:
        """In which the presets were trained."""
        for note in self._notes:
            if found := re.fullmatch(PRECISIONS.format("(.*)"), note):
                yield from found[1].split(" and ")
