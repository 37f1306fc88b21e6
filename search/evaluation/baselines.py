"""`hpsearch baselines`: the tutorials' models measured again, beside those of scikit-learn."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import optuna
from rich.console import Console

from pipelines import scoring
from pipelines.classical import CLASSICAL, Classical
from pipelines.runtime import Runtime
from pipelines.sealed import open_sealed, require_sealed
from pipelines.splits import Division, SearchData
from pipelines.tasks import Task
from pipelines.whole import predict
from search.engine import Engine, local_engine
from search.evaluation import classical
from search.evaluation.baseline_training import BaselineTraining
from search.evaluation.calls import call_all
from search.evaluation.ledger import Opening, Score, write_opened, write_scored
from search.evaluation.measurements import (
    WITHOUT_TEST,
    Measurement,
    Measurements,
    Spread,
    ledger_name,
    plain,
)
from search.evaluation.results_page import check_page
from search.evaluation.scores import mean_interval
from search.run import dataset_info, run_tags
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import Tracker, TrackingError
from search.tracking.trial_log import end_metrics, end_tags, git_commit, written
from spaces.errors import InputError
from spaces.presets import Preset, find_preset, presets_of

DRAWS = 5


def baselines(
    task: Task,
    settings: Settings,
    study: optuna.Study | None,
    *,
    names: Sequence[str] = (),
    draws: int = DRAWS,
    page: Path,
    console: Console,
    command: str,
) -> None:
    """Measures the presets `names`, or all of the task and what scikit-learn has beside them.

    What is stored is not measured again. The sealed rows are opened at the end, for all that was
    not tested before: their scores choose nothing.

    Args:
        study: Its number of trials is that with which the models of scikit-learn are tuned.
        draws: Trainings a model, each with its own seed, and its own fold where there are folds.
        page: For which `write_page` will be called then.

    Raises:
        InputError: no such preset, no data, or a page that cannot be used.
    """
    presets = [find_preset(task.name, name) for name in names] or presets_of(task.name)
    if not presets:
        raise InputError(f"There are no presets for {task.name}: choose another task.")
    check_page(task, page)
    if task.name not in WITHOUT_TEST:
        require_sealed(task, settings.data_dir)  # or hours of training would end without a test
    run = _Baselines(task, settings, console, command)
    with local_engine(settings.workers) as engine:
        training = BaselineTraining(task, settings, run.new, engine, run.store, run.log, console)
        training.run(presets, draws)
        if not names:
            trials = _n_finished(study) or int(settings.most_trials)
            for model in CLASSICAL.get(task.name, ()):
                run.measure(model, trials, draws)
        run.test(engine, presets)


class _Baselines:
    """What all measurements of one call share."""

    def __init__(self, task: Task, settings: Settings, console: Console, command: str) -> None:
        self._task, self._settings, self._console = task, settings, console
        self._data = task.load(settings.data_dir)
        self._tracker = Tracker.open(settings.runs_dir, settings.tracking_uri)
        self._tags = {**run_tags(settings, self._data.digest), "command": command}
        self._commit = git_commit()
        self.store = Measurements(settings.runs_dir, task.name)

    def new(self, model: str, draw: int) -> Measurement:
        return Measurement(
            model=model,
            draw=draw,
            seed=self._settings.seed + draw,
            config={},
            data_digest=self._data.digest,
            precision=self._settings.precision,
            commit=self._commit,
        )

    def log(self, preset: Preset, draw: int, record: Record) -> str:
        """Shows a training in MLflow as a run of its own, without which the rest goes on."""
        tags = {**self._tags, "stage": "baseline", "preset": preset.name, "draw": str(draw)}
        try:
            run_id = self._tracker.open_single(
                self._task.name,
                name=f"{preset.name} {draw}",
                parameters=preset.config.parameters(images=self._task.has_images),
                tags={**tags, "seed": str(record.seed)},
                dataset=dataset_info(self._task, self._data),
            )
            self._tracker.close_trial(
                run_id,
                state=record.state,
                rows=record.rows,
                metrics=end_metrics(record),
                tags=end_tags(record),
                artifacts=written(record),
            )
        except TrackingError as error:
            self._console.print(f"{error} The training is stored without it.", style="yellow")
            return ""
        return run_id

    def measure(self, model: Classical, trials: int, draws: int) -> None:
        """Tunes a model of scikit-learn, and trains it on the draws of the networks."""
        blank = replace(self.new(model.name, 0), precision="float64")
        stored = [
            m
            for m in self.store.of(model.name)
            if m.data_digest == blank.data_digest and classical.n_trials(m.config) >= trials
        ]
        if len(stored) >= draws:
            return
        config = stored[0].config if stored else self._tuned(model, trials)
        values = classical.values_of(config)
        for draw in range(len(stored), draws):
            new = replace(blank, draw=draw, seed=blank.seed + draw, config=config)
            data = self._task.load(self._settings.data_dir, _division(self._task, draw))
            measured = classical.validated(model, values, self._task, data, new)
            self.store.put(measured)
            metric = self._task.goal.metric
            self._console.print(
                f"{model.name}, seed {new.seed}: {metric} {measured.validation[metric]:.4f}"
            )

    def _tuned(self, model: Classical, trials: int) -> dict[str, object]:
        self._console.print(f"Tuning {model.title} with {trials} trials.")
        values = classical.tune(model, self._task, self._data, trials, self._settings.seed)
        return {**values, classical.TRIALS: trials}

    def test(self, engine: Engine, presets: Sequence[Preset]) -> None:
        """Opens the sealed rows for what has not been tested yet."""
        task, settings = self._task, self._settings
        networks = [
            (measured, network)
            for preset in presets
            for measured in self.store.of(preset.name)
            if (network := self.store.network(measured)) is not None
        ]
        models = [
            (model, measured)
            for model in CLASSICAL.get(task.name, ())
            for measured in self.store.of(model.name)
            if not measured.test
        ]
        if task.name in WITHOUT_TEST or not (networks or models):
            return
        every = [measured for measured, _ in networks] + [measured for _, measured in models]
        self._console.print(
            f"Opening the sealed test rows for {len(every)} trainings: they choose nothing."
        )
        opened = {
            model: write_opened(settings.runs_dir, self._opening(model))
            for model in dict.fromkeys(measured.model for measured in every)
        }
        for division in dict.fromkeys(_division(task, m.draw) for m, _ in networks):
            own = [each for each in networks if _division(task, each[0].draw) == division]
            self._test_networks(engine, own, task.load(settings.data_dir, division))
        if models:
            self._test_models(models, task.load(settings.data_dir, "refit"))
        for model, opening in opened.items():
            write_scored(settings.runs_dir, self._scored(model, opening))

    def _opening(self, model: str) -> Opening:
        stored = [m for m in self.store.of(model) if not m.cause]
        promised = Spread.of(m.validation[self._task.goal.metric] for m in stored)
        return Opening(
            task=self._task.name,
            study=ledger_name(model),
            metric=plain(self._task.goal.metric),
            data_digest=self._data.digest,
            config=stored[0].config,
            seeds=tuple(m.seed for m in stored),
            epochs=stored[0].epochs,
            promised=promised.mean if promised else None,
            precision=stored[0].precision,
            command=self._tags["command"],
            commit=self._commit,
        )

    def _scored(self, model: str, opening: Opening) -> Opening:
        stored = [m for m in self.store.of(model) if m.test]
        names = ("loss", *self._task.metrics)
        values = {name: tuple(m.test[name] for m in stored) for name in names}
        scores = {name: Score(each, mean_interval(each)) for name, each in values.items()}
        return replace(opening, scores=scores)

    def _test_networks(
        self, engine: Engine, networks: Sequence[tuple[Measurement, bytes]], data: SearchData
    ) -> None:
        task, settings = self._task, self._settings
        sealed = open_sealed(task, settings.data_dir, data.preprocessor)
        how = Runtime(1, settings.precision, settings.deterministic)
        common = task.name, settings.data_dir, how
        calls = [(*common, network, sealed.inputs) for _, network in networks]
        names = ("loss", *task.metrics)
        said = call_all(engine, predict, calls)
        for (measured, _), answer in zip(networks, said, strict=True):
            scores = scoring.score(sealed.labels, answer, names)
            self.store.put(replace(measured, test=scores))
            self._show(measured, scores)

    def _test_models(
        self, models: Sequence[tuple[Classical, Measurement]], data: SearchData
    ) -> None:
        sealed = open_sealed(self._task, self._settings.data_dir, data.preprocessor)
        for model, measured in models:
            self.store.put(classical.tested(model, measured, self._task, data, sealed))

    def _show(self, measured: Measurement, scores: Mapping[str, float]) -> None:
        with contextlib.suppress(TrackingError):  # the page is what counts
            named = {f"test_{name}": value for name, value in scores.items()}
            self._tracker.log_metrics(measured.run_id, {0: named})


def _division(task: Task, draw: int) -> Division:
    return draw if task.folds else "search"


def _n_finished(study: optuna.Study | None) -> int:
    trials = study.get_trials(deepcopy=False) if study else []
    return sum(trial.state.is_finished() for trial in trials)
