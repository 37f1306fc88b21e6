"""What numbers of filters cost: a small CNN with widths that fill the processor, and others.

    .venv/bin/python -m benchmarks.filters [--repeats 5] [--quick]

One session each, on one core, in turns; the table shows the median CPU time of an epoch over that
of 32-64-128, and the multiplications likewise. CPU time, as other programs may run beside it.
"""

import argparse
import statistics
import time

from rich.console import Console
from rich.table import Table

from benchmarks import store
from benchmarks.throughput_cases import first_rows
from pipelines.segment import prepare
from pipelines.tasks import find_task
from search.machine import Machine
from spaces.config import Config

TASK = "fashion"
REFERENCE = (32, 64, 128)
WIDTHS = [
    (16, 32, 64),
    (21, 43, 81),
    (24, 48, 96),
    (31, 63, 127),
    REFERENCE,
    (33, 65, 129),
    (48, 96, 128),
]
PIXELS = (28 * 28, 14 * 14, 7 * 7)
"""That each block's convolution computes."""


def config(widths: tuple[int, ...]) -> Config:
    block = {"padding": "same", "batch_norm": "before"}
    return Config.model_validate(
        {
            "network": {"blocks": [{"filters": n, **block} for n in widths], "head": "average"},
            "optimization": {"optimizer": "adam", "learning_rate": 1e-3, "batch_size": 128},
            "training": {"epochs": 1000},
        }
    )


def multiplications(widths: tuple[int, ...]) -> int:
    """For the convolutions of an image."""
    before = (1, *widths)
    return sum(9 * a * b * n for a, b, n in zip(before, widths, PIXELS, strict=False))


def measure(repeats: int) -> list[dict[str, object]]:
    how = Machine.here().runtime(find_task(TASK))
    prepare(TASK, None, how)
    from pipelines.session import TrainingSession

    sessions = {
        widths: TrainingSession(find_task(TASK), first_rows(TASK), config(widths), seed=0, how=how)
        for widths in WIDTHS
    }
    seconds: dict[tuple[int, ...], list[float]] = {widths: [] for widths in WIDTHS}
    for turn in range(repeats + 1):
        for widths, session in sessions.items():
            started = time.process_time()
            session.advance(session.epoch + 1)
            if turn:  # the first touches memory for the first time
                seconds[widths].append(time.process_time() - started)
    return [
        {
            "filters": list(widths),
            "precision": how.precision,
            "seconds": [round(each, 2) for each in own],
            "time": round(statistics.median(own) / statistics.median(seconds[REFERENCE]), 2),
            "multiplications": round(multiplications(widths) / multiplications(REFERENCE), 2),
        }
        for widths, own in seconds.items()
    ]


def show(rows: list[dict[str, object]]) -> Table:
    table = Table("filters", box=None)
    for heading in ("multiplications", "CPU time"):
        table.add_column(heading, justify="right")
    for row in rows:
        widths = "-".join(map(str, row["filters"]))  # type: ignore[call-overload] # a list of ours
        table.add_row(widths, str(row["multiplications"]), str(row["time"]))
    return table


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a single turn")
    arguments = parser.parse_args()
    rows = measure(1 if arguments.quick else arguments.repeats)
    store.save("filters_quick" if arguments.quick else "filters", {"widths": rows})
    Console().print(show(rows))


if __name__ == "__main__":
    _main()
