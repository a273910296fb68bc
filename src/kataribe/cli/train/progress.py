"""One line on standard error that says how a training goes, while a person looks."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from kataribe.cli.output import note
from kataribe.cli.train.amounts import span
from kataribe.make.training.runs import steps_to_come

QUIET_SECONDS = 30.0
"""Between two lines where nobody looks (a file, a pipe)."""


class Line:
    """Loss, bits per byte, speed and time left: drawn over itself in a terminal."""

    def __init__(self, *, shown: bool) -> None:
        self._shown, self._terminal = shown, sys.stderr.isatty()
        self._plan: Mapping[str, Any] = {}
        self._bits = math.nan
        self._last = -math.inf
        self._drawn = False
        self._seen: tuple[float, float] | None = None

    def begin(self, plan: Mapping[str, Any]) -> None:
        """This run begins, or goes on."""
        self._plan = plan

    def tell(self, figures: Mapping[str, float]) -> None:
        """Figures of a step, as metrics.jsonl has them."""
        self._bits = figures.get("bits_per_byte", self._bits)
        now = time.monotonic()
        if self._seen is None:
            self._seen = figures["step"], figures["time"]
        wait = 0.1 if self._terminal else QUIET_SECONDS
        steps = figures.get("steps") or steps_to_come(self._plan, figures) or 0
        if not self._shown or (now - self._last < wait and figures["step"] != figures.get("steps")):
            return
        self._last = now
        words = self._words(figures, int(steps))
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{words}")
            sys.stderr.flush()
            self._drawn = True
        else:
            note(words)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            sys.stderr.write("\n")

    def _words(self, figures: Mapping[str, float], steps: int) -> str:
        parts = [
            f"step {figures['step']:.0f}/{steps}",
            f"loss {figures['loss']:.3f}",
            f"{figures['tokens_per_second']:,.0f} tokens/s",
        ]
        if math.isfinite(self._bits):
            parts.insert(2, f"{self._bits:.3f} bits/byte")
        assert self._seen is not None
        done = figures["step"] - self._seen[0]
        if done:
            each = (figures["time"] - self._seen[1]) / done
            parts.append(f"{span(each * (steps - figures['step']))} left")
        return "  ".join(parts)
