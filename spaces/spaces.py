"""The space of every task, by the task's name."""

from spaces import churn, digits, fashion, iris, mnist, xor
from spaces.errors import unknown
from spaces.space import Space

SPACES: dict[str, Space] = {
    space.task: space
    for space in (
        fashion.SPACE,
        mnist.SPACE,
        churn.SPACE,
        digits.SPACE,
        iris.SPACE,
        xor.SPACE,
    )
}


def find_space(task: str) -> Space:
    """The space of `task`.

    Raises:
        InputError: there is no such task; it lists them.
    """
    if task not in SPACES:
        raise unknown("task", task, SPACES)
    return SPACES[task]
