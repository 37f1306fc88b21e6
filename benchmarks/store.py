"""Where benchmarks keep what they measured: JSON with versions, commit and machine beside it."""

import datetime as dt
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from search.checkpoints import write_whole
from search.machine import available_cores
from search.tracking.trial_log import git_commit

FOLDER = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent
PACKAGES = ("tensorflow", "keras", "optuna", "mlflow", "distributed", "keras-tuner", "ray")
CPU_FLAGS = ("amx_bf16", "avx512_bf16")
"""What tells generations apart that trained at very different speeds, and may share a name."""


def save(
    name: str,
    content: Mapping[str, object],
    folder: Path = FOLDER,
    taken: Mapping[str, object] | None = None,
) -> Path:
    """Writes `content` to `<folder>/<name>.json`, under `results`.

    `taken` are circumstances of an earlier moment than this one.
    """
    return _write({**(taken or circumstances()), "results": content}, name, folder)


def update(name: str, changes: Mapping[str, object], folder: Path = FOLDER) -> None:
    """Changes entries of the `results` that `save` wrote; their circumstances stay."""
    file = load(name, folder) or {"results": {}}
    _write({**file, "results": {**file["results"], **changes}}, name, folder)


def load(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The file that `save` wrote under `name`, circumstances and all; None if there is none."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def setup(circumstances: Mapping[str, Any]) -> str:
    """What figures that are compared must share: CPU, cores and versions. Commits may differ."""
    machine, versions = circumstances["machine"], circumstances["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{machine['cpu']}, {machine['cores']} cores; {packages}"


def sources(names: Iterable[str]) -> dict[str, str]:
    """A hash of the Python files in each of the folders, or files, named from the root."""
    return {name: _hash(ROOT / name) for name in sorted(names)}


def circumstances() -> dict[str, Any]:
    """What a figure depends on beside the code that it times."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": git_commit(),
        "dirty": _dirty(),
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
    return cpu_name(lines) or platform.processor()


def cpu_name(lines: Iterable[str]) -> str:
    """From /proc/cpuinfo; the name alone may be that of several generations."""
    found: dict[str, str] = {}
    for line in lines:
        field, _, value = line.partition(":")
        found.setdefault(field.strip(), value.strip())
    if "model name" not in found:
        return ""
    numbers = [found.get(field, "?") for field in ("cpu family", "model", "stepping")]
    flags = [flag for flag in CPU_FLAGS if flag in found.get("flags", "").split()]
    detail = f"family {numbers[0]}, model {numbers[1]}, stepping {numbers[2]}"
    return f"{found['model name']} ({', '.join([detail, *flags])})"


def _write(file: Mapping[str, object], name: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    write_whole(path, (json.dumps(file, indent=1) + "\n").encode())
    return path


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _dirty() -> bool:
    """Whether sources differ from the commit; results do while a benchmark writes them."""
    status = ["git", "status", "--porcelain", "--", "*.py", "*.lock"]
    try:
        done = subprocess.run(
            status, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(done.stdout.strip())


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
