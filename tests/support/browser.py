"""Chromium without a window, through its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import websocket

DEADLINE_SECS = 90
_FLAGS = [
    "--headless",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
]


def find_chromium():
    """Returns the path of a Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


class Page:
    """One page.

    Attributes:
      errors: What the console and the runtime have complained of.
    """

    def __init__(self, url):
        self._socket = websocket.create_connection(
            url, timeout=DEADLINE_SECS, suppress_origin=True
        )
        self._numbers = itertools.count(1)
        self.errors = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """Returns the result of a command."""
        number = next(self._numbers)
        self._socket.send(
            json.dumps({"id": number, "method": method, "params": params})
        )
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._note(message)

    def _note(self, message):
        params = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:2000])
        elif message["method"] == "Log.entryAdded":
            entry = params["entry"]
            if entry["level"] == "error":
                self.errors.append(f"{entry['text']} {entry.get('url')}")
        elif (
            message["method"] == "Runtime.consoleAPICalled"
            and params["type"] == "error"
        ):
            self.errors.append(json.dumps(params["args"])[:2000])

    def open(self, url, width=1280, height=1100):
        self.resize(width, height)
        self.call("Page.navigate", url=url)

    def resize(self, width=1280, height=1100):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def evaluate(self, code, context=None):
        """Returns the JSON value of an expression or a promise of one.

        Args:
          code: The expression.
          context: Id of the execution context; None: of the page.
        """
        result = self.call(
            "Runtime.evaluate",
            expression=code,
            **({} if context is None else {"contextId": context}),
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in result, (code, result)
        return result["result"].get("value")

    def wait_for(self, code):
        """Returns the first true value of an expression."""
        deadline = time.monotonic() + DEADLINE_SECS
        while True:
            with contextlib.suppress(AssertionError):
                value = self.evaluate(code)
                if value:
                    return value
            assert time.monotonic() < deadline, f"{code}; {self.errors}"
            time.sleep(0.05)

    def press(self, key, text=None):
        more = {} if text is None else {"text": text}
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, **more
            )

    def tap(self, x, y):
        """Touches a point of the window with a finger."""
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        for kind, points in (
            ("touchStart", [{"x": x, "y": y}]),
            ("touchEnd", []),
        ):
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.call("Emulation.setTouchEmulationEnabled", enabled=False)

    def screenshot(self, path, **clip):
        params = {"format": "png"}
        if clip:
            params["clip"] = {"scale": 1, **clip}
        data = self.call("Page.captureScreenshot", **params)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self._socket.close()


@contextlib.contextmanager
def browser():
    """A running Chromium; gives a function that opens a new page."""
    with contextlib.ExitStack() as stack:
        profile = tempfile.mkdtemp()
        # A process of Chromium may still write there.
        stack.callback(shutil.rmtree, profile, ignore_errors=True)
        process = subprocess.Popen(
            [
                find_chromium(),
                *_FLAGS,
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        pages = []
        try:
            port = _port_of(process, Path(profile, "DevToolsActivePort"))

            def new_page():
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/json/new", method="PUT"
                )
                with urllib.request.urlopen(request, timeout=60) as answer:
                    target = json.load(answer)
                pages.append(Page(target["webSocketDebuggerUrl"]))
                return pages[-1]

            yield new_page
        finally:
            for page in pages:
                page.close()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _port_of(process, path):
    deadline = time.monotonic() + DEADLINE_SECS
    while True:
        with contextlib.suppress(OSError, IndexError, ValueError):
            return int(path.read_text().splitlines()[0])
        assert process.poll() is None, "Chromium has ended"
        assert time.monotonic() < deadline, "Chromium does not answer"
        time.sleep(0.05)
