"""Where data comes from: the search path, and the download from the publishers.

Only training files are named here. The test files of MNIST and Fashion-MNIST are named in
`pipelines.sealed`, so that no search can open them by accident.
"""

import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from spaces.errors import InputError

DATA_DIR_VARIABLE = "HPSEARCH_DATA_DIR"
TIMEOUT_SECONDS = (4.0, 30.0)
"""To connect, and between two pieces of a file."""

_OTHER_PLACE = f"name another place with --data-dir or {DATA_DIR_VARIABLE}"
_BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Source:
    """The files of a task and where their publishers keep them.

    Attributes:
        files: The sha256 of the uncompressed content, by file name: publishers compress anew.
        addresses: Folders that serve these file names; tried in turn.
    """

    files: Mapping[str, str]
    addresses: tuple[str, ...]


SOURCES = {
    "fashion": Source(
        files={
            "train-images-idx3-ubyte.gz": (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            "train-labels-idx1-ubyte.gz": (
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
        },
        addresses=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/HEAD/data/fashion/",
        ),
    ),
    "mnist": Source(
        files={
            "train-images-idx3-ubyte.gz": (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            "train-labels-idx1-ubyte.gz": (
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
        },
        addresses=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    "churn": Source(
        files={
            "Churn_Modelling.csv": (
                "3996cd1fa372e0db0cd9c0ebac35bbd4e8e3c65fb942bb010c826e7b1eeef0a0"
            ),
        },
        addresses=("https://raw.githubusercontent.com/fractus-io/keras-tutorial/HEAD/src/mlp/",),
    ),
}


def fetch(task: str, data_dir: Path | None, source: Source | None = None) -> tuple[Path, ...]:
    """The files of `task`, in the order of its source; downloaded where no place holds them.

    Args:
        source: Other files of the task than those that a search reads.

    Raises:
        InputError: the given place lacks a file, or no place has it and no publisher answers.
    """
    source = source or SOURCES[task]
    return find(task, data_dir, source) or _download_all(task, source)


def find(
    task: str, data_dir: Path | None, source: Source | None = None
) -> tuple[Path, ...] | None:
    """The files of `task` on this machine; None where no place holds any.

    The places are `data_dir` or else HPSEARCH_DATA_DIR, and then no other; without them
    `data`, `../shared/data` and the user's cache. All files come from one place.

    Raises:
        InputError: the given place lacks a file, or another holds a part of the files.
    """
    names = list((source or SOURCES[task]).files)
    given = data_dir or _variable()
    for folder in [given / task] if given else _folders(task):
        found = {name: _existing(folder, name) for name in names}
        paths = tuple(path for path in found.values() if path)
        if len(paths) == len(found):
            return paths
        # An unfinished download is no mistake of the user.
        if given or (paths and folder != user_cache() / task):
            missing = [name for name, path in found.items() if not path]
            raise InputError(_lacks(folder, missing, names))
    return None


def read_content(path: Path) -> bytes:
    """The uncompressed bytes of a file.

    Raises:
        InputError: it cannot be read, or its compressed stream is cut off or damaged.
    """
    try:
        return _content(path)
    except _BROKEN_GZIP as error:
        size = path.stat().st_size
        raise InputError(
            f"{path} is truncated or damaged, its {size} bytes do not unpack ({error}): replace "
            f"it by a whole copy or delete it."
        ) from error
    except OSError as error:
        raise InputError(f"Cannot read {path} ({error.strerror}): check the file.") from error


def user_cache() -> Path:
    """Where downloads are kept, for all checkouts of a user."""
    import pooch  # late: most runs find their files without it

    return Path(pooch.os_cache("hpsearch"))


def _variable() -> Path | None:
    value = os.environ.get(DATA_DIR_VARIABLE)
    return Path(value) if value else None


def _folders(task: str) -> Iterator[Path]:
    here = Path.cwd()
    yield here / "data" / task
    yield here.parent / "shared" / "data" / task
    yield user_cache() / task


def _existing(folder: Path, name: str) -> Path | None:
    for path in (folder / name, folder / name.removesuffix(".gz")):
        try:
            if path.exists():
                return path
        except OSError as error:
            raise InputError(
                f"Cannot look into {folder} ({error.strerror}): {_OTHER_PLACE}."
            ) from error
    return None


def _content(path: Path) -> bytes:
    packed = path.read_bytes()
    # By content and not by name: both kinds go by either name in the wild.
    return gzip.decompress(packed) if packed.startswith(b"\x1f\x8b") else packed


def _lacks(folder: Path, missing: Sequence[str], names: Sequence[str]) -> str:
    if not folder.is_dir():
        return (
            f"There is no folder {folder}: make it and put {' and '.join(names)} into it, "
            f"or {_OTHER_PLACE}."
        )
    return f"{folder} lacks {' and '.join(missing)}: put it there, or {_OTHER_PLACE}."


def _download_all(task: str, source: Source) -> tuple[Path, ...]:
    folder = user_cache() / task
    return tuple(_existing(folder, name) or _download(task, source, name) for name in source.files)


def _download(task: str, source: Source, name: str) -> Path:
    """One file into the user's cache, whole and checked or not at all."""
    import pooch
    import requests

    # It advises on checksums, which a user of ours cannot act on.
    pooch.get_logger().setLevel("WARNING")
    problems = []
    for address in source.addresses:
        try:
            path = pooch.retrieve(
                address + name,
                known_hash=None,
                fname=name,
                path=user_cache() / task,
                downloader=_CheckedDownload(source.files[name]),
            )
        except (requests.RequestException, _WrongContentError) as error:
            problems.append(f"{urlsplit(address).netloc}: {_words(error)}")
        except OSError as error:
            raise InputError(
                f"Cannot write to {user_cache()} ({error.strerror}): make room or mend its "
                f"permissions, or name a folder of data with --data-dir."
            ) from error
        else:
            return Path(path)
    raise InputError(_nowhere(task, source, problems))


@dataclass(frozen=True)
class _CheckedDownload:
    """A downloader for pooch that checks the content before the file gets its name."""

    sha256: str

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        from pooch import HTTPDownloader

        get = HTTPDownloader(
            progressbar=True,
            chunk_size=1 << 16,
            timeout=TIMEOUT_SECONDS,
            hooks={"response": _announce},
        )
        get(url, output_file, pooch)
        try:
            seen = hashlib.sha256(_content(Path(output_file))).hexdigest()
        except _BROKEN_GZIP as error:
            raise _WrongContentError(f"a damaged file, deleted again ({error})") from error
        if seen != self.sha256:
            message = f"a file of sha256 {seen[:8]}..., not {self.sha256[:8]}..., deleted again"
            raise _WrongContentError(message)


class _WrongContentError(Exception):
    """What came is not what was published."""


def _announce(response: Any, **_: object) -> None:  # noqa: ANN401 - a requests.Response
    # When an answer is there and not before: without a network the user reads one sentence.
    if response.status_code == HTTPStatus.OK:
        sys.stderr.write(f"Downloading {response.url}\n")


def _words(error: Exception) -> str:
    import requests

    if isinstance(error, _WrongContentError):
        return str(error)
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "broke off"
    return "no connection"


def _nowhere(task: str, source: Source, problems: list[str]) -> str:
    files = " and ".join(source.files)
    folders = [str(folder) for folder in _folders(task)]
    return (
        f"No data for {task}: {files} not found in {', '.join(folders)}, and the download failed "
        f"({'; '.join(problems)}): put the files into {folders[0]} or into the folder "
        f"{task} of --data-dir, or choose TASK=digits, which needs no files."
    )
