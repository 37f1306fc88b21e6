"""What may vary in a search over iris: 150 flowers, four measures, three kinds.

Change a range here, or for one search with `--set name=low..high` (`--set name=a,b` for choices).
A changed range starts a new study.
"""

from spaces.domains import Choice, Float, Int
from spaces.space import Space

# A range stands on the line of its name, which the formatter would pull apart.
# fmt: off
SPACE = Space(
    task="iris",
    domains={
        "layers": Int(0, 3, about=(
            "Number of dense layers: with none only straight borders between the kinds can be "
            "drawn, with more they can bend."
        )),
        "units_1": Int(4, 64, log=True, about=(
            "Width of the first layer: more units let the border between the kinds have more "
            "corners."
        )),
        "units_2": Int(4, 64, log=True, about=(
            "Width of the second layer, if there is one: fewer units than in the first force it "
            "to sum up."
        )),
        "units_3": Int(4, 64, log=True, about=(
            "Width of the third layer, if there is one: more units are more weights for the same "
            "150 flowers."
        )),
        "activation": Choice("relu", "tanh", "silu", about=(
            "The bend in each unit's answer, without which all layers were one: relu has a sharp "
            "corner, tanh and silu are smooth."
        )),
        "optimizer": Choice("sgd", "rmsprop", "adam", about=(
            "The rule that turns gradients into steps: sgd has one rate for all weights and needs "
            "the right one; rmsprop and adam fit the step to each weight."
        )),
        "learning_rate": Float(1e-3, 3e-1, log=True, about=(
            "Size of each step: too small and training crawls, too large and it jumps about or "
            "diverges."
        )),
        "batch_size": Int(4, 64, log=True, about=(
            "Flowers a step: small batches make many noisy steps an epoch, large ones a few "
            "steady ones."
        )),
        "l2": Float(1e-6, 1e-1, log=True, zero=True, about=(
            "Penalty on the square of each weight: more keeps the weights small and the borders "
            "between the kinds smooth."
        )),
    },
)
