"""Headless Chromium, driven by its own protocol: opens pages, waits for what shows, clicks."""

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
START_SECONDS = 60
WAIT_SECONDS = 45
ANSWER_BYTES = 64 * 2**20

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


class Page:
    """One tab.

    Attributes:
        errors: What the page's scripts have complained of since it was opened.
    """

    def __init__(self, socket: WebSocketClientConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._socket, self._loop = socket, loop
        self._n_calls = 0
        self.errors: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the DevTools protocol."""
        return self._loop.run_until_complete(
            asyncio.wait_for(self._call(method, parameters), WAIT_SECONDS)
        )

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._n_calls += 1
        sent = {"id": self._n_calls, "method": method, "params": parameters}
        await self._socket.write_message(json.dumps(sent))
        while True:
            message = await self._socket.read_message()
            assert message is not None, "Chromium has gone"
            content: dict[str, Any] = json.loads(message)
            if content.get("id") == self._n_calls:
                assert "error" not in content, content
                result: dict[str, Any] = content["result"]
                return result
            self._notice(content)

    def open(self, address: str) -> None:
        self.errors.clear()
        self.call("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Its value, once that is true."""
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            value = self.evaluate(expression)
            if value:
                return value
            time.sleep(0.2)
        pytest.fail(f"never came true: {expression}; the page says: {self.text()[:2000]}")

    def text(self) -> str:
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def wait_for_text(self, text: str) -> None:
        self.wait_for(f"document.body && document.body.innerText.includes({json.dumps(text)})")

    def screenshot(self, path: Path) -> None:
        picture = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(picture["data"]))

    def _notice(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(given["exceptionDetails"])[:500])
        elif event.get("method") == "Runtime.consoleAPICalled" and given["type"] == "error":
            self.errors.append(str(given["args"])[:500])


@contextlib.contextmanager
def chromium(width: int = 1600, height: int = 1000) -> Iterator[Page]:
    """A tab of a browser that ends with the block."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options += ["--no-first-run", "--disable-background-networking", "--hide-scrollbars"]
        options += [f"--window-size={width},{height}", f"--user-data-dir={folder}"]
        options += ["--remote-debugging-port=0", "--remote-allow-origins=*", "about:blank"]
        process = subprocess.Popen(
            [CHROMIUM, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            address = _tab(Path(folder), process)
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                socket = loop.run_until_complete(_connected(address))
                page = Page(socket, loop)
                for domain in ("Page", "Runtime"):
                    page.call(f"{domain}.enable")
                yield page
                socket.close()
        finally:
            process.terminate()
            process.wait(timeout=30)


async def _connected(address: str) -> WebSocketClientConnection:
    return await websocket_connect(address, max_message_size=ANSWER_BYTES)


def _tab(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    """The address of the debugger of the first tab."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError, IndexError, StopIteration):
            port = (folder / "DevToolsActivePort").read_text().splitlines()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = json.load(answer)
            return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")
        assert process.poll() is None, "Chromium has ended"
        time.sleep(0.1)
    pytest.fail(f"no Chromium after {START_SECONDS} s")
