"""`hpsearch evaluate`: the winner refitted on all searched rows, and scored on the sealed ones."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import optuna
from rich.console import Console

from pipelines import scoring
from pipelines.refit import reports
from pipelines.runtime import Runtime
from pipelines.scoring import Probabilities
from pipelines.sealed import open_sealed, require_sealed
from pipelines.segment import Segment
from pipelines.splits import Division, SearchData, Split, content_digest
from pipelines.tasks import Task
from pipelines.whole import predict
from search import study as studies
from search.claim import sole_search
from search.dispatch import segment_seconds
from search.engine import Engine, local_engine
from search.evaluation.calls import call_all
from search.evaluation.ledger import Opening, n_for_others, write_opened, write_scored
from search.evaluation.log import log_evaluation
from search.evaluation.refit_store import RefitStore
from search.evaluation.refits import Refit, Refitting
from search.evaluation.scores import scored, scored_together
from search.evaluation.view import ended_line, forecast_line, planned_line, shown
from search.finalists.verdict import Standing, chosen
from search.settings import Settings
from search.study import Record
from search.tracking.tracker import TrackingError
from search.tracking.trial_log import git_commit
from spaces.config import Config
from spaces.errors import InputError, RunFailedError

DRAWS = 5
FRESH = 2**33
"""Where the stream of seeds for refits begins: neither trials nor finalists come so far."""


@dataclass(frozen=True)
class Evaluation:
    """What the test rows said of a study's winner; `report` counts each row once a seed."""

    opening: Opening
    report: str


class EvaluationFailedError(RunFailedError):
    """Nothing could be scored; the message is for the user."""


def evaluate(
    task: Task,
    settings: Settings,
    study: optuna.Study,
    *,
    draws: int = DRAWS,
    console: Console,
    command: str,
) -> Evaluation:
    """Refits the winner on train and validation, opens the test set once and keeps its scores.

    Args:
        draws: Refits, each with its own fresh seed.

    Raises:
        InputError: no trial has completed, the task has no test rows or they cannot be found,
            or the data are not the study's.
        EvaluationFailedError: every refit failed, in which case the test set stays closed; or
            workers die at scoring.
    """
    if draws < 1:
        raise InputError(f"--seeds must be at least 1, got {draws}.")
    number, record, standing = chosen(study)
    require_sealed(task, settings.data_dir)
    data = task.load(settings.data_dir, "refit")
    _check_digest(task, data, study)
    opening = _planned(task, settings, study, number, record, standing, draws, command)
    with sole_search(settings.runs_dir, study):
        console.print(planned_line(task, data, opening))
        seconds = _training_seconds(record, standing, opening.epochs)
        n_jobs = draws * (2 if task.binary else 1)
        with local_engine(min(settings.workers, n_jobs)) as engine:
            evaluating = _Evaluating(task, settings, study, data, engine, console)
            evaluation, artifacts = evaluating.run(opening, seconds)
    others = n_for_others(settings.runs_dir, study)
    console.print(shown(task, evaluation.opening, evaluation.report, others))
    try:
        log_evaluation(task, settings, study, data, evaluation.opening, artifacts)
    except (TrackingError, InputError) as error:
        console.print(f"{error} The ledger has the scores all the same.", style="yellow")
    return evaluation


def _check_digest(task: Task, data: SearchData, study: optuna.Study) -> None:
    expected = study.user_attrs["data_digest"]
    if data.digest != expected:
        raise InputError(
            f"The data of {task.name} have the digest {data.digest}, the study was made with"
            f" {expected}: point --data-dir to the same files."
        )


def _planned(
    task: Task,
    settings: Settings,
    study: optuna.Study,
    number: int,
    record: Record,
    standing: Standing | None,
    draws: int,
    command: str,
) -> Opening:
    """The opening as it will be, without its scores."""
    metric, config = task.goal.metric, record.parsed_config().without_patience()
    return Opening(
        task=task.name,
        study=study.study_name,
        metric=metric.removeprefix("val_"),
        data_digest=study.user_attrs["data_digest"],
        trial=number,
        config=config.model_dump(mode="json"),
        seeds=tuple(studies.seed_of(settings.seed, FRESH + draw) for draw in range(draws)),
        epochs=float(config.training.epochs),
        promised=standing.mean if standing and standing.n_scored else record.best[metric],
        precision=settings.precision,
        command=command,
        commit=git_commit(),
    )


def _training_seconds(record: Record, standing: Standing | None, epochs: float) -> float:
    """What a training took as a finalist, or else as a trial; 0 if that is not known."""
    retrained = [each for each in standing.retrainings if not each.cause] if standing else []
    known = [(each.train_seconds, each.epochs) for each in retrained]
    known = known or [(record.train_seconds, record.epoch)]
    of_epochs = [seconds / n_epochs for seconds, n_epochs in known if n_epochs]
    return epochs * statistics.fmean(of_epochs) if of_epochs else 0.0


class _Evaluating:
    """What the steps of one evaluation share."""

    def __init__(
        self,
        task: Task,
        settings: Settings,
        study: optuna.Study,
        data: SearchData,
        engine: Engine,
        console: Console,
    ) -> None:
        self._task, self._settings, self._study, self._data = task, settings, study, data
        self._engine, self._console = engine, console
        self._how = Runtime(1, settings.precision, settings.deterministic)

    def run(self, planned: Opening, seconds: float) -> tuple[Evaluation, dict[str, bytes]]:
        """Trains all, then opens the test set: from then on nothing is trained any more.

        Args:
            seconds: What a training takes, as far as it is known; 0 if it is not.
        """
        trained = self._trained(planned, seconds)
        failed = {refit.segment.seed: refit.cause for refit in trained if refit.cause}
        sound = [refit for refit in trained if refit.segment.seed not in failed]
        if not sound:
            raise EvaluationFailedError(
                f"None of {len(planned.seeds)} refits can be scored, and the test set stays"
                f" closed; the first: {next(iter(failed.values()))}."
            )
        thresholds = self._thresholds([r for r in sound if r.segment.division == "search"])
        refits = [refit for refit in sound if refit.segment.division == "refit"]

        planned = replace(planned, failed=failed)
        opening = write_opened(self._settings.runs_dir, planned, self._study)
        test = open_sealed(self._task, self._settings.data_dir, self._data.preprocessor)
        return self._scored(opening, test, self._answers(refits, test), thresholds)

    def _trained(self, planned: Opening, seconds: float) -> list[Refit]:
        divisions: list[Division] = ["refit", "search"] if self._task.binary else ["refit"]
        segments = [
            self._segment(planned, seed, division)
            for seed in planned.seeds
            for division in divisions
        ]
        store = RefitStore(self._settings.runs_dir, planned.study)
        n_left = sum(not store.holds(segment) for segment in segments)
        if n_left and seconds:
            self._console.print(forecast_line(n_left, self._engine.n_workers, seconds))
        refitting = Refitting(
            self._engine,
            store,
            timeout_seconds=self._settings.timeout_seconds,
            show=lambda refit: self._console.print(ended_line(refit)),
        )
        return refitting.run(segments)

    def _segment(self, planned: Opening, seed: int, division: Division) -> Segment:
        return Segment(
            key=f"{planned.study}/evaluate/{division}/{seed}",
            task=self._task.name,
            config=Config.model_validate(planned.config),
            seed=seed,
            how=self._how,
            data_dir=self._settings.data_dir,
            data_digest=planned.data_digest,
            begin=0.0,
            until=planned.epochs,
            seconds=segment_seconds(self._settings),
            division=division,
        )

    def _thresholds(self, trained: Sequence[Refit]) -> dict[int, float]:
        """The best threshold of F1 by seed, on validation rows that were not trained on."""
        if not trained:
            return {}
        validation = self._task.load(self._settings.data_dir, "search").validation
        answers = self._answers(trained, validation)
        return {s: scoring.best_threshold(validation.labels, a) for s, a in answers.items()}

    def _answers(self, refits: Sequence[Refit], split: Split) -> dict[int, Probabilities]:
        """What each network says of the rows, by seed."""
        common = self._task.name, self._settings.data_dir, self._how
        calls = [(*common, refit.network, split.inputs) for refit in refits]
        said = call_all(self._engine, predict, calls)
        return {refit.segment.seed: a for refit, a in zip(refits, said, strict=True)}

    def _scored(
        self,
        opening: Opening,
        test: Split,
        answers: Mapping[int, Probabilities],
        thresholds: Mapping[int, float],
    ) -> tuple[Evaluation, dict[str, bytes]]:
        of_seeds = [thresholds.get(seed) for seed in answers]
        every = list(answers.values())
        opening = replace(
            opening,
            scores=scored(self._task, test.labels, every, of_seeds),
            ensemble=scored_together(self._task, test.labels, every),
            thresholds=tuple(thresholds.values()),
            test_digest=content_digest(test.inputs, test.labels),
        )
        write_scored(self._settings.runs_dir, opening, self._study)
        RefitStore(self._settings.runs_dir, opening.study).clear()
        artifacts: dict[str, bytes]
        counted = test.labels, every, self._task.class_names
        (artifacts,) = call_all(self._engine, reports, [counted])
        report = artifacts["classification_report.txt"].decode()
        return Evaluation(opening, report), artifacts
