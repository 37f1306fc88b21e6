"""TrainingSession: a trial being trained, which can advance, be saved and be restored."""

import io
import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from pipelines import runtime, scoring
from pipelines.graph import TrainingGraph
from pipelines.networks import build_network
from pipelines.runtime import Runtime
from pipelines.scoring import Probabilities
from pipelines.splits import SearchData
from pipelines.tasks import Task
from spaces.config import Config, Regularization

Row = dict[str, float]
"""What is known after some training: epoch (a fraction at the first rung), losses, metrics."""
Stop = Literal["finished", "plateau", "diverged"]


class TrainingSession:
    """One network on its way through the epochs of its config.

    All that decides how training goes on is in `save()`: weights, optimizer, position in the
    epoch, the running sums of the epoch, and the best weights so far. The order of the data and
    the augmentation follow from the seed and the step. So a restored session goes on exactly
    where the saved one stood.

    Raises:
        InvalidShapeError: the network does not fit on the task's inputs.
    """

    def __init__(
        self, task: Task, data: SearchData, config: Config, *, seed: int, how: Runtime
    ) -> None:
        started = time.perf_counter()
        self._task, self._data, self._config, self._seed = task, data, config, seed
        self._step = 0
        self._sums = np.zeros(3)  # of this epoch so far: loss, right answers, seconds
        self._best: Row = {}
        self._best_weights: list[np.ndarray] = []
        self._best_probabilities: Probabilities | None = None  # not restored: worked out anew
        self.stop: Stop | None = None

        runtime.fresh_graph(how, seed)
        self._graph = TrainingGraph(data, config, seed=seed)
        self.model = self._graph.model
        self._validation = tf.constant(data.validation.inputs)
        self._compile()
        self.build_seconds = time.perf_counter() - started

    @property
    def epoch(self) -> float:
        """Epochs trained, 0 at the start, a fraction inside an epoch."""
        return self._step / self._graph.steps_per_epoch

    @property
    def best(self) -> Row:
        """The row whose weights count so far: the best, or the last where there is no patience.

        Empty before the first.
        """
        return self._best

    def advance(self, until: float, *, seconds: float = math.inf) -> list[Row]:
        """Trains to epoch `until`, and returns a row for every whole epoch and for the end.

        Ends sooner when training has no more sense (`stop` then says why), or at the first row
        after so many `seconds`.
        """
        deadline = time.perf_counter() + seconds
        target = min(self._steps_at(until), self._steps_at(self._config.training.epochs))
        rows: list[Row] = []
        steps_per_epoch = self._graph.steps_per_epoch
        while self.stop is None and self._step < target:
            epoch_end = (self._step // steps_per_epoch + 1) * steps_per_epoch
            rows.append(self._train_to(min(target, epoch_end)))
            if time.perf_counter() >= deadline:
                break
        return rows

    def reached(self, epoch: float) -> bool:
        return self._step >= self._steps_at(epoch)

    def settle(self) -> None:
        """Makes the present weights, averaged if the config says so, those that count.

        For a training with patience whose author kept the last weights nevertheless.
        """
        with self._graph.averaged():
            self._best_weights = self.model.get_weights()
        self._best_probabilities = None

    def predict(self) -> Probabilities:
        """Probabilities of the validation split by the weights that count so far."""
        if self._best_probabilities is None:
            with self._best_in_place():
                self._best_probabilities = self._graph.predict(self._validation)
        return self._best_probabilities

    @contextmanager
    def _best_in_place(self) -> Iterator[None]:
        current = self.model.get_weights()
        self.model.set_weights(self._best_weights or current)
        try:
            yield
        finally:
            self.model.set_weights(current)

    def model_file(self) -> bytes:
        """A `.keras` file of the weights that count, in float32 and without penalties."""
        keras.config.set_dtype_policy("float32")
        plain = self._config.model_copy(update={"regularization": Regularization()})
        model = build_network(plain, self._data.input_shape, len(self._data.class_names))
        model.set_weights(self._best_weights)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            model.save(path)
            return path.read_bytes()

    def summary(self) -> str:
        lines: list[str] = []
        self.model.summary(line_length=78, print_fn=lines.append)
        return "\n".join(lines) + "\n"

    def save(self) -> bytes:
        state = {
            "step": self._step,
            "sums": self._sums.tolist(),
            "best": self._best,
            "stop": self.stop,
        }
        arrays = {
            **_numbered("state", [variable.numpy() for variable in self._graph.variables]),
            **_numbered("best", self._best_weights),
        }
        buffer = io.BytesIO()
        arrays["meta"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
        np.savez(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    def restore(self, checkpoint: bytes) -> None:
        """Puts this session, newly made from the same config, where `checkpoint` was saved."""
        with np.load(io.BytesIO(checkpoint)) as arrays:
            state = json.loads(arrays["meta"].tobytes())
            for number, variable in enumerate(self._graph.variables):
                variable.assign(arrays[f"state_{number}"])
            count = sum(name.startswith("best_") for name in arrays.files)
            self._best_weights = [arrays[f"best_{number}"] for number in range(count)]
        self._best_probabilities = None
        self._step, self._best, self.stop = state["step"], state["best"], state["stop"]
        self._sums = np.array(state["sums"])

    def _compile(self) -> None:
        """Runs no step and one prediction: else the first epoch would pay for the preparation."""
        self._graph.train(self._order(0), 0, 0, 0)
        self._graph.predict(self._validation[:1])

    def _steps_at(self, epoch: float) -> int:
        return max(1, round(epoch * self._graph.steps_per_epoch))

    def _train_to(self, step: int) -> Row:
        """Trains, scores and judges."""
        started = time.perf_counter()
        steps_per_epoch, batch_size = self._graph.steps_per_epoch, self._graph.batch_size
        epoch = self._step // steps_per_epoch
        last = step - epoch * steps_per_epoch
        self._sums[:2] += self._graph.train(
            self._order(epoch), self._step - epoch * steps_per_epoch, last, epoch
        )
        self._step = step
        with self._graph.averaged():
            probabilities = self._graph.predict(self._validation)
            metrics = ("loss", *self._task.metrics)
            validation = scoring.score(self._data.validation.labels, probabilities, metrics)
            self._sums[2] += time.perf_counter() - started
            row = {
                "epoch": self.epoch,
                "train_loss": float(self._sums[0]) / last,
                "train_accuracy": float(self._sums[1]) / (last * batch_size),
                **{f"val_{name}": float(value) for name, value in validation.items()},
                "learning_rate": self._graph.learning_rate(step - 1),
                "epoch_seconds": float(self._sums[2]),
            }
            self._judge(row, probabilities)
        if last == steps_per_epoch:
            self._sums[:] = 0
        return row

    def _judge(self, row: Row, probabilities: Probabilities) -> None:
        """Says whether training is over; keeps the weights, those just scored, if they count."""
        goal, training = self._task.goal, self._config.training
        if not (math.isfinite(row["train_loss"]) and math.isfinite(row["val_loss"])):
            self.stop = "diverged"
            return
        score = row[goal.metric]
        margin = training.min_delta if goal.mode == "max" else -training.min_delta
        better = not self._best or goal.better(score, self._best[goal.metric] + margin)
        if better or not training.patience:
            self._best, self._best_weights = row, self.model.get_weights()
            self._best_probabilities = probabilities
        if self._step >= self._steps_at(training.epochs):
            self.stop = "finished"
        elif training.patience:
            since = max(self._best["epoch"], self._config.plateau_from)
            if row["epoch"] - since >= training.patience:
                self.stop = "plateau"

    def _order(self, epoch: int) -> np.ndarray:
        """Every training row once, shuffled; the last batch is filled from the start."""
        n_train = len(self._data.train.labels)
        order = np.random.default_rng([self._seed, epoch]).permutation(n_train)
        n_rows = self._graph.steps_per_epoch * self._graph.batch_size
        return np.resize(order, n_rows).astype(np.int32)


def _numbered(name: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}_{number}": array for number, array in enumerate(arrays)}
