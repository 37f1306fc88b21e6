"""Refits that have ended, kept until they are scored: an interrupted evaluation goes on."""

import hashlib
import json
import shutil
from pathlib import Path

from pipelines.segment import Segment
from search.checkpoints import write_whole


class RefitStore:
    """One file a refit under `runs_dir/refits/<study>/`, named by all that decides its network."""

    def __init__(self, runs_dir: Path, study: str) -> None:
        self._folder = runs_dir / "refits" / study

    def load(self, segment: Segment) -> bytes:
        """The content of a `.keras` file; empty if there is none."""
        path = self._path(segment)
        return path.read_bytes() if path.exists() else b""

    def holds(self, segment: Segment) -> bool:
        return self._path(segment).exists()

    def save(self, segment: Segment, network: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(segment), network)

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, segment: Segment) -> Path:
        deciding = [
            segment.config.model_dump(mode="json"),
            segment.until,
            segment.division,
            segment.data_digest,
            segment.how.precision,
            segment.how.deterministic,
        ]
        digest = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:12]
        return self._folder / f"{segment.seed}-{digest}.keras"
