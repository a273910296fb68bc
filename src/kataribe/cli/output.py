"""What goes to a terminal or down a pipe: words to standard output, notes to standard error."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeGuard

if TYPE_CHECKING:
    from rich.status import Status

# Control characters that could move the cursor or recolour the screen: all but tab and newline.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if code not in (9, 10)}


def printable(text: str) -> str:
    """The text without characters that would steer a terminal: a model must not do that."""
    return text.translate(_CONTROLS)


def say(text: str, *, end: str = "\n") -> None:
    """Writes to standard output at once."""
    sys.stdout.write((printable(text) if sys.stdout.isatty() else text) + end)
    sys.stdout.flush()


def is_full(error: Exception) -> TypeGuard[OSError]:
    """Whether standard output goes to a disk that takes no more; other files say it themselves."""
    full = (errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))
    return isinstance(error, OSError) and error.errno in full and error.filename is None


def note(text: str) -> None:
    """Writes a line for people to standard error."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def dim(text: str) -> None:
    """Writes a line of lesser weight to standard error: grey in a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\x1b[2m{printable(text)}\x1b[0m\n")
        sys.stderr.flush()
    else:
        note(text)


def emit_json(value: Any) -> None:
    """Writes one JSON document to standard output."""
    say(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Prints rows in columns: with lines and colours in a terminal, tab-separated down a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            say("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(drawn)


def size(count: float) -> str:
    """Bytes as people say them: 98.4 MB."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


class Waiting:
    """A line on standard error that says what is waited for, while a person looks; else nothing."""

    def __init__(self) -> None:
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def show(self, text: str) -> None:
        """Puts the line there, or changes it."""
        if not sys.stderr.isatty():
            return
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status("", spinner="dots")
            self._status.start()
        self._status.update(text)

    def clear(self) -> None:
        """Takes the line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()
