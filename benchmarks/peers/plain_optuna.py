"""Optuna as its Keras and MLflow examples use it: median pruner, SQLite, a run a trial.

One process trains one trial after the other on all cores, as in the examples; only with this
project's training, of one core a session, there is a process a core.
"""

import multiprocessing

import keras
import mlflow
import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna_integration import KerasPruningCallback

from benchmarks.peers.shared import (
    Order,
    build_model,
    fit_model,
    project_scores,
)
from pipelines import runtime
from pipelines.splits import SearchData
from search.machine import Machine, available_cores
from spaces.config import Config

NAME = "search"


def search(order: Order) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    mlflow.set_tracking_uri(f"sqlite:///{order.folder / 'mlflow.db'}")
    mlflow.create_experiment(NAME, str(order.folder / "artifacts"))
    study = optuna.create_study(
        study_name=NAME, storage=_storage(order), direction=order.task.goal.direction
    )
    for values in order.preset_values:
        study.enqueue_trial(values)
    if not order.project_training:
        _optimize(order, order.seed)
        return
    # This project's sessions use one core each: Optuna's way to more is more processes.
    context = multiprocessing.get_context("spawn")
    seeds = [available_cores() * order.seed + rank for rank in range(available_cores())]
    workers = [context.Process(target=_work, args=(order, s), daemon=True) for s in seeds]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _work(order: Order, seed: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    mlflow.set_tracking_uri(f"sqlite:///{order.folder / 'mlflow.db'}")
    runtime.configure(Machine.here().runtime(order.task))
    _optimize(order, seed)


def _optimize(order: Order, seed: int) -> None:
    keras.utils.set_random_seed(order.seed)
    mlflow.set_experiment(NAME)
    data, task = order.task.load(None), order.task
    study = optuna.load_study(
        study_name=NAME,
        storage=_storage(order),
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(),
    )

    def objective(trial: optuna.Trial) -> float:
        keras.utils.clear_session()
        config = task.space.sample(trial, task.training)
        train = _by_project if order.project_training else _by_fit
        with order.noting_failures(optuna.TrialPruned):
            return train(order, data, config, trial)

    # The other peers go on after a trial that fails; Optuna would end.
    study.optimize(objective, callbacks=[_log], catch=(Exception,))


def _by_fit(order: Order, data: SearchData, config: Config, trial: optuna.Trial) -> float:
    metric = order.task.goal.metric
    model = build_model(order, data, config)
    history = fit_model(order, data, config, model, [KerasPruningCallback(trial, metric)])
    return float(max(history.history[metric]))


def _by_project(order: Order, data: SearchData, config: Config, trial: optuna.Trial) -> float:
    scores: list[float] = []
    for score in project_scores(order, data, config):
        scores.append(score)
        trial.report(score, len(scores) - 1)
        if trial.should_prune():
            raise optuna.TrialPruned
    return max(scores)


def _log(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    value = trial.value if trial.value is not None else float("nan")
    with mlflow.start_run(run_name=f"{study.study_name} {trial.number}"):
        mlflow.log_params(trial.params)
        mlflow.log_metrics({"score": value})


def _storage(order: Order) -> BaseStorage:
    if order.project_training:  # what Optuna recommends for several processes
        return JournalStorage(JournalFileBackend(str(order.folder / "optuna.log")))
    return RDBStorage(f"sqlite:///{order.folder / 'optuna.db'}")
