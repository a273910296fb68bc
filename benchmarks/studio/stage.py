"""What is measured on: a server as a process of its own, and Chromium in front of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

SIZE = {"width": 1280, "height": 800}
PROBE = (Path(__file__).parent / "probe.js").read_text(encoding="utf-8")
ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)
PATIENCE = 60.0
"""Seconds; whatever takes longer has failed."""


class Server:
    """A server over a scripted model on one folder. `notes` are what its model has told so far."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.studio.server", str(folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"The server on {folder} ended with {self.process.wait()}.")
        self.notes: list[dict[str, Any]] = []
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._came:
                self.notes.append(json.loads(line))
                self._came.notify_all()

    def note(self, what: str, after: int, patience: float = PATIENCE) -> dict[str, Any]:
        """The first note of this kind behind the first `after` notes; waits for it."""

        def found() -> dict[str, Any] | None:
            return next((note for note in self.notes[after:] if note["what"] == what), None)

        with self._came:
            if not self._came.wait_for(lambda: found() is not None, patience):
                raise TimeoutError(f"The model told of no `{what}` in {patience:g} s.")
        note = found()
        assert note is not None
        return note

    def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        self.process.kill()
        self._ended()

    def stop(self) -> None:
        """Ends it in order."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._ended()

    def _ended(self) -> None:
        self.process.wait()
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server, as long as the context lasts."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise SystemExit("Chromium is missing; `make system` installs it (apt-get install).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(CHROMIUM))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visitor(
    browser: Browser, server: Server, marker: str = "", elsewhere: list[str] | None = None
) -> Iterator[Page]:
    """A page of somebody who was never here; it notes when it shows `marker` (see probe.js).

    Addresses of other servers that it asks for are put into `elsewhere`.
    """
    context: BrowserContext = browser.new_context(locale="en-US", viewport=SIZE)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE * 1000)
    context.add_init_script(f"window.benchMarker = {json.dumps(marker)};\n{PROBE}")
    if elsewhere is not None:

        def look(url: str) -> None:
            if not url.startswith((server.url, "data:", "blob:")):
                elsewhere.append(url)

        context.on("request", lambda request: look(request.url))
    try:
        yield context.new_page()
    finally:
        context.close()


def number(page: Page, expression: str, patience: float = PATIENCE) -> float:
    """Waits until an expression in the page is a number, and gives it.

    Asked seldom: the answers take time from what is measured.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = page.evaluate(expression)
        if value is not None:
            return float(value)
        time.sleep(0.1)
    raise TimeoutError(f"{expression} was nothing for {patience:g} s at {page.url}.")


def settled(page: Page, quiet: float = 0.5, patience: float = 15.0) -> None:
    """Waits until nothing was loaded for `quiet` seconds. The stream of news never ends loading."""
    end, since, known = time.monotonic() + patience, time.monotonic(), -1
    while time.monotonic() < min(end, since + quiet):
        count = page.evaluate("performance.getEntriesByType('resource').length")
        if count != known:
            since, known = time.monotonic(), count
        time.sleep(0.1)


def clock(page: Page) -> tuple[float, float]:
    """(seconds to add to the page's own clock for the monotonic one, how wrong at most).

    The quickest of some questions says most: its answer came between two looks at the clock.
    """
    best: tuple[float, float] | None = None
    for _ in range(40):
        before = time.monotonic()
        inside = float(page.evaluate("performance.now()")) / 1000
        after = time.monotonic()
        if best is None or (after - before) / 2 < best[1]:
            best = ((before + after) / 2 - inside, (after - before) / 2)
    assert best is not None
    return best
