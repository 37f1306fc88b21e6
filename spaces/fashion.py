"""What may vary in a search over Fashion-MNIST: 28 x 28 gray pictures of clothes, ten classes.

Change a range here, or for one search with `--set name=low..high` (`--set name=a,b` for choices).
A changed range starts a new study.
"""

from spaces.domains import Choice, Float, Int
from spaces.space import Space

# A range stands on the line of its name, which the formatter would pull apart.
# fmt: off
SPACE = Space(
    task="fashion",
    image_side=28,
    domains={
        "family": Choice("cnn", "mlp", about=(
            "Convolutional (cnn) looks for the same small patterns everywhere in the image; dense "
            "(mlp) ties every pixel to every unit and must learn each place anew."
        )),
        # The convolution blocks: only a cnn has them. Filters by sixteens: a processor computes
        # sixteen or thirty-two at once, and takes two to three times as long for odd numbers.
        "blocks": Int(1, 4, about=(
            "Number of convolution blocks: each further one sees a larger part of the image and "
            "builds shapes out of the patterns found before it."
        )),
        "filters_1": Choice(16, 32, 48, 64, about=(
            "Patterns that the first block looks for, such as edges and textures: more tell finer "
            "differences apart and take more time."
        )),
        "filters_2": Choice(16, 32, 64, 96, 128, about=(
            "Patterns of the second block, put together from those of the first: more let it know "
            "more parts of objects."
        )),
        "filters_3": Choice(16, 32, 64, 96, 128, about=(
            "Patterns of the third block, if there is one: its image is small by then, so more of "
            "them add weights rather than time."
        )),
        "filters_4": Choice(16, 32, 64, 96, 128, about=(
            "Patterns of the fourth block, if there is one: they describe nearly the whole "
            "object, and more of them help only where there are many kinds of it."
        )),
        "kernel_size": Choice(3, 5, about=(
            "Side of the window that a filter sees, in pixels: 5 catches larger patterns with "
            "nearly three times the weights of 3."
        )),
        "convolutions": Int(1, 2, about=(
            "Convolutions in a row before a block halves the image: two see as far as one larger "
            "kernel with fewer weights and one more bend, at about three times the time."
        )),
        "residual": Choice(False, True, about=(
            "Adds what went into a block to what comes out of it: the block need only learn the "
            "difference, so deep networks train more easily; it needs padding 'same'."
        )),
        "padding": Choice("valid", "same", about=(
            "'same' adds a frame of zeros, so the image keeps its size and its border counts "
            "fully; 'valid' lets the image shrink and is faster."
        )),
        "pooling": Choice("max", "average", about=(
            "How each block halves the image: max keeps the strongest sign of a pattern, average "
            "keeps how much of it there is."
        )),
        "conv_dropout": Float(0.0, 0.5, step=0.05, about=(
            "Share of a block's outputs set to zero at each training step: more makes the filters "
            "rely less on each other, too much starves the layers above."
        )),
        "head": Choice("flatten", "average", about=(
            "What the layers behind the blocks see: flatten hands on every pixel of every filter, "
            "average only how strong each filter is, with far fewer weights."
        )),
        # The dense layers: both families have them.
        "layers": Int(0, 3, about=(
            "Number of dense layers before the output: they combine what was seen into a "
            "decision, and hold most of the weights; with none the network is smallest."
        )),
        "units_1": Int(16, 512, log=True, about=(
            "Width of the first dense layer: more units store more detail, learn the training "
            "images by heart more easily, and usually hold the most weights."
        )),
        "units_2": Int(16, 512, log=True, about=(
            "Width of the second dense layer, if there is one: fewer units than in the first "
            "force it to sum up."
        )),
        "units_3": Int(16, 512, log=True, about=(
            "Width of the third dense layer, if there is one: the last summary before the output, "
            "so few units can already lose a class."
        )),
        "dropout": Float(0.0, 0.6, step=0.05, about=(
            "Share of the dense units switched off at each training step: more narrows the gap "
            "between training and validation, too much keeps both scores low."
        )),
        # Blocks and layers alike.
        "batch_norm": Choice("none", "before", about=(
            "Batch normalization before each activation keeps its inputs at a steady scale: "
            "training bears higher learning rates, each step costs a little more."
        )),
        "activation": Choice("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", about=(
            "The bend in each unit's answer, without which all layers were one: relu cuts off "
            "what is negative, gelu and silu do it smoothly, tanh flattens out at both ends."
        )),
        "initializer": Choice("glorot_uniform", "he_uniform", "he_normal", about=(
            "How large the random weights are at the start: he starts them larger, to make up for "
            "what relu cuts off."
        )),
        # How the weights are moved.
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
        "weight_averaging": Choice(0.0, 0.99, 0.999, about=(
            "Scores a running mean of the weights instead of the last ones: the nearer to 1 the "
            "longer the mean, the calmer the score and the later it catches up."
        )),
        "batch_size": Int(32, 512, log=True, about=(
            "Images a step: small batches make many noisy steps; large ones run an epoch faster "
            "and want a higher learning rate."
        )),
        # What keeps the network from learning its training data by heart.
        "l1": Float(1e-7, 1e-3, log=True, zero=True, about=(
            "Penalty on the size of each weight: more drives many weights to exactly zero, so the "
            "network keeps few connections."
        )),
        "l2": Float(1e-7, 1e-2, log=True, zero=True, about=(
            "Penalty on the square of each weight: more keeps all weights small and the network "
            "smooth, too much and it cannot fit at all."
        )),
        "label_smoothing": Float(0.0, 0.2, step=0.02, about=(
            "Share of the certainty taken from the true class and spread over all: more keeps the "
            "network from being sure of wrong labels, and its probabilities modest."
        )),
        # Random changes of the training images.
        "shift": Float(0.0, 0.15, step=0.01, about=(
            "Moves each training image by up to this share of its side: more teaches that the "
            "place does not matter, too much cuts things off."
        )),
        "rotation": Float(0.0, 15.0, step=1.0, about=(
            "Turns each training image by up to so many degrees: more teaches that a tilt does "
            "not matter, and makes learning slower."
        )),
        "zoom": Float(0.0, 0.15, step=0.01, about=(
            "Scales each training image up or down by up to this share: more teaches that size "
            "does not matter."
        )),
        "flip": Choice(False, True, about=(
            "Mirrors half of the training images left to right: a shirt stays a shirt, so it is "
            "like having more of them."
        )),
        "erasing": Float(0.0, 0.5, step=0.05, about=(
            "Share of the training images in which a random rectangle is blanked: more forces the "
            "network to use the whole object and not one telling spot."
        )),
    },
)
