"""Starting points: every one can be drawn, and they come before the presets."""

import pytest

from spaces.presets import presets_of
from spaces.spaces import SPACES
from spaces.starts import STARTS, known_configs


@pytest.mark.parametrize(
    ("task", "name"), [(task, name) for task, starts in STARTS.items() for name in starts]
)
def test_a_start_lies_in_the_space_of_its_task(task: str, name: str) -> None:
    assert SPACES[task].contains(STARTS[task][name])


def test_starts_come_before_the_presets_and_share_no_name_with_them() -> None:
    names = list(known_configs("fashion"))
    assert names == [*STARTS["fashion"], *(preset.name for preset in presets_of("fashion"))]
    assert len(set(names)) == len(names)


def test_a_task_without_either_begins_with_what_is_drawn() -> None:
    assert known_configs("digits") == {}
