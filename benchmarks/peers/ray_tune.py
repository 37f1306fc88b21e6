"""Ray Tune with ASHA as its Keras guide uses it: a function a trial, one core each.

Other than in the guide, trials come one after the other to the same processes (`reuse_actors`):
else each would begin with some seconds of importing TensorFlow, more than many of them train.
"""

import time
from collections.abc import Mapping
from typing import Any

import keras
import ray
from ray import tune
from ray.tune.integration.keras import TuneReportCheckpointCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator

from benchmarks.peers.shared import (
    Given,
    Order,
    build_model,
    fit_model,
    project_scores,
)
from pipelines import runtime
from pipelines.splits import SearchData
from search.machine import Machine, available_cores
from spaces.space import Space


class Collector:
    """Takes down the domains of a space as Ray's while the space asks for values."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        self.found[name] = (tune.lograndint if log else tune.randint)(low, high + 1)
        return low

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        if step:
            self.found[name] = tune.quniform(low, high, step)
        else:
            self.found[name] = (tune.loguniform if log else tune.uniform)(low, high)
        return low

    def suggest_categorical(self, name: str, choices: Any) -> Any:  # noqa: ANN401 - as Optuna's
        self.found[name] = tune.choice(list(choices))
        return choices[0]


def search(order: Order) -> None:
    ray.init(
        num_cpus=available_cores(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=str(order.folder),
    )
    try:
        _tuner(order).fit()
    finally:
        ray.shutdown()


def _tuner(order: Order) -> tune.Tuner:
    task = order.task
    function = tune.with_parameters(_train, order=order, data=task.load(None))
    return tune.Tuner(
        tune.with_resources(function, {"cpu": 1}),
        param_space=_param_space(order, task.space),
        tune_config=tune.TuneConfig(
            metric=task.goal.metric,
            mode=task.goal.mode,
            scheduler=ASHAScheduler(
                max_t=task.training.epochs, grace_period=grace_period(task.training.epochs)
            ),
            search_alg=BasicVariantGenerator(order.preset_values, random_state=order.seed),
            num_samples=-1,
            time_budget_s=order.ends - time.time(),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(order.folder), verbose=0),
    )


def grace_period(epochs: int) -> int:
    """About 5 % of the epochs, 3 of 60, and 2 at least, as this project's own first rung is then.

    Ray's default of 1 is known to lose: after one epoch learning rates that warm up and means of
    the weights say little, and a replay of churn was worse with it (docs/efficiency.md).
    """
    return max(2, round(epochs / 20))


def _param_space(order: Order, space: Space) -> dict[str, Any]:
    collector = Collector()
    space.sample(collector, order.task.training)
    return collector.found


def _train(values: Mapping[str, Any], order: Order, data: SearchData) -> None:
    with order.noting_failures():
        _train_one(values, order, data)


def _train_one(values: Mapping[str, Any], order: Order, data: SearchData) -> None:
    task = order.task
    config = task.space.sample(Given(values), task.training)
    if order.project_training:
        runtime.configure(Machine.here().runtime(task))
        for score in project_scores(order, data, config):
            tune.report({task.goal.metric: score})
        return
    keras.utils.clear_session()  # the process may have trained others before
    keras.utils.set_random_seed(order.seed)
    report = TuneReportCheckpointCallback(checkpoint_on=[], metrics=[task.goal.metric])
    fit_model(order, data, config, build_model(order, data, config), [report])
