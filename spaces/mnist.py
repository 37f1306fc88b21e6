"""What may vary in a search over MNIST: 28 x 28 gray pictures of handwritten digits.

As fashion, but for what is named here; `hpsearch space mnist` prints the whole. Add `name=domain`
to change a range, or change it for one search with `--set name=low..high`.
A changed range starts a new study.
"""

from spaces import fashion

SPACE = fashion.SPACE.replace(
    task="mnist",
    # A mirrored digit is another sign.
    flip=None,
)
