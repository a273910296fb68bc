"""What was measured so far, on the disk the moment it exists."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.inference.machine import Watch, facts

Rates = dict[str, dict[str, list[float]]]
"""Line -> program -> one figure per round."""


def write(path: Path, text: str) -> None:
    """Replaces a file at once, so that a run that is cut off leaves no half of one."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


class Record:
    """All figures of a run, written as JSON after each and as a report after each round.

    Args:
        target: Path of the report; the figures lie beside it as `.json`.
        render: Makes the report from `data`.
        told: Facts about the run itself, such as its rounds.
        unit: What speeds are counted in.
        goes_on: Takes up the figures of an earlier run of the same facts that was cut off.
    """

    def __init__(
        self,
        target: Path,
        render: Callable[[dict[str, Any]], str],
        told: dict[str, Any],
        unit: str = "tokens/s",
        *,
        goes_on: bool = False,
    ) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self.target, self.render, self.unit = target, render, unit
        self.begun = time.monotonic()
        self.data: dict[str, Any] = {
            "begun": time.strftime("%Y-%m-%d %H:%M:%S"),
            "run": told,
            "machine": facts(),
            "versions": {},
            "rounds": [],
            "trials": {},
            "figures": {},
            "runs": {},
        }
        kept = target.with_suffix(".json")
        if goes_on and kept.exists():
            earlier = json.loads(kept.read_text(encoding="utf-8"))
            if earlier["run"] == told:
                earlier["begun"] += f", went on {self.data['begun']}"
                self.data = earlier

    def say(self, text: str) -> None:
        """Prints, with the seconds since the start."""
        print(f"{time.monotonic() - self.begun:6.0f} s  {text}", flush=True)

    def save(self) -> None:
        """Writes the figures."""
        write(self.target.with_suffix(".json"), json.dumps(self.data, indent=1))

    def rate(self, part: str, line: str, program: str, value: float) -> None:
        """Takes one speed; `part` is `trials` (thrown away) or `figures`."""
        self.data[part].setdefault(line, {}).setdefault(program, []).append(value)
        self.say(f"{line}: {program}: {value:.1f} {self.unit}{' (trial)' * (part == 'trials')}")
        self.save()

    def run(self, what: str, found: Any) -> None:
        """Takes one run's figures of a part that is no speed."""
        self.data["runs"].setdefault(what, []).append(found)
        self.say(f"{what}: {json.dumps(found)}")
        self.save()

    @contextmanager
    def round(self, part: str, pids: Iterable[int] = ()) -> Iterator[None]:
        """Notes the load before a round and what others computed during it, then reports."""
        watch = Watch(pids)
        yield
        told = {"part": part, "load_before": watch.load, "others": round(watch.others(), 2)}
        self.data["rounds"].append(told)
        self.say(f"end of a round: {told}")
        self.save()
        write(self.target, self.render(self.data) + "\n")
