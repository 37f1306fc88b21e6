"""What may vary in a search over MNIST: 28 x 28 gray pictures of handwritten digits.

As fashion, but for what is named here; `hpsearch space mnist` prints the whole. Add `name=domain`
to change a range, or change it for one search with `--set name=low..high`.
A changed range starts a new study.
"""

from spaces import fashion
from spaces.domains import Choice

SPACE = fashion.SPACE.replace(
    task="mnist",
    # 20 and 50 are those of LeNet.
    filters_1=Choice(16, 20, 32, 48, 64, about=fashion.SPACE.domains["filters_1"].about),
    filters_2=Choice(16, 32, 50, 64, 96, 128, about=fashion.SPACE.domains["filters_2"].about),
    # A mirrored digit is another sign.
    flip=None,
)
