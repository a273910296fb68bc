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
        earlier = others_seconds()
        yield
        seconds = time.perf_counter() - began
        others = (
            sum(spent - earlier.get(who, 0.0) for who, spent in others_seconds().items()) / seconds
        )
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


def others_seconds() -> dict[tuple[int, float], float]:
    """Seconds worked by every process that is neither this one nor below it, and by the host.

    By process (its number and start); the host, which takes the processors away, is number 0. Not
    what is left of all that was worked: a browser's processes end without telling what they did.
    """
    me = psutil.Process()
    own = {me.pid, *(child.pid for child in me.children(recursive=True))}
    found = {(0, 0.0): float(psutil.cpu_times().steal)}
    for process in psutil.process_iter():
        if process.pid in own:
            continue
        try:
            times = process.cpu_times()
            found[process.pid, process.create_time()] = times.user + times.system
        except psutil.Error:
            continue  # it has ended, or is nobody's to look at
    return found
