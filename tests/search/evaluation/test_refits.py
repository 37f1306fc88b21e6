"""Refits on an engine whose workers die and hang, with real small networks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pipelines import segment as segment_module
from pipelines.runtime import Runtime
from pipelines.segment import Segment, load_data, prepare, train_segment
from pipelines.tasks import TASKS
from pipelines.whole import predict
from search.evaluation.refit_store import RefitStore
from search.evaluation.refits import Refit, Refitting
from spaces.config import Config
from spaces.errors import InputError
from tests.fake_engine import FakeClock
from tests.inline import Fault, InlineEngine

if TYPE_CHECKING:
    from pipelines.session import TrainingSession

# Keras 3.15 saves its variables in a way that numpy 2.4 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HOW = Runtime(1)
CONFIG = Config.model_validate(
    {
        "network": {"layers": [{"units": 8, "dropout": 0.2}]},
        "optimization": {
            "optimizer": "adam",
            "learning_rate": 0.02,
            "schedule": "cosine",
            "batch_size": 16,
        },
        "regularization": {"weight_averaging": 0.9},
        "training": {"epochs": 6},
    }
)
DIVERGING = CONFIG.model_copy(
    update={
        "optimization": CONFIG.optimization.model_validate(
            {"optimizer": "sgd", "learning_rate": 10.0, "batch_size": 1, "momentum": 0.99}
        ),
        "regularization": CONFIG.regularization.model_validate({"l2": 1.0}),
    }
)


@pytest.fixture
def store(tmp_path: Path) -> RefitStore:
    return RefitStore(tmp_path, "a study")


@pytest.fixture(autouse=True)
def _new_worker() -> Iterator[None]:
    prepare("iris", None, HOW)
    segment_module._held.clear()
    yield
    segment_module._held.clear()


def segment(seed: int = 1, config: Config = CONFIG, until: float = 3.0) -> Segment:
    return Segment(
        key=f"a study/{seed}",
        task="iris",
        config=config,
        seed=seed,
        how=HOW,
        data_dir=None,
        data_digest=load_data("iris", None, "refit").digest,
        begin=0.0,
        until=until,
        seconds=600.0,
        division="refit",
    )


def refitted(
    engine: InlineEngine, store: RefitStore, *segments: Segment, clock: FakeClock | None = None
) -> list[Refit]:
    shown: list[Refit] = []
    refitting = Refitting(
        engine, store, timeout_seconds=60, show=shown.append, clock=clock or FakeClock()
    )
    refits = refitting.run(segments)
    assert sorted(map(id, shown)) == sorted(map(id, refits))
    return refits


def session(epochs: float, config: Config = CONFIG) -> "TrainingSession":
    """What a refit must be, trained without any engine."""
    from pipelines.session import TrainingSession

    data = load_data("iris", None, "refit")
    trained = TrainingSession(TASKS["iris"], data, config, seed=1, how=HOW)
    trained.advance(epochs)
    trained.settle()
    return trained


def answers(network: bytes) -> np.ndarray:
    return predict("iris", None, HOW, network, load_data("iris", None, "refit").validation.inputs)


@pytest.mark.parametrize("epochs", [0.5, 3.0, 6.0])
def test_a_refit_is_the_network_after_so_many_epochs(store: RefitStore, epochs: float) -> None:
    (refit,) = refitted(InlineEngine(), store, segment(until=epochs))
    assert refit.cause == ""
    assert np.allclose(answers(refit.network), session(epochs).predict(), atol=1e-5)
    assert refit.train_seconds > 0


def test_the_learning_rate_goes_on_by_the_epochs_of_the_config(store: RefitStore) -> None:
    (refit,) = refitted(InlineEngine(), store, segment(until=3.0))
    shorter = session(3.0, CONFIG.with_epochs(3)).predict()
    assert not np.allclose(answers(refit.network), shorter, atol=1e-3)


def test_in_parts_it_is_the_same_network(store: RefitStore) -> None:
    engine = InlineEngine()
    (refit,) = refitted(engine, store, replace(segment(), seconds=0.0))
    assert [work.__name__ for work, _ in engine.sent] == ["train_segment"] * 3 + ["settled"]
    assert np.allclose(answers(refit.network), session(3.0).predict(), atol=1e-5)


def test_a_lost_worker_costs_one_part(store: RefitStore) -> None:
    engine = InlineEngine(faults={2: "lost"}, on_lost=segment_module._held.clear)
    (refit,) = refitted(engine, store, replace(segment(), seconds=0.0))
    begins = [arguments[0].begin for work, arguments in engine.sent if work is train_segment]
    assert begins == [0.0, 1.0, 2.0, 2.0]
    assert np.allclose(answers(refit.network), session(3.0).predict(), atol=1e-5)


@pytest.mark.parametrize(
    ("faults", "cause"),
    [({0: "lost", 2: "lost"}, "the worker process died"), ({0: "memory"}, "out of memory")],
)
def test_what_goes_wrong_again_has_its_cause(
    store: RefitStore, faults: dict[int, Fault], cause: str
) -> None:
    engine = InlineEngine(1, faults=faults)
    refit = refitted(engine, store, segment())[0]
    assert (refit.cause, refit.network) == (cause, b"")


def test_a_silent_worker_is_ended(store: RefitStore) -> None:
    clock = FakeClock()

    def pass_time() -> None:
        clock.now += 10

    engine = InlineEngine(1, faults={0: "hang"}, on_wait=pass_time)
    hanging, other = refitted(engine, store, segment(1), segment(2), clock=clock)
    assert hanging.cause == "no sign of life for 60 seconds"
    assert other.network


def test_no_more_are_sent_than_there_are_workers(store: RefitStore) -> None:
    engine = InlineEngine(2)
    refits = refitted(engine, store, *(segment(seed, until=1.0) for seed in range(5)))
    assert engine.most_open == 2
    assert all(refit.network for refit in refits)
    assert [refit.segment.seed for refit in refits] == list(range(5))


def test_a_refit_that_diverges_says_so_and_the_others_go_on(store: RefitStore) -> None:
    bad, good = refitted(InlineEngine(), store, segment(1, DIVERGING), segment(2))
    assert bad.cause.startswith("it diverged: the loss was no number at epoch ")
    assert good.network


def test_other_data_than_the_study_s_are_an_error(store: RefitStore) -> None:
    with pytest.raises(InputError, match="the study needs other"):
        refitted(InlineEngine(), store, replace(segment(), data_digest="other"))


def test_what_has_ended_is_not_trained_again(store: RefitStore) -> None:
    first = refitted(InlineEngine(), store, segment(1), segment(2, DIVERGING))
    engine = InlineEngine()
    again = refitted(engine, store, segment(1), segment(2, DIVERGING), segment(3))
    assert {arguments[0].seed for _, arguments in engine.sent} == {2, 3}
    assert (again[0].network, again[0].train_seconds) == (first[0].network, 0.0)
    assert again[1].cause
    assert again[2].network


@pytest.mark.parametrize(
    "other",
    [
        {"until": 2.0},
        {"seed": 2},
        {"division": "search"},
        {"data_digest": "other"},
        {"config": CONFIG.with_epochs(7)},
        {"how": Runtime(1, "bfloat16")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_refit_does_not_pass_for_it(store: RefitStore, other: dict[str, Any]) -> None:
    store.save(segment(), b"a network")
    assert store.load(replace(segment(), begin=1.0, checkpoint=b"on its way")) == b"a network"
    assert store.load(replace(segment(), **other)) == b""
