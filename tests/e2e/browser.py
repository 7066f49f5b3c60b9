"""Chromium without a window, driven over its DevTools protocol: Debian's package, where no browser can be downloaded.

with chromium() as browser:
    page = browser.open("http://127.0.0.1:8080/docs")
    page.run("document.title")
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import websocket

_LISTENING = re.compile(r"DevTools listening on ws://([^/]+)/")


def found() -> str | None:
    """Where Chromium is on this machine; None where it isn't."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page:
    """A tab. What it complains about (console, exceptions, blocked resources) is collected."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.complaints: list[str] = []
        self.requested: list[str] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            self._noted(message)
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    def run(self, expression: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, expression: str, seconds: float = 20) -> Any:
        """The value of an expression once it is true."""
        until = time.monotonic() + seconds
        while not (value := self.run(expression)):
            assert time.monotonic() < until, f"never came true: {expression}"
            time.sleep(0.02)
        return value

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press and release a key; 2 is Ctrl."""
        for kind in ("keyDown", "keyUp"):
            code = {"Enter": 13, "Tab": 9}[key]
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, modifiers=modifiers)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def screenshot(self, file: Path) -> None:
        """Write a picture of the whole page."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def _noted(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif message.get("method") == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(params["entry"]["text"])
        elif message.get("method") == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])


class Browser:
    """A running Chromium."""

    def __init__(self, address: str) -> None:
        self._address = address

    @contextmanager
    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Page]:
        """A tab with a page that has loaded."""
        tab = httpx.put(f"http://{self._address}/json/new?about:blank", trust_env=False).json()
        socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=30, suppress_origin=True, http_no_proxy=["*"])
        try:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log", "Network"):
                page.call(f"{domain}.enable")
            page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
            features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            page.call("Emulation.setEmulatedMedia", features=features)
            page.call("Page.navigate", url=url)
            page.wait("document.readyState === 'complete' && location.href !== 'about:blank'")
            yield page
        finally:
            socket.close()
            httpx.get(f"http://{self._address}/json/close/{tab['id']}", trust_env=False)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium with a profile of its own, ended with the block."""
    executable = found()
    assert executable is not None, "chromium is not installed: apt-get install chromium"
    with tempfile.TemporaryDirectory(prefix="deployer-chromium-", ignore_cleanup_errors=True) as profile:
        command = [executable, "--headless=new", "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}"]
        command += ["--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-proxy-server"]
        if os.geteuid() == 0:
            command.append("--no-sandbox")  # Chromium refuses to run as root with it
        process = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            yield Browser(_listening(process))
        finally:
            process.terminate()
            process.communicate()


def _listening(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if match := _LISTENING.search(line):
            return match.group(1)
    raise AssertionError(f"chromium did not start: {''.join(lines)}")
