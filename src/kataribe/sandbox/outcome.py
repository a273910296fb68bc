"""What came of a run in the sandbox: plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Ending: TypeAlias = Literal[
    "done",  # it ran to its end
    "error",  # it raised; the traceback is in `error`
    "cpu",  # stopped: cpu_seconds
    "wall",  # stopped: wall_seconds
    "memory",  # it asked for more than memory_bytes
    "file",  # it wrote a file beyond file_bytes
    "folder",  # stopped: folder_bytes
    "files",  # stopped: files
    "output",  # stopped: output_bytes
    "crash",  # the process ended by itself: exit, a signal, a fault in native code
    "protocol",  # stopped: it wrote nonsense into the pipe of replies
    "cancelled",  # stopped by whoever asked
]

SURVIVED: tuple[Ending, ...] = ("done", "error", "memory", "file")
"""Endings after which the session goes on with its state; after others the process is gone."""


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that a run made or changed: its path below the folder, `/` between parts."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one run.

    Everything in it was written by the sandboxed program and is not to be trusted.

    Attributes:
        ended: How.
        stdout: What it printed, up to `output_bytes`; what is no UTF-8 is replaced.
        stderr: The same of standard error.
        value: `repr` of the last expression; None where there was none or it was None.
        error: The traceback, when it raised.
        files: Made or changed by this run, in order of their paths.
        detail: One line for people: which limit, how much.
        cpu_seconds: Processor time that it took.
        wall_seconds: Time by the clock.
        begun_anew: The session had given its process up to another one, so that the variables of
            earlier runs were gone; the files were there.
    """

    ended: Ending
    stdout: str = ""
    stderr: str = ""
    value: str | None = None
    error: str | None = None
    files: tuple[MadeFile, ...] = ()
    detail: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    begun_anew: bool = False

    @property
    def state_is_kept(self) -> bool:
        """The session's variables are still there."""
        return self.ended in SURVIVED
