"""What may vary in a search over churn: bank customers in a table, of whom a fifth will leave.

Change a range here, or for one search with `--set name=low..high` (`--set name=a,b` for choices).
A changed range starts a new study.
"""

from spaces.domains import Choice, Float, Int
from spaces.space import Space

# A range stands on the line of its name, which the formatter would pull apart.
# fmt: off
SPACE = Space(
    task="churn",
    domains={
        "embedding": Choice(0, 8, 16, 32, 64, about=(
            "Units that each column gets to itself before the layers: with them an age or a "
            "number of products can count differently in its middle than at its ends."
        )),
        "layers": Int(1, 4, about=(
            "Number of dense layers: each further one can combine what the one before found; a "
            "table of a few columns rarely needs more than two."
        )),
        "units_1": Int(4, 128, log=True, about=(
            "Width of the first layer, the number of mixtures of columns that it looks at: more "
            "find rarer kinds of customers and also mere accidents."
        )),
        "units_2": Int(4, 128, log=True, about=(
            "Width of the second layer, if there is one: fewer units than in the first force it "
            "to sum up."
        )),
        "units_3": Int(4, 128, log=True, about=(
            "Width of the third layer, if there is one: more units mean more weights to fit with "
            "the same few thousand customers."
        )),
        "units_4": Int(4, 128, log=True, about=(
            "Width of the fourth layer, if there is one: the last summary before the output, for "
            "which a few units are enough."
        )),
        "dropout": Float(0.0, 0.6, step=0.05, about=(
            "Share of the units switched off at each training step: more narrows the gap between "
            "training and validation, too much keeps both scores low."
        )),
        "batch_norm": Choice("none", "before", about=(
            "Batch normalization before each activation keeps its inputs at a steady scale: "
            "training bears higher learning rates, but gets noisy with tiny batches."
        )),
        "activation": Choice("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", about=(
            "The bend in each unit's answer, without which all layers were one: relu cuts "
            "sharply, gelu and silu are smoother, tanh flattens out at both ends."
        )),
        "initializer": Choice(
            "glorot_uniform", "he_uniform", "he_normal", "random_uniform", about=(
            "How large the random weights are at the start: glorot and he fit it to the layer's "
            "width; random_uniform is tiny everywhere, a slow start in deep networks."
        )),
        "optimizer": Choice("sgd", "rmsprop", "adam", "adamw", "nadam", about=(
            "The rule that turns gradients into steps: sgd has one rate for all weights and needs "
            "the right one; the others fit the step to each weight."
        )),
        "learning_rate": Float(1e-4, 1e-1, log=True, about=(
            "Size of each step: too small and training crawls, too large and it jumps about or "
            "diverges; sgd wants ten to a hundred times what adam wants."
        )),
        "momentum": Float(0.0, 0.95, step=0.05, about=(
            "For sgd and rmsprop, the share of the last step carried into the next: more runs "
            "faster down long slopes and overshoots more."
        )),
        "nesterov": Choice(False, True, about=(
            "For sgd, yes takes the gradient where momentum is about to lead: it brakes earlier "
            "before a bend; without momentum it does nothing."
        )),
        "rho": Float(0.8, 0.99, about=(
            "For rmsprop, how long the size of past gradients is remembered: more gives steadier "
            "steps, less adapts faster."
        )),
        "beta_1": Float(0.8, 0.98, step=0.01, about=(
            "For adam, adamw and nadam, the share of the past direction kept at each step: more "
            "smooths out noisy batches and turns more slowly."
        )),
        # Choices, as they are spaced by what is forgotten: 5 %, 2 %, 1 %, 0.5 %, 0.1 %.
        "beta_2": Choice(0.95, 0.98, 0.99, 0.995, 0.999, about=(
            "For adam, adamw and nadam, how long the size of past gradients is remembered: more "
            "gives steadier steps, less adapts faster."
        )),
        "weight_decay": Float(1e-5, 1e-1, log=True, zero=True, about=(
            "For adamw, the share of every weight taken away at each step, times the learning "
            "rate: more keeps weights small whatever the gradients say."
        )),
        "schedule": Choice("constant", "cosine", "one_cycle", about=(
            "How the learning rate runs: constant until a fall at the end, cosine falls all the "
            "way, one_cycle warms up first and so bears a higher peak."
        )),
        "batch_size": Int(8, 256, log=True, about=(
            "Customers a step: small batches make many noisy steps; large ones run an epoch "
            "faster and show more leavers in each step."
        )),
        "l1": Float(1e-7, 1e-2, log=True, zero=True, about=(
            "Penalty on the size of each weight: more drives many weights to exactly zero, so "
            "columns that tell little are left out."
        )),
        "l2": Float(1e-7, 1e-1, log=True, zero=True, about=(
            "Penalty on the square of each weight: more keeps all weights small and the network "
            "smooth, too much and it cannot fit at all."
        )),
    },
)
