"""Workers and precision that suit a machine, and the line that says so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.system
import pytest

from pipelines.runtime import Precision, Runtime
from pipelines.tasks import TASKS
from search import machine as machines
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
            9,
            "memory for 9 workers instead of 64, at 2.5 GiB each beside 1 GiB",
        ),
        (
            machine(memory_gib=4),
            None,
            50,
            1,
            "memory for 1 worker instead of 2, at 2.5 GiB each beside 1 GiB",
        ),
        (machine(cores=16, gpus=1), None, 50, 2, "2 workers on 1 GPU, which we could not try"),
        (machine(cores=16, gpus=4), None, 50, 8, "8 workers on 4 GPUs, which we could not try"),
        (machine(cores=1, gpus=2), None, 50, 1, "1 worker on 2 GPUs, which we could not try"),
        (machine(cores=16, gpus=1), 4, 50, 4, ""),
        (machine(cores=16, memory_gib=256, idle_gpus=1), None, 50, 16, ""),
    ],
)
def test_as_many_workers_as_there_are_cores_and_room_for(
    here: Machine, asked: int | None, trials: int, workers: int, note: str
) -> None:
    assert here.workers(asked, trials) == (workers, note)


@pytest.mark.parametrize(
    ("cores", "memory_gib", "asked", "workers"),
    [(1, 0.7, None, 1), (2, 1.5, None, 1), (1, 2.9, None, 1), (2, 1.5, 2, 2)],
)
def test_where_not_even_one_worker_fits_it_is_started_with_a_warning(
    cores: int, memory_gib: float, asked: int | None, workers: int
) -> None:
    here = machine(cores=cores, memory_gib=memory_gib)
    note = (
        f"{memory_gib} GiB are less than one worker needs (2.5 GiB beside 1 GiB): "
        "trials may fail for lack of memory"
    )
    assert here.workers(asked, 50) == (workers, note)


@pytest.mark.parametrize(("task", "workers"), [("churn", 2), ("digits", 1)])
def test_a_worker_for_tables_needs_less_room(task: str, workers: int) -> None:
    settings, _ = machine(memory_gib=4).suit(Settings(), TASKS[task], None, "auto")
    assert settings.workers == workers


def test_workers_beyond_the_room_are_started_as_asked_with_a_warning() -> None:
    settings, line = machine(memory_gib=4).suit(Settings(), TASKS["fashion"], 2, "auto")
    assert settings.workers == 2
    assert line == (
        "This machine: 2 cores, 4 GiB, bfloat16 in hardware; memory for 1 worker instead of 2, "
        "at 2.5 GiB each beside 1 GiB: a trial that outgrows its share fails."
    )


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


@pytest.mark.parametrize(("task", "precision"), [("fashion", "bfloat16"), ("churn", "float32")])
def test_a_worker_computes_in_the_precision_for_its_task(task: str, precision: Precision) -> None:
    assert LAPTOP.runtime(TASKS[task]) == Runtime(1, precision)


def test_emulated_bfloat16_is_done_as_asked_with_a_warning() -> None:
    settings, line = machine(bfloat16=False).suit(Settings(), TASKS["fashion"], None, "bfloat16")
    assert settings.precision == "bfloat16"
    assert line == (
        "This machine: 2 cores, 24 GiB, no bfloat16 in hardware; bfloat16 is emulated here: "
        "slower than --precision float32, for images 2 to 3 times on a CPU with AVX-512 and more "
        "than 10 times on one without."
    )


def test_bfloat16_on_gpus_without_it_is_done_as_asked_with_a_warning() -> None:
    assert machine(gpus=1, bfloat16=False).precision("bfloat16", images=True) == (
        "bfloat16",
        "bfloat16 saves no time on GPUs without it: TensorFlow computes in float32 there",
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


FAKE_TENSORFLOW = """
CAPABILITIES = {capabilities}

class config:
    @staticmethod
    def list_physical_devices(kind):
        assert kind == "GPU"
        return list(CAPABILITIES)

    class experimental:
        @staticmethod
        def get_device_details(gpu):
            return {{"compute_capability": CAPABILITIES[gpu]}} if CAPABILITIES[gpu] else {{}}
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What NVIDIA's driver says of its GPUs: a folder for each."""
    folder = tmp_path / "driver"
    monkeypatch.setattr(machines, "_DRIVER", folder)
    look = machines._usable_gpus
    look.cache_clear()
    yield folder
    look.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "gpus", "idle_gpus", "has_bfloat16"),
    [
        ({"a": (8, 0), "b": (9, 0)}, 2, 0, True),
        ({"a": (7, 5), "b": (9, 0)}, 2, 0, False),
        ({"a": (10, 0)}, 1, 0, True),  # the other is hidden by CUDA_VISIBLE_DEVICES
        ({"a": None}, 1, 0, False),
        ({}, 0, 2, True),  # the CPU's
        ("fails to load", 0, 2, True),
    ],
)
def test_gpus_count_where_tensorflow_can_use_them(
    capabilities: object,
    gpus: int,
    idle_gpus: int,
    driver: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_bfloat16: bool,
) -> None:
    for number in range(2):
        (driver / f"0000:0{number}:00.0").mkdir(parents=True)
    (tmp_path / "tensorflow.py").write_text(FAKE_TENSORFLOW.format(capabilities=capabilities))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(machines, "_cpu_has_bfloat16", lambda: True)
    here = Machine.here()
    assert (here.gpus, here.idle_gpus, here.bfloat16) == (gpus, idle_gpus, has_bfloat16)


@pytest.mark.parametrize("folder_is_there", [False, True])
def test_without_a_gpu_tensorflow_is_not_asked(
    driver: Path, monkeypatch: pytest.MonkeyPatch, *, folder_is_there: bool
) -> None:
    if folder_is_there:
        driver.mkdir()
    monkeypatch.setattr(machines, "_usable_gpus", lambda: pytest.fail("it takes seconds"))
    here = Machine.here()
    assert (here.gpus, here.idle_gpus) == (0, 0)


def test_an_idle_gpu_is_told_of_and_the_cores_train() -> None:
    here = machine(cores=64, memory_gib=256, bfloat16=False, idle_gpus=1)
    settings, line = here.suit(Settings(trials=500), TASKS["fashion"], None, "auto")
    assert (settings.workers, settings.precision) == (64, "float32")
    assert line == (
        "This machine: 64 cores, 256 GiB, 1 GPU that the installed TensorFlow cannot use "
        "(`pip install 'tensorflow[and-cuda]'` may help), no bfloat16 in hardware."
    )


def test_a_containers_quota_limits_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask.system, "_try_extract_cgroup_cpu_quota", lambda: (50_000, 100_000))
    assert available_cores() == 1


def test_this_machine_has_a_core_and_memory() -> None:
    here = Machine.here()
    assert here.cores == available_cores() >= 1
    assert here.memory_gib > 0.5
