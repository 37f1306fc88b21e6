"""`hpsearch train`: one config, trained in this process and logged as a run of its own."""

from dataclasses import replace

from rich.console import Console

from pipelines.runtime import Runtime
from pipelines.segment import (
    Row,
    Segment,
    SegmentFailure,
    SegmentResult,
    finish_trial,
    prepare,
    train_segment,
)
from pipelines.splits import SearchData
from pipelines.tasks import Task
from search.machine import available_cores
from search.run import dataset_info, run_tags
from search.settings import Settings
from search.study import Record, State
from search.tracking.tracker import Tracker
from search.tracking.trial_log import end_metrics, end_tags, written
from spaces.config import Config
from spaces.errors import RunFailedError


class TrainingFailedError(RunFailedError):
    """The config could not be trained to its end; the message is for the user."""


def run_training(
    task: Task,
    config: Config,
    name: str,
    settings: Settings,
    data: SearchData,
    console: Console,
    command: str,
) -> None:
    """Trains `config` to its own number of epochs, printing a line an epoch.

    Args:
        name: Of the run.

    Raises:
        TrainingFailedError: it diverged, or does not fit.
    """
    tracker = Tracker.open(settings.runs_dir, settings.tracking_uri)
    how = Runtime(available_cores(), settings.precision, settings.deterministic)
    tags = {**run_tags(settings, data.digest), "seed": str(settings.seed), "command": command}
    run_id = tracker.open_single(
        task.name,
        name=name,
        parameters=config.parameters(images=task.has_images),
        tags=tags,
        dataset=dataset_info(task, data),
    )
    console.print(f"{task.title}: {config.title()}, {config.training.epochs} epochs at most")
    prepare(task.name, settings.data_dir, how)
    record = Record(config.model_dump(mode="json"), settings.seed, state="interrupted")
    artifacts: dict[str, bytes] = {}
    try:
        while not record.ended:
            segment = Segment(
                key=run_id,
                task=task.name,
                config=config,
                seed=settings.seed,
                how=how,
                data_dir=settings.data_dir,
                data_digest=data.digest,
                begin=record.epoch,
                until=float(config.training.epochs),
                seconds=0.0,  # back after every epoch
            )
            result = train_segment(segment)
            record = _after(record, result)
            if isinstance(result, SegmentResult):
                tracker.log_epochs(run_id, result.rows)
                console.print(_line(result.rows[-1], task), highlight=False)
        segment = replace(segment, begin=record.epoch)
        artifacts = finish_trial(segment, record.rows, record.state)
    finally:
        tracker.close_trial(
            run_id,
            state=record.state,
            rows=record.rows,
            metrics=end_metrics(record),
            tags=end_tags(record),
            artifacts={**written(record), **artifacts},
        )
    if record.state == "failed":
        raise TrainingFailedError(f"The training failed: {record.note}.")
    kept, metric = record.best, task.goal.metric
    best = "best " if config.training.patience else ""
    console.print(
        f"{best}{metric} {kept[metric]:.4f} at epoch {kept['epoch']:g} ({record.note}); "
        f"{record.n_parameters:,} parameters; run '{name}' in MLflow: hpsearch ui",
        highlight=False,
    )


def _after(record: Record, result: SegmentResult | SegmentFailure) -> Record:
    if isinstance(result, SegmentFailure):
        return replace(record, state="failed", cause=result.cause, note=result.message)
    state: State = "completed" if result.stop else record.state
    cause, note = "", "early stopping" if result.stop == "plateau" else "all epochs trained"
    if result.stop == "diverged":
        state, cause, note = "failed", "diverged", "it diverged: the loss was no number"
    note = note if state != "interrupted" else "interrupted"
    return replace(record.with_segment(result), state=state, cause=cause, note=note)


def _line(row: Row, task: Task) -> str:
    metrics = "  ".join(f"val_{name} {row[f'val_{name}']:.4f}" for name in task.metrics)
    return (
        f"epoch {row['epoch']:3.0f}  train_loss {row['train_loss']:.4f}  "
        f"val_loss {row['val_loss']:.4f}  {metrics}  {row['epoch_seconds']:.1f} s"
    )
