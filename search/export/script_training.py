"""The parts of a training script that move the weights: batches, schedule, callbacks."""

from search.export.script_text import wrapped
from spaces.config import OPTIMIZER_DEFAULTS, Augmentation, Config

_OPTIMIZERS = {
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
    "nadam": "Nadam",
}

_BEFORE_OPTIMIZER = len("        optimizer=,")

_FALLING = '''
class ConstantThenFalling(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate, which falls to zero in the last part of all steps."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, step):
        left = 1 - keras.ops.cast(step, "float32") / self.steps
        return LEARNING_RATE * keras.ops.minimum(left / FINAL_DECAY, 1)
'''

# The shares of `optimizers.WARM_UP` and `optimizers.START`, which need TensorFlow.
_ONE_CYCLE = '''
def one_cycle(steps):
    """A learning rate that rises for three tenths of all steps and then falls to zero."""
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=LEARNING_RATE / 25,
        warmup_steps=0.3 * steps,
        warmup_target=LEARNING_RATE,
        decay_steps=0.7 * steps,
    )
'''

_AVERAGE = '''
class WeightAverage(keras.callbacks.Callback):
    """Scores and keeps a running mean of the weights in place of the last ones."""
%s
    def on_train_begin(self, logs=None):
        self.means = [weight.numpy() for weight in self.model.trainable_variables]
        self.steps = 0
        self.last = None

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        # It forgets faster at the start, which would else stay in the mean for long.
        decay = min(AVERAGING, (1 + self.steps) / (10 + self.steps))
        for mean, weight in zip(self.means, self.model.trainable_variables):
            mean += (1 - decay) * (weight.numpy() - mean)

    def on_test_begin(self, logs=None):
        self.last = self.model.get_weights()
        for mean, weight in zip(self.means, self.model.trainable_variables):
            weight.assign(mean)%s

    def on_epoch_begin(self, epoch, logs=None):
        # Not right after the validation: it is the mean that is kept.
        if self.last is not None:
            self.model.set_weights(self.last)
%s'''

_TAKES_ROWS = """
    def __init__(self, x):
        super().__init__()
        self.x = x
"""

# As `graph.TrainingGraph.averaged` does it.
_GATHERS = '''
    def gather_statistics(self):
        """Those of batch normalization belong to the last weights: the mean needs its own."""
        kind = keras.layers.BatchNormalization
        norms = [layer for layer in self.model.layers if isinstance(layer, kind)]
        statistics = [part for norm in norms for part in (norm.moving_mean, norm.moving_variance)]
        for statistic in statistics:
            statistic.assign(keras.ops.zeros_like(statistic))
        size = min(len(self.x), 500)
        rows = np.linspace(0, len(self.x) - 1, 10 * size).astype(int)
        for batch in rows.reshape(size, 10).T:
            self.model(self.x[batch], training=True)
        # They began at zero, which by now weighs as much as the power says.
        for statistic in statistics:
            statistic.assign(statistic / (1 - norms[0].momentum**10))
'''

_AUC = '''
class ValidationAUC(keras.callbacks.Callback):
    """Adds the area under the ROC curve on validation to the results of each epoch."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def on_epoch_end(self, epoch, logs=None):
        probabilities = self.model.predict(self.x, batch_size=500, verbose=0)
        logs["val_auc"] = metrics.roc_auc_score(self.y, probabilities)
'''


def constants(config: Config, *, images: bool, binary: bool) -> list[str]:
    """The numbers at the top of the script, each with a word on what it is."""
    optimization, training = config.optimization, config.training
    regularization = config.regularization
    augmentation = config.augmentation if images else Augmentation()
    min_delta = training.min_delta if training.patience else 0.0
    falling = "share of the steps in which the learning rate falls to zero"
    found = [
        ("BATCH_SIZE", optimization.batch_size, ""),
        ("EPOCHS", training.epochs, "at most" if training.patience else ""),
        ("PATIENCE", training.patience, "stop after so many epochs without a better score"),
        ("MIN_DELTA", min_delta, "a smaller gain does not count as better"),
        ("LEARNING_RATE", optimization.learning_rate, ""),
        ("FINAL_DECAY", config.final_decay, falling),
        ("LABEL_SMOOTHING", regularization.label_smoothing, _smoothed(binary=binary)),
        ("AVERAGING", regularization.weight_averaging, "how much of the mean a step keeps"),
        ("SHIFT", augmentation.shift, "share of the side, at most"),
        ("ROTATION", augmentation.rotation, "degrees, at most"),
        ("ZOOM", augmentation.zoom, "share of the size, at most"),
        ("SHEAR", augmentation.shear, "degrees, at most"),
        ("ERASING", augmentation.erasing, "share of the images"),
    ]
    return [
        f"{name} = {value!r}" + (f"  # {about}" if about else "")
        for name, value, about in found
        if value
    ]


def optimizer_call(config: Config) -> str:
    """The optimizer, with those of its own parameters that are not Keras' defaults."""
    name = config.optimization.optimizer
    own = {n: getattr(config.optimization, n) for n in OPTIMIZER_DEFAULTS[name]}
    said = [f"{n}={v!r}" for n, v in own.items() if v != OPTIMIZER_DEFAULTS[name][n]]
    entries = [schedule_call(config), *said]
    return wrapped(f"keras.optimizers.{_OPTIMIZERS[name]}(", entries, ")", room=_BEFORE_OPTIMIZER)


def one_hot(config: Config, *, binary: bool) -> bool:
    """Whether the loss needs labels that are shares of all classes."""
    return not binary and config.regularization.label_smoothing > 0


def loss_call(config: Config, *, binary: bool) -> str:
    if config.regularization.label_smoothing:
        kind = "Binary" if binary else "Categorical"
        return f"keras.losses.{kind}Crossentropy(label_smoothing=LABEL_SMOOTHING)"
    return '"binary_crossentropy"' if binary else '"sparse_categorical_crossentropy"'


def schedule_code(config: Config) -> str:
    """The definition that `schedule_call` needs, if any."""
    if config.optimization.schedule == "one_cycle":
        return _ONE_CYCLE
    return _FALLING if config.final_decay else ""


def schedule_call(config: Config) -> str:
    """The learning rate, as an expression of the number of all `steps`."""
    if config.optimization.schedule == "one_cycle":
        return "one_cycle(steps)"
    if config.optimization.schedule == "cosine":
        return "keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)"
    return "ConstantThenFalling(steps)" if config.final_decay else "LEARNING_RATE"


def callback_code(config: Config, metric: str) -> list[str]:
    """The callbacks that Keras does not have."""
    gathers = (_TAKES_ROWS, "\n        self.gather_statistics()", _GATHERS)
    parts = gathers if _normalizes(config) else ("", "", "")
    averages = [_AVERAGE % parts] if config.regularization.weight_averaging else []
    return averages + ([_AUC] if _stops_by_auc(config, metric) else [])


def callback_calls(config: Config, metric: str) -> list[str]:
    """In their order: the mean of the weights is in place when the others look."""
    average = f"WeightAverage({'x_train' if _normalizes(config) else ''})"
    averages = [average] if config.regularization.weight_averaging else []
    return averages + (["ValidationAUC(x_val, y_val)"] if _stops_by_auc(config, metric) else [])


def batch_code(*, augments: bool) -> str:
    """The function `batches(x, y)`."""
    lines = [
        "def batches(x, y):",
        '    """Shuffled batches without end: the last of an epoch is filled from the next."""',
        "    x, y = tf.constant(x), tf.constant(y)",
        "    order = tf.data.Dataset.range(len(y)).shuffle(len(y)).repeat().batch(BATCH_SIZE)",
        "    pairs = order.map(lambda rows: (tf.gather(x, rows), tf.gather(y, rows)))",
    ]
    if augments:
        lines += [
            "    pairs = pairs.map(",
            "        lambda images, y: (augment(images), y), num_parallel_calls=tf.data.AUTOTUNE",
            "    )",
        ]
    lines.append("    return pairs.prefetch(tf.data.AUTOTUNE)")
    return "\n".join(lines)


def _stops_by_auc(config: Config, metric: str) -> bool:
    return metric == "val_auc" and config.training.patience > 0


def _normalizes(config: Config) -> bool:
    norms = [block.batch_norm for block in config.network.blocks]
    norms += [layer.batch_norm for layer in config.network.layers]
    return norms.count("none") < len(norms)


def _smoothed(*, binary: bool) -> str:
    return f"share of each label that is spread over {'both' if binary else 'all'} classes"
