"""A headless Chromium driven over WebDriver's HTTP interface, with nothing but the stdlib."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Browser:
    """One session: open a file, run a script in it, read what it complained about."""

    def __init__(self, address: str, profile: str) -> None:
        self._address = address
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{made['sessionId']}"

    def open(self, page: Path) -> None:
        """Open a file and wait until it is loaded; what was logged before is dropped."""
        self._log("browser")
        self._log("performance")
        self._call("POST", self._session + "/url", {"url": page.resolve().as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """Run a function body in the page and return what it returns."""
        body = {"script": script, "args": list(arguments)}
        return self._call("POST", self._session + "/execute/sync", body)

    def until(self, script: str) -> bool:
        """Run a script until it returns true, five seconds at most; whether it did."""
        end = time.monotonic() + 5
        while not (held := bool(self.run(script))) and time.monotonic() < end:
            time.sleep(0.05)
        return held

    def press(self, *keys: str) -> None:
        r"""Press keys one after the other, as a person does; WebDriver's names for those without a
        character (``\ue00c`` is Escape, ``\ue014`` the right arrow).
        """
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}
        self._call("POST", self._session + "/actions", body)

    def download_to(self, folder: Path) -> None:
        """Keep what pages let people download in a folder, without asking."""
        self._cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    @contextlib.contextmanager
    def another_window(self) -> Iterator[None]:
        """A second window beside the first, which stays as it is; closed at the end."""
        first = self._call("GET", self._session + "/window")
        made = self._call("POST", self._session + "/window/new", {"type": "tab"})
        self._call("POST", self._session + "/window", {"handle": made["handle"]})
        try:
            yield
        finally:
            self._call("DELETE", self._session + "/window")
            self._call("POST", self._session + "/window", {"handle": first})

    @contextlib.contextmanager
    def before_pages(self, script: str) -> Iterator[None]:
        """Run a script in every page before the page's own."""
        made = self._cdp("Page.addScriptToEvaluateOnNewDocument", source=script)
        try:
            yield
        finally:
            self._cdp("Page.removeScriptToEvaluateOnNewDocument", **made)

    def picture(self, width: int, height: int) -> bytes:
        """A picture of the window, as PNG."""
        self._call("POST", self._session + "/window/rect", {"width": width, "height": height})
        encoded: str = self._call("GET", self._session + "/screenshot")
        return base64.b64decode(encoded)

    def emulate(self, scheme: str) -> None:
        """Prefer a light or a dark page."""
        feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self._cdp("Emulation.setEmulatedMedia", **feature)

    def complaints(self) -> list[str]:
        """Console messages: errors, blocked content."""
        return [entry["message"] for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """Addresses that the opened page asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
            # Chromium's own new-tab page may still be loading its parts when a page is opened.
            and not event["params"]["documentURL"].startswith(("chrome://", "chrome-untrusted://"))
        ]

    def close(self) -> None:
        """End the session and its browser."""
        self._call("DELETE", self._session)

    def _cdp(self, command: str, **parameters: object) -> Any:
        body = {"cmd": command, "params": parameters}
        return self._call("POST", self._session + "/goog/cdp/execute", body)

    def _log(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("POST", self._session + "/se/log", {"type": kind})
        return found

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium with an empty profile and its driver on a free port; end both after use."""
    assert DRIVER is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        log = Path(profile) / "driver.log"
        with log.open("w") as out:
            driver = subprocess.Popen([DRIVER, "--port=0"], stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + 30
            while not (found := re.search(r"on port (\d+)\.", log.read_text())):
                if time.monotonic() > deadline or driver.poll() is not None:
                    raise RuntimeError(f"chromedriver did not start: {log.read_text()}")
                time.sleep(0.05)
            session = Browser(f"http://127.0.0.1:{found[1]}", f"{profile}/chromium")
            try:
                yield session
            finally:
                session.close()
        finally:
            driver.terminate()
            driver.wait(timeout=10)
