"""What this machine has, and how many workers in which precision suit it."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pipelines.runtime import Precision
from pipelines.tasks import Task
from search.settings import Settings

AskedPrecision = Literal["auto", "float32", "bfloat16"]

WORKER_GIB = 2.0
"""What a worker may need: 0.4 GiB were measured on churn, 1.4 on fashion."""
COORDINATOR_GIB = 1.0
WORKERS_A_GPU = 2


@dataclass(frozen=True)
class Machine:
    """What decides how fast a search can be.

    Attributes:
        cores: That this process may use.
        memory_gib: That this process may use.
        bfloat16: Whether the CPU multiplies it by itself.
    """

    cores: int
    memory_gib: float
    gpus: int
    bfloat16: bool

    @classmethod
    def here(cls) -> "Machine":
        from distributed.system import MEMORY_LIMIT  # late: --help need not wait for it

        drivers = Path("/proc/driver/nvidia/gpus")
        return cls(
            cores=available_cores(),
            memory_gib=MEMORY_LIMIT / 2**30,
            gpus=len(list(drivers.iterdir())) if drivers.is_dir() else 0,
            bfloat16=_has_bfloat16(),
        )

    @property
    def text(self) -> str:
        """As people read it: 2 cores, 24 GiB, bfloat16 in hardware."""
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        gpus = [f"{self.gpus} GPU{'s' * (self.gpus > 1)}"] if self.gpus else []
        hardware = "bfloat16 in hardware" if self.bfloat16 else "no bfloat16 in hardware"
        return ", ".join([cores, f"{self.memory_gib:.3g} GiB", *gpus, hardware])

    @property
    def room(self) -> int:
        """Workers that fit into the memory, at least one."""
        return max(1, int((self.memory_gib - COORDINATOR_GIB) / WORKER_GIB))

    def workers(self, asked: int | None, trials: int) -> tuple[int, str]:
        """How many to start, and why not as many as there are cores or were asked for."""
        wanted = asked or min(self.cores, self.gpus * WORKERS_A_GPU or self.cores, trials)
        if wanted > self.room:
            return self.room, (
                f"memory for {_workers(self.room)} instead of {wanted}, at"
                f" {WORKER_GIB:g} GiB each beside {COORDINATOR_GIB:g} GiB"
            )
        if asked is None and self.gpus:
            return wanted, f"{_workers(wanted)} share the GPU, which we could not try"
        if wanted > self.cores:
            return wanted, f"{wanted} workers take turns: {self.cores} would be as fast"
        return wanted, ""

    def precision(self, asked: AskedPrecision, *, images: bool) -> tuple[Precision, str]:
        """Which to train in, and what is to be said of it.

        Convolutions train twice as fast in bfloat16 where the CPU has it; the small dense
        networks for tables gain nothing, and keep float32.
        """
        if asked == "auto":
            return ("bfloat16" if images and self.bfloat16 else "float32"), ""
        if asked == "bfloat16" and not (self.bfloat16 or self.gpus):
            return asked, "bfloat16 is emulated here: about half as fast as --precision float32"
        return asked, ""

    def suit(
        self, settings: Settings, task: Task, workers: int | None, precision: AskedPrecision
    ) -> tuple[Settings, str]:
        """The settings with workers and precision for this machine, and a line that says why."""
        n_workers, why = self.workers(workers, settings.trials)
        chosen, warning = self.precision(precision, images=task.space.image_side is not None)
        notes = "".join(f"; {note}" for note in (why, warning) if note)
        line = f"This machine: {self.text}{notes}."
        return replace(settings, workers=n_workers, precision=chosen), line


def available_cores() -> int:
    """Cores that this process may use, which a container may have limited."""
    return (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


def _has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 by itself: AMX of Intel, AVX512_BF16 of both makers."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
