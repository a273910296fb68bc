"""A training that goes on for some steps whenever it is asked to, and says how long they took.

So several programs take turns, though each compiles and warms up but once. Needs nothing but the
standard library: peers run in environments of their own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


class Turns:
    """Speaks with the parent as `worker.serve` does, from inside of a training.

    `{"task": "train", "steps": 3}` is answered after so many calls of `stepped` with the seconds
    from the question to the last of them. The end of the input ends the program.
    """

    def __init__(self, ready: dict[str, Any]) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # what a library prints must not disturb the answers
        self._answer(ready)
        self._steps = self._left = 0
        self._began = 0.0
        self._wait()

    def stepped(self) -> None:
        """A step has ended."""
        self._left -= 1
        if self._left == 0:
            taken = time.perf_counter() - self._began
            self._answer({"seconds": taken, "steps": self._steps})
            self._wait()

    def _wait(self) -> None:
        line = sys.stdin.readline()
        if not line:
            sys.stderr.flush()
            os._exit(0)  # a training has no end of its own here, and nothing to tidy up
        self._steps = self._left = int(json.loads(line)["steps"])
        self._began = time.perf_counter()

    def _answer(self, told: dict[str, Any]) -> None:
        print(json.dumps(told), file=self._out, flush=True)
