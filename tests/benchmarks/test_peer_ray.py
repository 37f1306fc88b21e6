"""Ray Tune as a peer: what it is set up with. No Ray is started."""

from pathlib import Path

import pytest

pytest.importorskip("ray")  # with the other peers in benchmarks/requirements.lock

from ray.tune.search.basic_variant import BasicVariantGenerator

from benchmarks.peers.ray_tune import _param_space, grace_period
from benchmarks.peers.shared import Given, Order
from pipelines.tasks import find_task


@pytest.mark.parametrize(("epochs", "first"), [(60, 3), (20, 2), (5, 2)])
def test_no_trial_is_judged_after_one_epoch(epochs: int, first: int) -> None:
    assert grace_period(epochs) == first


@pytest.mark.parametrize("task_name", ["churn", "fashion"])
def test_the_first_trials_are_the_known_configs(tmp_path: Path, task_name: str) -> None:
    """Ray draws the parameters that a config has no use for."""
    task = find_task(task_name)
    order = Order(task_name, 0, True, False, tmp_path, began=0.0, ends=0.0)
    generator = BasicVariantGenerator(order.preset_values, random_state=0)
    generator.add_configurations(
        {
            "s": {
                "run": lambda config: config,
                "config": _param_space(order, task.space),
                "num_samples": 1,
            }
        }
    )
    for values in order.preset_values:
        trial = generator.next_trial()
        assert trial is not None
        assert {name: trial.config[name] for name in values} == values
        sampled = task.space.sample(Given(trial.config), task.training)
        assert task.space.encode(sampled) == values
