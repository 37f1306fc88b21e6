"""What the tests that train share: TensorFlow set up once, small data, small configs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pipelines.runtime import Runtime
from pipelines.segment import load_data, prepare
from pipelines.splits import SearchData
from pipelines.tasks import TASKS, Task
from spaces.config import Config
from tests.configs import configured

if TYPE_CHECKING:
    from pipelines.session import TrainingSession

MakeConfig = Callable[..., Config]
Start = Callable[..., "TrainingSession"]


@pytest.fixture(scope="session")
def how() -> Runtime:
    """How all tests of this process compute; TensorFlow is set up for it."""
    runtime = Runtime(threads=1)
    prepare("digits", None, runtime)
    return runtime


@pytest.fixture(scope="session")
def digits(how: Runtime) -> SearchData:
    return load_data("digits", None)


@pytest.fixture(scope="session")
def config() -> MakeConfig:
    return configured


@pytest.fixture(scope="session")
def iris(how: Runtime) -> SearchData:
    return load_data("iris", None)


@pytest.fixture
def start(how: Runtime, digits: SearchData, config: MakeConfig) -> Start:
    """A new session; on digits, with the small network, unless told otherwise."""
    from pipelines.session import TrainingSession  # late: not all tests here need TensorFlow

    def new(
        configured: Config | None = None,
        *,
        task: Task = TASKS["digits"],
        data: SearchData = digits,
        seed: int = 1,
    ) -> TrainingSession:
        return TrainingSession(task, data, configured or config(), seed=seed, how=how)

    return new
