"""Workers and precision that suit a machine, and the line that says so."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.tasks import TASKS
from search.machine import AskedPrecision, Machine, available_cores
from search.settings import Settings

LAPTOP = Machine(cores=2, memory_gib=24, gpus=0, bfloat16=True)


def machine(**changes: Any) -> Machine:
    return Machine(**{**vars(LAPTOP), **changes})


@pytest.mark.parametrize(
    ("here", "asked", "trials", "workers", "note"),
    [
        (LAPTOP, None, 50, 2, ""),
        (machine(cores=1), None, 50, 1, ""),
        (machine(cores=64, memory_gib=256), None, 500, 64, ""),
        (machine(cores=64, memory_gib=256), None, 10, 10, ""),
        (LAPTOP, 1, 50, 1, ""),
        (LAPTOP, 4, 50, 4, "4 workers take turns: 2 would be as fast"),
        (
            machine(cores=64),
            None,
            500,
            11,
            "memory for 11 workers instead of 64, at 2 GiB each beside 1 GiB",
        ),
        (
            machine(memory_gib=1.5),
            2,
            50,
            1,
            "memory for 1 worker instead of 2, at 2 GiB each beside 1 GiB",
        ),
        (
            machine(cores=16, gpus=1),
            None,
            50,
            2,
            "2 workers share the GPU, which we could not try",
        ),
    ],
)
def test_as_many_workers_as_there_are_cores_and_room_for(
    here: Machine, asked: int | None, trials: int, workers: int, note: str
) -> None:
    assert here.workers(asked, trials) == (workers, note)


@pytest.mark.parametrize(
    ("asked", "images", "hardware", "precision"),
    [
        ("auto", True, True, "bfloat16"),
        ("auto", True, False, "float32"),
        ("auto", False, True, "float32"),
        ("float32", True, True, "float32"),
        ("bfloat16", False, True, "bfloat16"),
    ],
)
def test_bfloat16_is_for_images_where_the_cpu_has_it(
    asked: AskedPrecision,
    *,
    images: bool,
    hardware: bool,
    precision: str,
) -> None:
    assert machine(bfloat16=hardware).precision(asked, images=images) == (precision, "")


def test_emulated_bfloat16_is_done_as_asked_with_a_warning() -> None:
    settings, line = machine(bfloat16=False).suit(Settings(), TASKS["fashion"], None, "bfloat16")
    assert settings.precision == "bfloat16"
    assert line == (
        "This machine: 2 cores, 24 GiB, no bfloat16 in hardware; bfloat16 is emulated here: "
        "about half as fast as --precision float32."
    )


def test_the_settings_keep_all_else() -> None:
    asked = Settings(trials=7, seed=3)
    settings, line = machine(cores=1, gpus=2).suit(asked, TASKS["churn"], None, "auto")
    assert settings == Settings(trials=7, seed=3, workers=1, precision="float32")
    assert line.startswith("This machine: 1 core, 24 GiB, 2 GPUs, bfloat16 in hardware; ")


@pytest.mark.parametrize(
    ("flags", "has_bfloat16"),
    [
        ("amx_tile amx_bf16 amx_int8", True),
        ("avx512f avx512_bf16", True),
        ("avx512f avx2", False),
        (None, False),  # no such file: not Linux
    ],
)
def test_the_cpu_is_asked_for_bfloat16(
    flags: str | None, *, has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_text(self: Path, *_: Any) -> str:
        assert str(self) == "/proc/cpuinfo"
        if flags is None:
            raise FileNotFoundError(self)
        return f"processor\t: 0\nflags\t\t: fpu {flags} sse2\n"

    Machine.here()  # what else it reads is loaded by now
    monkeypatch.setattr(Path, "read_text", read_text)
    assert Machine.here().bfloat16 == has_bfloat16


def test_this_machine_has_a_core_and_memory() -> None:
    here = Machine.here()
    assert here.cores == available_cores() >= 1
    assert here.memory_gib > 0.5
