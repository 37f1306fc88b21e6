"""Where benchmarks keep what they measured: JSON with versions, commit and machine beside it."""

import datetime as dt
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.checkpoints import write_whole
from search.machine import available_cores
from search.tracking.trial_log import git_commit

FOLDER = Path(__file__).parent / "results"
PACKAGES = ("tensorflow", "keras", "optuna", "mlflow", "distributed", "keras-tuner", "ray")


def save(name: str, content: Mapping[str, object], folder: Path = FOLDER) -> Path:
    """Writes `content` to `<folder>/<name>.json`, under `results`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    text = json.dumps({**circumstances(), "results": content}, indent=1)
    write_whole(path, (text + "\n").encode())
    return path


def load(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The file that `save` wrote under `name`, circumstances and all; None if there is none."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def setup(circumstances: Mapping[str, Any]) -> str:
    """What figures that are compared must share: CPU, cores and versions. Commits may differ."""
    machine, versions = circumstances["machine"], circumstances["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{machine['cpu']}, {machine['cores']} cores; {packages}"


def circumstances() -> dict[str, Any]:
    """What a figure depends on beside the code that it times."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": git_commit(),
        "machine": {
            "cpu": _cpu(),
            "cores": available_cores(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "system": platform.system(),
        },
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
