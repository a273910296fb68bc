"""What was measured so far, on the disk the moment it exists."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks.inference.record import Record as Basis
from benchmarks.inference.record import write
from benchmarks.studio.figures import LINES, Figures
from benchmarks.studio.report import amount


class Record(Basis):
    """The figures of a run by the keys of `LINES`; beside them lines of text, by their heading."""

    def take(self, key: str, values: Sequence[float], said: str = "") -> None:
        """Takes all values of a line."""
        self.data["figures"][key] = {"values": [round(value, 3) for value in values], "said": said}
        found = Figures(LINES[key], values)
        unit = found.line.unit
        shown = f"{amount(found.judged, unit)} {found.verdict()}" if values else "nothing"
        self.say(f"{found.line.name}: {shown} of {len(values)}; {said}")
        self.save()

    def remark(self, heading: str, line: str) -> None:
        """Takes something that is said below the table."""
        self.data["runs"].setdefault(heading, []).append(line)
        self.say(f"{heading}: {line}")
        self.save()

    @contextmanager
    def round(self, part: str, pids: Any = ()) -> Iterator[None]:
        """Notes the load around a part and what others computed meanwhile, then reports.

        Whatever this process has started counts as its own, a browser's many processes too; `pids`
        are not needed.
        """
        del pids
        before, began = os.getloadavg()[0], time.perf_counter()
        busy, own = busy_seconds(), own_seconds()
        yield
        seconds = time.perf_counter() - began
        others = max(0.0, (busy_seconds() - busy) - (own_seconds() - own)) / seconds
        told = {
            "part": part,
            "seconds": round(seconds),
            "load_before": before,
            "load_after": os.getloadavg()[0],
            "others": round(others, 2),
        }
        self.data["rounds"].append(told)
        self.say(f"end of a part: {told}")
        self.save()
        write(self.target, self.render(self.data) + "\n")


def busy_seconds() -> float:
    """Seconds that all processors worked since the start, and what the host took of them."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def own_seconds() -> float:
    """Seconds that this process and all below it have worked, ended ones included."""
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
