"""What may vary in a search over scikit-learn's digits: 1,797 pictures of 8 x 8 pixels.

As mnist, but smaller; `hpsearch space digits` prints the whole. Add `name=domain` to change a
range, or change it for one search with `--set name=low..high`.
A changed range starts a new study.
"""

from spaces import mnist
from spaces.domains import Float, Int

# A range stands on the line of its name, which the formatter would pull apart.
# fmt: off
SPACE = mnist.SPACE.replace(
    task="digits",
    image_side=8,
    blocks=Int(1, 2, about=(
        "Number of convolution blocks: after two of them, each halving it, nothing is left of an "
        "image of 8 x 8 pixels to look at."
    )),
    filters_1=Int(4, 32, log=True, about=(
        "Patterns that the first block looks for, such as strokes and ends: more tell finer "
        "differences apart and take more time."
    )),
    filters_2=Int(4, 32, log=True, about=(
        "Patterns of the second block, put together from those of the first, such as bows and "
        "crossings: more let it know more of them."
    )),
    layers=Int(0, 2, about=(
        "Number of dense layers before the output: they combine what was seen into a decision; "
        "with none the network is smallest."
    )),
    units_1=Int(8, 128, log=True, about=(
        "Width of the first dense layer: more units store more detail, and learn so few images by "
        "heart easily."
    )),
    units_2=Int(8, 128, log=True, about=(
        "Width of the second dense layer, if there is one: fewer units than in the first force it "
        "to sum up."
    )),
    batch_size=Int(16, 128, log=True, about=(
        "Images a step: with so few images large batches leave an epoch only a handful of steps, "
        "so small ones learn much more in it and take longer."
    )),
    # One pixel is an eighth of the side.
    shift=Float(0.0, 0.25, step=0.025, about=(
        "Moves each training image by up to this share of its side, where 0.125 is one pixel: "
        "more teaches that the place does not matter, too much cuts strokes off."
    )),
)
