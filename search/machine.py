"""What this machine has, and how many workers in which precision suit it."""

import functools
import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipelines.runtime import Precision, Runtime
from pipelines.tasks import Task
from search.settings import Settings
from search.texts import n_of

AskedPrecision = Literal["auto", "float32", "bfloat16"]

IMAGES_GIB = 2.5
"""What a worker may need for images: 2.3 GiB were the peak of a wide network with gelu, in batches
of 512, shared libraries and data included; 1.4 GiB that of a whole search of fashion."""
TABLES_GIB = 1.0
"""What one may need for tables: 0.85 GiB were the most in a churn search of 177 trials, shared
libraries included. Dask ends a worker at 95 % of its share."""
COORDINATOR_GIB = 1.0
WORKERS_A_GPU = 2

_DRIVER = Path("/proc/driver/nvidia/gpus")
_LOOK = "import json; from pipelines import runtime; print(json.dumps(runtime.gpu_capabilities()))"
_LOOK_SECONDS = 120
_GPU_WITH_BFLOAT16 = (8, 0)
"""The compute capability from which on a GPU multiplies it by itself."""


@dataclass(frozen=True)
class Machine:
    """What decides how fast a search can be.

    Attributes:
        cores: That this process may use.
        memory_gib: That this process may use.
        gpus: That TensorFlow can use.
        bfloat16: Whether what trains, all GPUs or else the CPU, multiplies it by itself.
        idle_gpus: That are here, where TensorFlow can use none.
    """

    cores: int
    memory_gib: float
    gpus: int
    bfloat16: bool
    idle_gpus: int = 0

    @classmethod
    def here(cls) -> "Machine":
        from distributed.system import MEMORY_LIMIT  # late: --help need not wait for it

        n_gpus = len(list(_DRIVER.iterdir())) if _DRIVER.is_dir() else 0
        usable = _usable_gpus() if n_gpus else []
        return cls(
            cores=available_cores(),
            memory_gib=MEMORY_LIMIT / 2**30,
            gpus=len(usable),
            bfloat16=min(usable) >= _GPU_WITH_BFLOAT16 if usable else _cpu_has_bfloat16(),
            idle_gpus=0 if usable else n_gpus,
        )

    @property
    def text(self) -> str:
        """As people read it: 2 cores, 24 GiB, bfloat16 in hardware."""
        parts = [n_of(self.cores, "core"), f"{self.memory_gib:.3g} GiB"]
        if self.gpus:
            parts.append(n_of(self.gpus, "GPU"))
        if self.idle_gpus:
            parts.append(
                f"{n_of(self.idle_gpus, 'GPU')} that the installed TensorFlow cannot use"
                " (`pip install 'tensorflow[and-cuda]'` may help)"
            )
        parts.append("bfloat16 in hardware" if self.bfloat16 else "no bfloat16 in hardware")
        return ", ".join(parts)

    def workers(self, asked: int | None, trials: float, *, images: bool = True) -> tuple[int, str]:
        """How many to start, and what is to be said of it.

        As many as were asked for; else as there are cores, or places on GPUs, and room for.
        """
        gib = IMAGES_GIB if images else TABLES_GIB
        room = int((self.memory_gib - COORDINATOR_GIB) / gib)
        wanted = asked or int(min(self.cores, self.gpus * WORKERS_A_GPU or self.cores, trials))
        if room < 1:
            return asked or 1, (
                f"{self.memory_gib:.3g} GiB are less than one worker needs ({gib:g} GiB beside"
                f" {COORDINATOR_GIB:g} GiB): trials may fail for lack of memory"
            )
        if wanted > room:
            note = (
                f"memory for {n_of(room, 'worker')} instead of {wanted}, at {gib:g} GiB each"
                f" beside {COORDINATOR_GIB:g} GiB"
            )
            if asked is None:
                return room, note
            return asked, f"{note}: a trial that outgrows its share fails"
        if asked is None and self.gpus:
            where = f"{n_of(wanted, 'worker')} on {n_of(self.gpus, 'GPU')}"
            return wanted, f"{where}, which we could not try"
        if wanted > self.cores:
            return wanted, f"{wanted} workers take turns: {self.cores} would be as fast"
        return wanted, ""

    def precision(self, asked: AskedPrecision, *, images: bool) -> tuple[Precision, str]:
        """Which to train in, and what is to be said of it.

        Convolutions train twice as fast in bfloat16 on CPUs that have it (docs/speed.md), and GPUs
        are taken to be alike; the small dense networks for tables gain nothing, and keep float32.
        """
        if asked == "auto":
            return ("bfloat16" if images and self.bfloat16 else "float32"), ""
        if asked == "float32" or self.bfloat16:
            return asked, ""
        if self.gpus:
            return asked, (
                "bfloat16 saves no time on GPUs without it: TensorFlow computes in float32 there"
            )
        # TensorFlow emulates it by oneDNN on CPUs with AVX-512, and by its own kernels on others.
        return asked, (
            "bfloat16 is emulated here: slower than --precision float32, for images 2 to 3 times"
            " on a CPU with AVX-512 and more than 10 times on one without"
        )

    def runtime(self, task: Task) -> Runtime:
        """How a worker trains the task if nothing else is asked for."""
        return Runtime(1, self.precision("auto", images=task.has_images)[0])

    def suit(
        self, settings: Settings, task: Task, workers: int | None, precision: AskedPrecision
    ) -> tuple[Settings, str]:
        """The settings with workers and precision for this machine, and a line that says why."""
        images = task.has_images
        n_workers, why = self.workers(workers, settings.most_trials, images=images)
        chosen, warning = self.precision(precision, images=images)
        notes = "".join(f"; {note}" for note in (why, warning) if note)
        line = f"This machine: {self.text}{notes}."
        return replace(settings, workers=n_workers, precision=chosen), line


def available_cores() -> int:
    """Cores that this process may use: by its affinity, and by its container's quota of CPU."""
    from dask.system import cpu_count  # late: --help need not wait for it

    return int(cpu_count())


@functools.cache
def _usable_gpus() -> list[tuple[int, int]]:
    """The compute capability of each GPU that TensorFlow can use.

    Another process looks, for CUDA must not run in one that workers are forked from, and this
    one needs no TensorFlow. It takes seconds.
    """
    try:
        found = subprocess.run(
            [sys.executable, "-c", _LOOK],
            capture_output=True,
            text=True,
            check=True,
            timeout=_LOOK_SECONDS,
        )
        return [(major, minor) for major, minor in json.loads(found.stdout)]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []  # a TensorFlow that fails to look at its GPUs cannot compute on them


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 by itself: AMX of Intel, AVX512_BF16 of both makers."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
