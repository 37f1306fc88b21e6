"""What is trained again after the clock, and how it is stored. Nothing is trained but iris."""

from pathlib import Path

import pytest

from benchmarks import quality_confirm, quality_results, store
from benchmarks.quality_cases import PLAIN, Case
from benchmarks.quality_results import Result
from pipelines.tasks import find_task
from spaces.config import Config, DenseLayer, Network, Optimization, Training

CONFIG = Config(
    network=Network(layers=(DenseLayer(units=4),)),
    optimization=Optimization(optimizer="adam", learning_rate=0.03, batch_size=16),
    training=Training(epochs=3, patience=1),
)


def found(task: str, system: str = "optuna") -> Result:
    case = Case(task, system, PLAIN, 0)
    return Result(case, [(1.0, 0.7)], config=CONFIG.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("task", "divisions"), [("churn", [0, 1, 2, 3, 4]), ("fashion", ["search"])]
)
def test_every_system_is_trained_again_on_the_same_draws(
    task: str, divisions: list[object]
) -> None:
    ours, other = (
        quality_confirm.segments_of(found(task, system), find_task(task), "digest")
        for system in ("hpsearch", "optuna")
    )
    assert [segment.division for segment in ours] == divisions
    draws = [(segment.seed, segment.division) for segment in ours]
    assert draws == [(segment.seed, segment.division) for segment in other]
    assert all(segment.config == CONFIG.without_patience() for segment in ours)
    assert len({segment.key for segment in (*ours, *other)}) == 2 * len(divisions)


def test_a_stored_case_is_trained_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = found("iris")
    without = Result(Case("iris", "ray_asha", PLAIN, 0), [(1.0, 0.7)])
    for each in (result, without):
        taken = {**quality_results.circumstances(each.case), "commit": "then"}
        quality_results.keep(each, taken, 180.0, tmp_path)
    quality_confirm.confirm("iris", tmp_path)
    by_system = {each.case.system: each for each in quality_results.kept("iris", tmp_path)}
    scores = by_system["optuna"].confirmed
    assert len(scores) == 5
    assert all(score is not None and 0 <= score <= 1 for score in scores)
    assert by_system["optuna"].origin.commit == "then"
    assert not by_system["ray_asha"].confirmed
    monkeypatch.setattr(store, "update", None)  # a second training would fail
    quality_confirm.confirm("iris", tmp_path)
