"""All benchmarks in one go, one after the other: `make bench`, or `make bench QUICK=1`.

Each runs in a process of its own, so that none inherits another's memory or threads. Quick runs
show in minutes that everything works, but for `LONG`; their figures mean nothing.
"""

import os
import subprocess
import sys

PARTS = {
    "throughput": ["throughput"],
    "fixed costs": ["fixed_costs"],
    "coordinator": ["coordinator"],
    "memory": ["memory"],
    "memory over images": ["memory", "--task", "digits", "--no-recycling"],
    "precision": ["precision"],
    "oneDNN for tables": ["onednn"],
    "numbers of filters": ["filters"],
    "layers of our own": ["layers"],
    "replay of churn": ["replay", "churn"],
    "replay of fashion": ["replay", "fashion"],
    "time to quality on churn": ["quality", "--task", "churn"],
    "time to quality on fashion": ["quality", "--task", "fashion"],
}
LONG = {
    "what the gain on churn is made of": [
        *("quality", "--task", "churn", "--variants", "--seeds", "3"),
        *("--systems", "hpsearch", "optuna", "ray_asha"),
    ],
    "what the gain on fashion is made of": [
        *("quality", "--task", "fashion", "--variants", "--seeds", "3"),
        *("--systems", "hpsearch", "ray_asha"),
    ],
    "what churn's best configs are worth": ["quality", "--task", "churn", "--table", "--confirm"],
}
"""Too long for a quick run. On fashion with the strongest of the peers only."""


def main() -> int:
    quick = "--quick" in sys.argv[1:]
    parts, options = (PARTS, ["--quick"]) if quick else (PARTS | LONG, [])
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}  # else tables drown in its notes
    failed = []
    for title, (module, *arguments) in parts.items():
        print(f"\n== {title} ==", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, *options]
        if subprocess.run(command, env=environment, check=False).returncode:
            failed.append(title)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
