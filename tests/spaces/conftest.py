"""What the tests of the spaces share: no TensorFlow, no data."""

from collections.abc import Callable

import pytest

from spaces.config import Config, Training

Sides = list[int]


@pytest.fixture(scope="session")
def training() -> Training:
    return Training(epochs=3)


@pytest.fixture(scope="session")
def sides() -> Callable[[Config, int], Sides]:
    """Side of the square image before the first block and after each, as Keras computes it."""

    def walk(config: Config, side: int) -> Sides:
        walked = [side]
        for block in config.network.blocks:
            lost = block.convolutions * (block.kernel_size - 1)
            side = side if block.padding == "same" else side - lost
            side = side if block.pooling == "none" else side // 2
            walked.append(side)
        return walked

    return walk
