"""How far a corpus is: a line that changes in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kataribe.cli.output import note, printable, size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from kataribe.make.text import CorpusProgress

_LOG_SECONDS = 10.0
_WORDS = {
    "fetching": "Fetching",
    "reading": "Reading",
    "comparing": "Comparing for duplicates",
    "writing": "Writing",
    "checking": "Checking for leaks",
}


class CorpusBar:
    """Called with each `CorpusProgress`, between `with` and its end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._began = self._told = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(f"Making {printable(self._name)}", total=None)
        return self

    def __call__(self, progress: CorpusProgress) -> None:
        """Shows it."""
        now = time.monotonic()
        if progress.stage != self._stage and progress.stage == "reading":
            self._began = now
        fresh = progress.stage != self._stage
        self._stage = progress.stage
        words = self._line(progress, now)
        if self._bar is not None and self._task is not None:
            total = progress.total if progress.stage == "reading" and progress.total else None
            self._bar.update(self._task, description=words, completed=progress.done, total=total)
        elif fresh or now - self._told >= _LOG_SECONDS:
            self._told = now
            note(_WORDS[progress.stage] if fresh and progress.documents else words)

    def _line(self, progress: CorpusProgress, now: float) -> str:
        words = _WORDS[progress.stage]
        if progress.stage == "fetching":
            return f"{words} {printable(progress.words.removeprefix('Fetching '))}"
        if progress.stage != "reading" or not progress.documents:
            return words
        seconds = max(now - self._began, 1e-3)
        return (
            f"{words}: {progress.documents:,} documents, {progress.kept:,} kept, "
            f"{size(progress.bytes)}, {size(progress.bytes / seconds)}/s"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
