"""The trials of one study as MLflow runs: how they are named, tagged and what files they get."""

import csv
import io
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from search.study import Record, epoch_text
from search.tracking.tracker import NOTE, DatasetInfo, Tracker, TrackingError

T = TypeVar("T")
Row = Mapping[str, float]
SOURCE = Path(__file__).resolve().parents[2]
NO_SCORE = ("learning_rate", "epoch_seconds")


class MlflowTrialLog:
    """Writes trials as children of their study's run.

    When MLflow fails it is left alone for the rest of the search, with one warning. Trials that
    were not logged are logged when the study is resumed, from what Optuna's storage and their
    checkpoints hold; of finalists' retrainings the storage has the scores, and there it ends.

    Attributes:
        seconds: Spent in MLflow so far.
    """

    def __init__(
        self,
        tracker: Tracker,
        parent_id: str,
        dataset: DatasetInfo,
        tags: Mapping[str, str],
        warn: Callable[[str], None],
    ) -> None:
        self._tracker, self._parent_id, self._dataset = tracker, parent_id, dataset
        self._tags, self._warn = tags, warn
        self._down = False
        self.seconds = 0.0
        self._left_open = self._attempt(lambda: tracker.unfinished_trials(parent_id)) or {}
        self._attempt(lambda: tracker.close_finalists(parent_id))

    def begin(self, number: int, record: Record) -> str:
        config = record.parsed_config()
        tags = {**self._tags, "seed": str(record.seed)}
        if record.preset:
            tags["preset"] = record.preset
        opened = self._attempt(
            lambda: self._tracker.open_trial(
                self._parent_id,
                name=f"{trial_name(number)} {config.title()}",
                number=number,
                parameters=config.parameters(images=self._dataset.has_images),
                tags=tags,
                dataset=self._dataset,
                run_id=record.run_id or self._left_open.get(number),
            )
        )
        run_id = opened or record.run_id
        self.progress(replace(record, run_id=run_id), record.rows)  # what a crash kept from it
        return run_id

    def progress(self, record: Record, rows: Sequence[Row]) -> None:
        if record.run_id:
            self._attempt(lambda: self._tracker.log_epochs(record.run_id, rows))

    def end(self, record: Record, artifacts: Mapping[str, bytes]) -> bool:
        if not record.run_id:
            return False

        def close() -> bool:
            self._close(record.run_id, record, artifacts)
            return True

        return bool(self._attempt(close))

    def best_so_far(self, scores: Mapping[int, float]) -> None:
        """Draws the search's own curve on the parent run."""
        points = {n_finished: {"best_so_far": score} for n_finished, score in scores.items()}
        self._attempt(lambda: self._tracker.log_metrics(self._parent_id, points))

    def finalist(
        self,
        name: str,
        number: int,
        draw: int,
        record: Record,
        artifacts: Mapping[str, bytes],
    ) -> str:
        """Writes a retraining that has ended; returns its run's id, empty if that failed."""

        def write() -> str:
            run_id = self._tracker.open_trial(
                self._parent_id,
                name=name,
                number=number,
                parameters=record.parsed_config().parameters(images=self._dataset.has_images),
                tags={**self._tags, "seed": str(record.seed), "draw": str(draw)},
                dataset=self._dataset,
                stage="finalist",
            )
            self._close(run_id, record, artifacts)
            return run_id

        return self._attempt(write) or ""

    def describe(
        self,
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Mapping[str, bytes],
    ) -> None:
        """Writes on the parent run what came of the study."""
        self._attempt(
            lambda: self._tracker.describe_study(
                self._parent_id, metrics=metrics, tags=tags, artifacts=artifacts
            )
        )

    def _close(self, run_id: str, record: Record, artifacts: Mapping[str, bytes]) -> None:
        self._tracker.close_trial(
            run_id,
            state=record.state,
            rows=record.rows,
            metrics=end_metrics(record),
            tags=end_tags(record),
            artifacts={**written(record), **artifacts},
        )

    def _attempt(self, call: Callable[[], T]) -> T | None:
        if self._down:
            return None
        started = time.perf_counter()
        try:
            return call()
        except TrackingError as error:
            self._down = True
            self._warn(
                f"{error} The search goes on without MLflow: trials that it misses are logged when"
                " you run the same command again; of finalists that it misses the scores are kept,"
                " in the study, but no runs and no models."
            )
            return None
        finally:
            self.seconds += time.perf_counter() - started


def trial_name(number: int) -> str:
    return f"t{number:03d}"


def best_scores(record: Record) -> dict[str, float]:
    """The best row as `best_*`."""
    return {f"best_{name}": record.best[name] for name in record.best if name not in NO_SCORE}


def end_metrics(record: Record) -> dict[str, float]:
    """The best row, and what the trial cost."""
    return {
        **best_scores(record),
        "n_parameters": float(record.n_parameters),
        "worker_seconds": record.worker_seconds,
        "train_seconds": record.train_seconds,
    }


def end_tags(record: Record) -> dict[str, str]:
    tags = {
        "stop_reason": stop_reason(record),
        "stop_note": record.note,
        "stop_epoch": f"{record.epoch:g}",
        NOTE: in_words(record),
    }
    if record.audited_from:
        tags["audited_from"] = epoch_text(record.audited_from)
    return {**tags, "cause": record.cause} if record.cause else tags


def stop_reason(record: Record) -> str:
    """Why training ended, in one of a dozen ways that people can filter by."""
    if record.cause:
        return record.cause
    if record.state == "completed":
        early = record.note.startswith("early stopping")
        return "early stopping" if early else "all epochs"
    return record.state


def in_words(record: Record) -> str:
    """What a trial was and what came of it, in Markdown."""
    config = f"`{record.parsed_config().title()}`"
    preset = f" (the preset `{record.preset}`)" if record.preset else ""
    weights = f", {record.n_parameters:,} weights" if record.n_parameters else ""
    why = f": {record.note}" if record.note else ""
    said = [
        f"{config}{preset}{weights}.",
        f"{record.state.capitalize()} after {epoch_text(record.epoch)} epochs{why}.",
    ]
    scores = [f"{name} {record.best[name]:.4f}" for name in record.best if name[:4] == "val_"]
    if scores:
        said.append(f"Best at epoch {epoch_text(record.best['epoch'])}: {', '.join(scores)}.")
    return " ".join(said)


def written(record: Record) -> dict[str, bytes]:
    """The text artifacts, which need no worker."""
    files = {"config.yaml": record.parsed_config().to_yaml(), "model_summary.txt": record.summary}
    if record.rows:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(record.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(record.rows)
        files["history.csv"] = text.getvalue()
    return {name: content.encode() for name, content in files.items() if content}


def git_commit() -> str:
    """The commit of this project's own checkout; empty if it is installed without one."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--show-toplevel", "HEAD"],
            cwd=SOURCE,
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    # An environment may lie in a repository of the user's, whose commit says nothing of this.
    top, commit = done.stdout.splitlines()
    return commit if Path(top) == SOURCE else ""
