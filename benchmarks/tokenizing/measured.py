"""What a measured program prints: seconds, and how much memory it took beyond what it had."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EVERY = 0.02
"""Seconds between looks at the memory."""


def private_bytes() -> int:
    """Resident memory that is no mapped file: files' pages go when others need the room."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status names no RssAnon.")


@contextmanager
def measured() -> Iterator[dict[str, Any]]:
    """Prints one JSON line at the block's end: what was put in, `seconds`, `peak`, `before`."""
    told: dict[str, Any] = {}
    before = peak = private_bytes()
    ended = threading.Event()

    def look() -> None:
        nonlocal peak
        while not ended.wait(EVERY):
            peak = max(peak, private_bytes())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    start = time.perf_counter()
    yield told
    seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    print(json.dumps({**told, "seconds": seconds, "before": before, "peak": peak}))
