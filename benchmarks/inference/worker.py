"""What every measured program shares: tasks come as JSON lines, figures go back as JSON lines.

Each peer runs in a process and a virtual environment of its own, so this file needs nothing but
the standard library. The parent (`run.py`) asks the workers in turn, one task at a time, so that
what disturbs the machine disturbs all of them alike.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Task = Callable[[dict[str, Any]], dict[str, Any]]


def serve(tasks: dict[str, Task], ready: dict[str, Any]) -> None:
    """Answers tasks from standard input until it closes; `ready` goes out first."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not disturb the answers
    print(json.dumps(ready), file=out, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = tasks[request.pop("task")](request)
        print(json.dumps(answer), file=out, flush=True)


def resident_bytes() -> dict[str, int]:
    """Memory of this process now: all of it, and the part that is no mapped file."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in {"VmRSS", "RssAnon", "RssFile", "VmHWM"}:
            found[name] = int(value.split()[0]) * 1024
    return found


def prompt_ids(length: int, salt: int, vocabulary: int = 49152) -> list[int]:
    """`length` token ids that no earlier prompt begins with (so that no cache helps)."""
    state = (salt * 2654435761 + 12345) % 2**32
    ids = []
    for _ in range(length):
        state = (state * 1664525 + 1013904223) % 2**32
        ids.append(100 + state % (vocabulary - 200))
    return ids


def clock() -> float:
    """Seconds that only go forward."""
    return time.perf_counter()
