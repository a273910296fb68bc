"""How far a pull is: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kataribe.cli.output import note, printable, size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from kataribe.run.catalog.sources import PullProgress

_STEP = 0.25
"""In a log, a line for each such part of the whole."""

_WORDS = {
    "waiting": "Waiting for another program that fetches",
    "downloading": "Fetching",
    "checking": "Checking",
    "copying": "Copying",
}


class PullBar:
    """Called with each `PullProgress`, between `with` and its end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._told: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        return self

    def __call__(self, progress: PullProgress) -> None:
        """Shows it."""
        if self._bar is not None:
            self._draw(self._bar, progress)
            return
        share = progress.done / progress.total if progress.total else 0.0
        step = (progress.stage, int(share / _STEP))
        if step != self._told:
            self._told = step
            total = f" of {size(progress.total)}" if progress.total else ""
            done = f": {size(progress.done)}{total}" if progress.stage != "waiting" else ""
            note(f"{_WORDS[progress.stage]} {self._name}{done}")

    def _draw(self, bar: Progress, progress: PullProgress) -> None:
        words = f"{_WORDS[progress.stage]} {printable(self._name)}"
        if self._task is None:
            self._task = bar.add_task(words)
        bar.update(self._task, description=words, completed=progress.done, total=progress.total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
