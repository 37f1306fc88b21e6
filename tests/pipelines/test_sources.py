"""The search path and the real download code, against a server on loopback."""

import gzip
import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines import sources
from spaces.errors import InputError

IMAGES = "train-images-idx3-ubyte.gz"
LABELS = "train-labels-idx1-ubyte.gz"
CONTENTS = {IMAGES: b"the images " * 4000, LABELS: b"the labels"}
FILES = {name: gzip.compress(content) for name, content in CONTENTS.items()}


@dataclass
class Publisher:
    """A server on loopback that answers with `files`, and 404 for all others.

    With `promised`, it announces that many bytes and hangs up after what it has.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    promised: int | None = None
    asked: list[str] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data: an empty checkout `home/checkout` and an empty cache."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    monkeypatch.chdir(checkout)
    monkeypatch.delenv(sources.DATA_DIR_VARIABLE, raising=False)
    monkeypatch.setattr(sources, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


def serve(publisher: Publisher) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            publisher.asked.append(name)
            body = publisher.files.get(name)
            self.send_response(200 if body is not None else 404)
            body = body or b""
            self.send_header("Content-Length", str(publisher.promised or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keeps the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    publisher.address = f"http://127.0.0.1:{server.server_port}/data/"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture
def publishers(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Publisher]]:
    """Two publishers of the fashion files; both have nothing yet."""
    assert not list(home.rglob("*ubyte*"))
    both = [Publisher(), Publisher()]
    servers = [serve(publisher) for publisher in both]
    source = sources.Source(
        files={n: hashlib.sha256(c).hexdigest() for n, c in CONTENTS.items()},
        addresses=tuple(publisher.address for publisher in both),
    )
    monkeypatch.setitem(sources.SOURCES, "fashion", source)
    yield both
    for server in servers:
        server.shutdown()
        server.server_close()


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files.items():
        (folder / name).write_bytes(body)


def cached(home: Path) -> list[str]:
    """All files in the user's cache, temporary ones included."""
    return sorted(path.name for path in (home / "cache").rglob("*") if path.is_file())


PLACES = ["checkout/data", "shared/data", "cache"]


@pytest.mark.parametrize("place", PLACES)
def test_files_are_found_in_each_place(home: Path, place: str) -> None:
    put(home / place / "fashion", FILES)
    assert sources.fetch("fashion", None) == tuple(home / place / "fashion" / n for n in FILES)


def test_an_earlier_place_wins(home: Path) -> None:
    for place in reversed(PLACES):
        put(home / place / "fashion", FILES)
        found = sources.find("fashion", None)
        assert found is not None
        assert found[0].parent == home / place / "fashion"


def test_uncompressed_files_are_found_without_their_ending(home: Path) -> None:
    put(home / "own/fashion", {n.removesuffix(".gz"): c for n, c in CONTENTS.items()})
    paths = sources.fetch("fashion", home / "own")
    assert [sources.read_content(path) for path in paths] == list(CONTENTS.values())


def test_the_variable_names_a_place_and_the_argument_overrules_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(home / "variable/fashion", FILES)
    put(home / "argument/fashion", FILES)
    monkeypatch.setenv(sources.DATA_DIR_VARIABLE, str(home / "variable"))
    assert sources.fetch("fashion", None)[0].parent == home / "variable/fashion"
    assert sources.fetch("fashion", home / "argument")[0].parent == home / "argument/fashion"


@pytest.mark.usefixtures("home")
def test_an_empty_variable_names_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sources.DATA_DIR_VARIABLE, "")
    assert sources.find("fashion", None) is None


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_named_place_without_the_file_is_an_error_though_others_have_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, *, by_variable: bool
) -> None:
    put(home / "checkout/data/fashion", FILES)
    put(home / "own/fashion", {IMAGES: FILES[IMAGES]})
    if by_variable:
        monkeypatch.setenv(sources.DATA_DIR_VARIABLE, str(home / "own"))
    with pytest.raises(InputError, match=f"own/fashion lacks {LABELS}: put it there"):
        sources.fetch("fashion", None if by_variable else home / "own")


def test_a_named_place_without_the_folder_of_the_task_is_an_error(home: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .*own/fashion: make it and put train-images"):
        sources.fetch("fashion", home / "own")


def test_a_place_that_cannot_be_looked_into_is_an_error(home: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot look into .*File name too long"):
        sources.fetch("fashion", home / ("x" * 300))


def test_a_place_with_a_part_of_the_files_is_an_error(home: Path) -> None:
    put(home / "checkout/data/fashion", {LABELS: FILES[LABELS]})
    put(home / "shared/data/fashion", FILES)
    with pytest.raises(InputError, match=f"checkout/data/fashion lacks {IMAGES}"):
        sources.fetch("fashion", None)


def test_files_are_downloaded_once_and_then_found(
    home: Path, publishers: list[Publisher], capsys: pytest.CaptureFixture[str]
) -> None:
    publishers[0].files = FILES
    paths = sources.fetch("fashion", None)
    assert [sources.read_content(path) for path in paths] == list(CONTENTS.values())
    assert cached(home) == sorted(FILES)
    output = capsys.readouterr()
    assert f"Downloading {publishers[0].address}{IMAGES}" in output.err
    assert "100%" in output.err
    assert output.out == ""

    assert sources.fetch("fashion", None) == paths
    assert publishers[0].asked == [IMAGES, LABELS]


def test_a_file_that_a_publisher_unpacked_is_accepted(publishers: list[Publisher]) -> None:
    publishers[0].files = CONTENTS
    paths = sources.fetch("fashion", None)
    assert [sources.read_content(path) for path in paths] == list(CONTENTS.values())


def test_an_unfinished_download_goes_on(home: Path, publishers: list[Publisher]) -> None:
    put(home / "cache/fashion", {IMAGES: FILES[IMAGES]})
    publishers[0].files = FILES
    sources.fetch("fashion", None)
    assert publishers[0].asked == [LABELS]


WRONG = gzip.compress(b"other images")
FAILURES = [
    ({}, None, "HTTP status 404"),
    ({IMAGES: WRONG}, None, "a file of sha256 .*, deleted again"),
    ({IMAGES: FILES[IMAGES][:-9]}, None, "a damaged file, deleted again"),
    ({IMAGES: FILES[IMAGES][:-9]}, len(FILES[IMAGES]), "broke off"),
]
FAILURE_NAMES = ["absent", "other content", "truncated at the publisher", "cut off on the way"]


@pytest.mark.parametrize(("files", "promised", "words"), FAILURES, ids=FAILURE_NAMES)
def test_a_failed_download_says_why_and_leaves_nothing(
    home: Path,
    publishers: list[Publisher],
    files: dict[str, bytes],
    promised: int | None,
    words: str,
) -> None:
    publishers[0].files = files
    publishers[0].promised = promised
    with pytest.raises(InputError, match=f"127.0.0.1:[0-9]+: {words}"):
        sources.fetch("fashion", None)
    assert cached(home) == []


@pytest.mark.parametrize(("files", "promised", "_words"), FAILURES, ids=FAILURE_NAMES)
def test_the_second_publisher_is_asked_where_the_first_fails(
    publishers: list[Publisher], files: dict[str, bytes], promised: int | None, _words: str
) -> None:
    publishers[0].files = files
    publishers[0].promised = promised
    publishers[1].files = FILES
    paths = sources.fetch("fashion", None)
    assert [sources.read_content(path) for path in paths] == list(CONTENTS.values())
    assert publishers[1].asked[0] == IMAGES


def test_neither_network_nor_files_end_in_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = Publisher()
    server = serve(gone)
    server.shutdown()
    server.server_close()
    source = replace(
        sources.SOURCES["fashion"], addresses=(gone.address, "http://nowhere.invalid/")
    )
    monkeypatch.setitem(sources.SOURCES, "fashion", source)
    with pytest.raises(InputError) as caught:
        sources.fetch("fashion", None)
    message = str(caught.value)
    for place in PLACES:
        assert str(home / place / "fashion") in message
    assert f"{IMAGES} and {LABELS} not found" in message
    assert "nowhere.invalid: no connection" in message
    assert "TASK=digits" in message
    assert "\n" not in message
    assert capsys.readouterr().err == ""
    assert cached(home) == []


@pytest.mark.usefixtures("home")
def test_a_publisher_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TIMEOUT_SECONDS", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        source = replace(sources.SOURCES["fashion"], addresses=(address,))
        monkeypatch.setitem(sources.SOURCES, "fashion", source)
        with pytest.raises(InputError, match="no answer in time"):
            sources.fetch("fashion", None)


def test_a_cache_that_cannot_be_written_is_an_error(
    home: Path, publishers: list[Publisher]
) -> None:
    publishers[0].files = FILES
    (home / "cache").write_text("a file where a folder is needed")
    with pytest.raises(InputError, match=r"Cannot write to .*cache"):
        sources.fetch("fashion", None)


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(FILES[IMAGES][:-20], id="truncated"),
        pytest.param(FILES[IMAGES][:-8] + bytes(8), id="wrong sum"),
        pytest.param(FILES[IMAGES][:12] + bytes(40), id="damaged stream"),
        pytest.param(b"\x1f\x8b nonsense", id="damaged header"),
    ],
)
def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path, packed: bytes) -> None:
    put(tmp_path, {IMAGES: packed})
    with pytest.raises(InputError, match=rf"{IMAGES} is truncated or damaged.*replace it"):
        sources.read_content(tmp_path / IMAGES)


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Cannot read .*directory"):
        sources.read_content(tmp_path)


def test_downloads_have_a_folder_of_their_own_in_the_cache() -> None:
    assert "hpsearch" in sources.user_cache().parts


def test_no_test_file_is_ever_named() -> None:
    assert not [n for source in sources.SOURCES.values() for n in source.files if "t10k" in n]
