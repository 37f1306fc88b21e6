"""TensorFlow set up for one process: threads, precision, determinism. Nothing else does it."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16"]

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
"""TensorFlow's environment variable, which it reads when it is imported."""
RANK = "HPSEARCH_WORKER"
"""The environment variable with a worker's number, from 0, which decides on its GPU."""


@dataclass(frozen=True)
class Runtime:
    """How a process computes; fixed at its first use of TensorFlow.

    Attributes:
        deterministic: Refuse operations whose result depends on the order of threads.
    """

    threads: int = 1
    precision: Precision = "float32"
    deterministic: bool = False

    @property
    def policy(self) -> str:
        """Keras' name for the precision: weights stay float32 in both."""
        return "mixed_bfloat16" if self.precision == "bfloat16" else "float32"


def choose_kernels(*, images: bool) -> None:
    """Leaves Intel's oneDNN out for tables; call it before TensorFlow is imported.

    On their small dense networks it is no faster than TensorFlow's own operations, and it keeps
    memory for every new shape of a layer: `python -m benchmarks.onednn`. Who has decided in the
    environment is obeyed.
    """
    if not images:
        os.environ.setdefault(ONEDNN, "0")


def configure(runtime: Runtime) -> None:
    """Sets TensorFlow up; call it before the process runs its first operation.

    Raises:
        RuntimeError: TensorFlow already runs with another number of threads.
    """
    with no_native_noise():
        import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(runtime.threads)
    tf.config.threading.set_inter_op_parallelism_threads(runtime.threads)
    tf.get_logger().setLevel("ERROR")
    if gpus := tf.config.list_physical_devices("GPU"):
        gpu = gpus[int(os.environ.get(RANK, "0")) % len(gpus)]
        tf.config.set_visible_devices(gpu, "GPU")
        # Else the first of the workers that share it takes all its memory.
        tf.config.experimental.set_memory_growth(gpu, enable=True)
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()


def gpu_capabilities() -> list[tuple[int, int]]:
    """The compute capability of each GPU that TensorFlow can use.

    CUDA runs in this process from then on: no process may be forked from it.
    """
    with no_native_noise():
        import tensorflow as tf

    details = tf.config.experimental.get_device_details
    gpus = tf.config.list_physical_devices("GPU")
    return [details(gpu).get("compute_capability", (0, 0)) for gpu in gpus]


@contextlib.contextmanager
def no_native_noise() -> Iterator[None]:
    """Drops what TensorFlow's libraries print at import, before any log level counts.

    A failing import still shows it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except ImportError:
            noise.seek(0)
            os.write(kept, noise.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def fresh_graph(runtime: Runtime, seed: int) -> None:
    """Frees the last model and seeds the next.

    The order matters: Keras forgets policy and seed when it clears its session.
    """
    import keras

    keras.utils.clear_session()
    keras.config.set_dtype_policy(runtime.policy)
    keras.utils.set_random_seed(seed)
