"""Does bfloat16 cost accuracy? The same presets and seeds in both precisions, side by side.

    .venv/bin/python -m benchmarks.precision [--seeds 8] [--epochs 2] [--quick]

Prints, for fashion and mnist, the validation accuracy of each seed in both precisions, the mean of
the paired differences with its 95 % interval (Student's t), and the ratio of the training times.
"""

import argparse
import concurrent.futures
import multiprocessing
import statistics

from scipy import stats

from benchmarks import store
from pipelines.runtime import Precision, Runtime
from pipelines.segment import Segment, SegmentResult, load_data, train_segment
from search.machine import available_cores
from spaces.presets import PRESETS

PRESET_OF = {"fashion": "fashion_conv_64_64", "mnist": "mnist_conv_net"}
BATCH_SIZE = 128


def train(task: str, seed: int, epochs: int, precision: Precision) -> tuple[float, float]:
    """Best validation accuracy, and seconds of training."""
    config = PRESETS[PRESET_OF[task]].config.with_epochs(epochs)
    optimization = config.optimization.model_copy(update={"batch_size": BATCH_SIZE})
    segment = Segment(
        key=f"{task}/{seed}/{precision}",
        task=task,
        config=config.model_copy(update={"optimization": optimization}),
        seed=seed,
        how=Runtime(1, precision),
        data_dir=None,
        data_digest=load_data(task, None).digest,
        begin=0.0,
        until=float(epochs),
        seconds=float("inf"),
    )
    result = train_segment(segment)
    if not isinstance(result, SegmentResult):
        raise TypeError(result.message)
    return result.best["val_accuracy"], result.train_seconds


def compare(task: str, seeds: int, epochs: int) -> dict[str, object]:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        available_cores(), mp_context=context
    ) as processes:
        # In turn, so that a slow moment of the machine meets both precisions.
        jobs = [
            (seed, precision, processes.submit(train, task, seed, epochs, precision))
            for seed in range(seeds)
            for precision in ("float32", "bfloat16")
        ]
        results = {(seed, precision): job.result() for seed, precision, job in jobs}
    differences, ratios = [], []
    for seed in range(seeds):
        (exact, slow), (coarse, fast) = results[seed, "float32"], results[seed, "bfloat16"]
        differences.append(coarse - exact)
        ratios.append(slow / fast)
        print(f"{task} seed {seed}: float32 {exact:.4f}, bfloat16 {coarse:.4f}")
    mean = statistics.mean(differences)
    half = stats.t.ppf(0.975, seeds - 1) * statistics.stdev(differences) / seeds**0.5
    print(
        f"{task}: bfloat16 - float32 = {100 * mean:+.2f} points,"
        f" 95 % interval {100 * (mean - half):+.2f} to {100 * (mean + half):+.2f};"
        f" {statistics.median(ratios):.1f} times as fast (median of {seeds})",
        flush=True,
    )
    return {
        "task": task,
        "epochs": epochs,
        "differences": [round(difference, 4) for difference in differences],
        "interval": [round(mean - half, 5), round(mean + half, 5)],
        "times_as_fast": round(statistics.median(ratios), 2),
    }


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two seeds of one epoch")
    arguments = parser.parse_args()
    seeds, epochs = (2, 1) if arguments.quick else (arguments.seeds, arguments.epochs)
    found = [compare(task, seeds, epochs) for task in PRESET_OF]
    store.save("precision_quick" if arguments.quick else "precision", {"tasks": found})


if __name__ == "__main__":
    _main()
