"""Messages typed or pasted at a terminal, or read line by line from a pipe."""

from __future__ import annotations

import sys

from kataribe.cli.given import decode

FENCE = '"""'


def read_message(prompt: str) -> str | None:
    """The next message; None at the end of the input. `//` at its start stands for `/`.

    A message is a line, what is pasted at once, or the lines between two lines of three quotation
    marks. Raises `KeyboardInterrupt` when the person pressed Ctrl-C.
    """
    line = _read_line(prompt)
    if line is None:
        return None
    if line.strip() != FENCE:
        return line
    lines: list[str] = []
    while (line := _read_line("... " if prompt else "")) is not None and line.strip() != FENCE:
        lines.append(line)
    return "\n".join(lines)


def _read_line(prompt: str) -> str | None:
    if sys.stdin is None or sys.stdin.closed:
        return None
    if not sys.stdin.isatty():
        raw = sys.stdin.buffer.readline()
        return decode(raw, "Standard input").rstrip("\r\n") if raw else None
    _prepare_editing()
    try:
        return input(prompt)
    except EOFError:
        sys.stderr.write("\n")
        return None


def _prepare_editing() -> None:
    """Line editing with history; what is pasted arrives whole, its line breaks included."""
    try:
        import readline
    except ImportError:  # a Python without it still reads plain lines
        return
    readline.parse_and_bind("set enable-bracketed-paste on")
