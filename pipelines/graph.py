"""TrainingGraph: a network and what moves its weights, traced into functions of many steps."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from pipelines.activations import LeanActivation
from pipelines.augmentation import augment
from pipelines.dropout import LeanDropout
from pipelines.gradients import after_pooling
from pipelines.losses import cross_entropies, right
from pipelines.networks import build_network, logits_of
from pipelines.normalization import FusedBatchNormalization
from pipelines.optimizers import Schedule, WeightAverage, build_optimizer
from pipelines.scoring import Probabilities
from pipelines.splits import SearchData
from spaces.config import Config

PREDICTION_BATCH = 500
STATISTICS_BATCHES = 10
"""Batches, of `PREDICTION_BATCH` rows, that batch normalization's statistics are gathered from."""


class TrainingGraph:
    """The network of a config and its optimizer, on the rows of a task.

    It knows no epochs but their number for the schedule: which rows a step takes is told to it.

    Attributes:
        batch_size: Rows a step, at most all there are.
        steps_per_epoch: Steps that see every row once; the last batch may see some again.
        average: The running mean of the weights, empty unless the config wants one.

    Raises:
        InvalidShapeError: the network does not fit on the task's inputs.
    """

    def __init__(self, data: SearchData, config: Config, *, seed: int) -> None:
        self._config, self._seed = config, seed
        n_train = len(data.train.labels)
        self.batch_size = min(config.optimization.batch_size, n_train)
        self.steps_per_epoch = math.ceil(n_train / self.batch_size)
        self.model = build_network(
            config,
            data.input_shape,
            len(data.class_names),
            seed,
            norm=FusedBatchNormalization,
            activation=LeanActivation,
            dropout=LeanDropout,
        )
        self._logits = logits_of(self.model)
        self._schedule = Schedule(config, config.training.epochs * self.steps_per_epoch)
        self._optimizer = build_optimizer(config, self._schedule)
        self._optimizer.build(self.model.trainable_variables)
        self.average = WeightAverage(
            config.regularization.weight_averaging, self.model.trainable_variables
        )
        norms = keras.layers.BatchNormalization
        averaged_layers = self.model.layers if self.average.means else []
        self._norms = [layer for layer in averaged_layers if isinstance(layer, norms)]
        self._inputs = tf.constant(data.train.inputs)
        self._labels = tf.constant(data.train.labels)
        self._weights_of_classes = _class_weights(data, config)
        # Autograph would translate our Python anew in every process: half a second.
        self._run_steps = tf.function(
            self._steps, jit_compile=False, autograph=False
        ).get_concrete_function(
            tf.TensorSpec((self.steps_per_epoch * self.batch_size,), tf.int32),
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((), tf.int32),
        )
        self._forward = tf.function(
            self._probabilities,
            jit_compile=False,
            autograph=False,
            input_signature=[tf.TensorSpec((None, *data.input_shape), self._inputs.dtype)],
        )
        self._gather = tf.function(self._gather_batches, jit_compile=False, autograph=False)
        if self._norms:  # else the first epoch would pay for it
            self._gather.get_concrete_function()

    @property
    def variables(self) -> list[tf.Variable]:
        """All that training changes, the states of the dropout's random numbers included."""
        return [*self.model.variables, *self._optimizer.variables, *self.average.means]

    def learning_rate(self, step: int) -> float:
        return self._schedule.at(step)

    def train(self, order: np.ndarray, first: int, last: int, epoch: int) -> tuple[float, float]:
        """Trains the steps from `first` up to `last` of an epoch, in one call.

        Args:
            order: The rows of all steps of the epoch, `batch_size` each, as int32.

        Returns:
            The sum of the steps' losses, and the number of right answers.
        """
        numbers = (tf.constant(number) for number in (first, last, epoch))
        loss_sum, n_right = self._run_steps(tf.constant(order), *numbers)
        return float(loss_sum), float(n_right)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within, the network is what is scored: with the mean of its weights, if one is kept.

        The running statistics of batch normalization are those of the last weights, which the
        mean does not fit: they are gathered anew from training rows, as for any average of
        weights (Izmailov et al., 2018, arxiv.org/abs/1803.05407).
        """
        if not self._norms:
            with self.average.in_place():
                yield
            return
        others = self.model.non_trainable_variables  # dropout's random numbers among them
        last = [variable.numpy() for variable in others]
        try:
            with self.average.in_place():
                self._gather_statistics()
                yield
        finally:
            for variable, value in zip(others, last, strict=True):
                variable.assign(value)

    def predict(self, inputs: tf.Tensor) -> Probabilities:
        """Probabilities by the weights that are in the network now."""
        return np.concatenate(
            [
                self._forward(inputs[start : start + PREDICTION_BATCH]).numpy()
                for start in range(0, len(inputs), PREDICTION_BATCH)
            ]
        )

    def _steps(
        self, order: tf.Tensor, first: tf.Tensor, last: tf.Tensor, epoch: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Many steps in one call: Python is left once a row, not once a batch."""

        def body(step: tf.Tensor, *sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            rows = tf.slice(order, [step * self.batch_size], [self.batch_size])
            inputs = tf.cast(tf.gather(self._inputs, rows), tf.float32)
            labels = tf.gather(self._labels, rows)
            if len(inputs.shape) == 4:
                seed = tf.stack([self._seed, epoch * self.steps_per_epoch + step])
                inputs = augment(inputs, self._config.augmentation, seed)
            terms = self._train_step(inputs, labels)
            return step + 1, *(total + term for total, term in zip(sums, terms, strict=True))

        zero = tf.constant(0.0)
        _, loss_sum, right_sum = tf.while_loop(
            lambda step, *_: step < last, body, (first, zero, zero), parallel_iterations=1
        )
        return loss_sum, right_sum

    def _train_step(self, inputs: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        variables = self.model.trainable_variables
        smoothing = self._config.regularization.label_smoothing
        with after_pooling():
            logits = self._logits(inputs, training=True)
        losses = cross_entropies(labels, logits, smoothing)
        if self._weights_of_classes is not None:
            losses *= tf.gather(self._weights_of_classes, labels)
        total = tf.add_n([tf.reduce_mean(losses), *self.model.losses])
        gradients = tf.gradients(total, [variable.value for variable in variables])
        self._optimizer.apply(gradients, variables)
        self.average.update(self._optimizer.iterations)
        return total, tf.reduce_sum(tf.cast(right(labels, logits), tf.float32))

    def _gather_statistics(self) -> None:
        """Makes the means over a few batches of training rows the running statistics.

        From zero, and divided by what the first batches weigh too little: Keras' layers keep
        their own arithmetic.
        """
        for norm in self._norms:
            for statistic in (norm.moving_mean, norm.moving_variance):
                statistic.assign(keras.ops.zeros_like(statistic))
        self._gather()
        for norm in self._norms:
            for statistic in (norm.moving_mean, norm.moving_variance):
                statistic.assign(statistic / (1 - norm.momentum**STATISTICS_BATCHES))

    def _gather_batches(self) -> tf.Tensor:
        n_rows = min(len(self._inputs), PREDICTION_BATCH)
        # Spread over all rows, in case they are sorted.
        chosen = np.linspace(0, len(self._inputs) - 1, STATISTICS_BATCHES * n_rows)
        rows = tf.constant(chosen.astype(np.int32).reshape(n_rows, STATISTICS_BATCHES).T)

        def body(number: tf.Tensor) -> tuple[tf.Tensor]:
            self._logits(tf.cast(tf.gather(self._inputs, rows[number]), tf.float32), training=True)
            return (number + 1,)

        return tf.while_loop(
            lambda number: number < STATISTICS_BATCHES,
            body,
            (tf.constant(0),),
            parallel_iterations=1,
        )[0]

    def _probabilities(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.model(tf.cast(inputs, tf.float32), training=False)


def _class_weights(data: SearchData, config: Config) -> tf.Tensor | None:
    if config.regularization.class_weight == "none":
        return None
    counts = np.bincount(data.train.labels, minlength=len(data.class_names))
    return tf.constant(counts.sum() / (len(counts) * counts), tf.float32)
