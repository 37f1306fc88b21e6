"""What may vary in a search over xor: four rows, true where exactly one of two inputs is.

Change a range here, or for one search with `--set name=low..high` (`--set name=a,b` for choices).
A changed range starts a new study.
"""

from spaces.domains import Choice, Float, Int
from spaces.space import Space

# A range stands on the line of its name, which the formatter would pull apart.
# fmt: off
SPACE = Space(
    task="xor",
    domains={
        "layers": Int(0, 2, about=(
            "Number of dense layers: with none xor cannot be learned at all, since no single line "
            "parts its rows; one is enough."
        )),
        "units_1": Int(2, 32, log=True, about=(
            "Width of the first layer: two units can solve xor, more make it likelier that a "
            "random start finds the way."
        )),
        "units_2": Int(2, 32, log=True, about=(
            "Width of the second layer, if there is one: xor does not need it, so more units only "
            "change how fast it is learned."
        )),
        "activation": Choice("relu", "tanh", "sigmoid", about=(
            "The bend in each unit's answer, without which xor cannot be learned: relu can die at "
            "0 and stay there, tanh rarely gets stuck, sigmoid learns slowly."
        )),
        "optimizer": Choice("sgd", "adam", about=(
            "The rule that turns gradients into steps: sgd has one rate for all weights and needs "
            "a high one here; adam fits the step to each weight."
        )),
        "learning_rate": Float(1e-3, 1.0, log=True, about=(
            "Size of each step: too small and training crawls, too large and it jumps about or "
            "diverges; sgd wants far more than adam."
        )),
        "batch_size": Int(1, 4, about=(
            "Rows a step: 1 makes four noisy steps an epoch, 4 makes one exact step."
        )),
        "l2": Float(1e-6, 1e-2, log=True, zero=True, about=(
            "Penalty on the square of each weight: more keeps the weights small, so the answers "
            "stay far from sure."
        )),
    },
)
