"""Does bfloat16 cost accuracy? The same configs and seeds in both precisions, side by side.

    .venv/bin/python -m benchmarks.precision [--seeds 8] [--epochs 2]
        [--start-seeds 5] [--start-epochs 15] [--quick]

Two networks of fashion and of mnist each: a plain one of the tutorials for a few epochs, and the
plain starting point of a search with its schedule, all epochs of the task if no number is given.
Prints the validation accuracy of each seed in both precisions, the mean of the paired differences
with its 95 % interval (Student's t), and the ratio of the training times.
"""

import argparse
import concurrent.futures
import multiprocessing
import statistics
from dataclasses import asdict, dataclass

from scipy import stats

from benchmarks import store
from pipelines.runtime import Precision, Runtime
from pipelines.segment import Segment, SegmentResult, load_data, train_segment
from pipelines.tasks import find_task
from search.machine import available_cores
from spaces.config import Config
from spaces.presets import PRESETS
from spaces.starts import STARTS

PRESET_OF = {"fashion": "fashion_conv_64_64", "mnist": "mnist_conv_net"}
START = "start_plain"
BATCH_SIZE = 128


@dataclass(frozen=True)
class Case:
    """A network and how long it is trained; None means all epochs of the task."""

    task: str
    network: str
    epochs: int | None

    @property
    def config(self) -> Config:
        if self.network == START:
            training = find_task(self.task).training_for(self.epochs)
            return STARTS[self.task][START].model_copy(update={"training": training})
        config = PRESETS[self.network].config
        optimization = config.optimization.model_copy(update={"batch_size": BATCH_SIZE})
        training = config.training.model_copy(update={"epochs": self.epochs})
        return config.model_copy(update={"optimization": optimization, "training": training})


def train(case: Case, seed: int, precision: Precision) -> tuple[float, float]:
    """Validation accuracy of the weights that count, and seconds of training."""
    config = case.config
    segment = Segment(
        key=f"{case.task}/{case.network}/{seed}/{precision}",
        task=case.task,
        config=config,
        seed=seed,
        how=Runtime(1, precision),
        data_dir=None,
        data_digest=load_data(case.task, None).digest,
        begin=0.0,
        until=float(config.training.epochs),
        seconds=float("inf"),
    )
    result = train_segment(segment)
    if not isinstance(result, SegmentResult):
        raise TypeError(result.message)
    return result.best["val_accuracy"], result.train_seconds


def compare(case: Case, seeds: int) -> dict[str, object]:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        available_cores(), mp_context=context
    ) as processes:
        # In turn, so that a slow moment of the machine meets both precisions.
        jobs = [
            (seed, precision, processes.submit(train, case, seed, precision))
            for seed in range(seeds)
            for precision in ("float32", "bfloat16")
        ]
        results = {(seed, precision): job.result() for seed, precision, job in jobs}
    name, differences, ratios = f"{case.task} {case.network}", [], []
    for seed in range(seeds):
        (exact, slow), (coarse, fast) = results[seed, "float32"], results[seed, "bfloat16"]
        differences.append(coarse - exact)
        ratios.append(slow / fast)
        print(f"{name} seed {seed}: float32 {exact:.4f}, bfloat16 {coarse:.4f}", flush=True)
    mean = statistics.mean(differences)
    half = stats.t.ppf(0.975, seeds - 1) * statistics.stdev(differences) / seeds**0.5
    print(
        f"{name}: bfloat16 - float32 = {100 * mean:+.2f} points,"
        f" 95 % interval {100 * (mean - half):+.2f} to {100 * (mean + half):+.2f};"
        f" {statistics.median(ratios):.1f} times as fast (median of {seeds})",
        flush=True,
    )
    return {
        **asdict(case),
        "epochs": case.config.training.epochs,
        "scores": [
            [round(results[seed, precision][0], 5) for precision in ("float32", "bfloat16")]
            for seed in range(seeds)
        ],
        "differences": [round(difference, 4) for difference in differences],
        "interval": [round(mean - half, 5), round(mean + half, 5)],
        "times_as_fast": round(statistics.median(ratios), 2),
    }


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--start-seeds", type=int, default=5, help="0 for no starting points")
    parser.add_argument("--start-epochs", type=int, help="fewer than the task has")
    parser.add_argument("--quick", action="store_true", help="one network, two seeds of one epoch")
    arguments = parser.parse_args()
    if 1 in (arguments.seeds, arguments.start_seeds):
        parser.error("an interval needs at least 2 seeds")
    if arguments.quick:
        work = [(Case("fashion", START, 1), 2)]
    else:
        presets = [Case(task, name, arguments.epochs) for task, name in PRESET_OF.items()]
        starts = [Case(task, START, arguments.start_epochs) for task in PRESET_OF]
        work = [(case, arguments.seeds) for case in presets]
        work += [(case, arguments.start_seeds) for case in starts if arguments.start_seeds]
    found = []
    for case, seeds in work:
        found.append(compare(case, seeds))
        store.save("precision_quick" if arguments.quick else "precision", {"cases": found})


if __name__ == "__main__":
    _main()
