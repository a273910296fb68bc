"""What a command was given in words: its arguments, and what is piped into it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kataribe.base.errors import InputError

MOST_PIPED = 64 * 1024 * 1024
"""Bytes taken from a pipe; more than any context holds, and less than memory."""


def prompt_text(words: Sequence[str]) -> str:
    """The question from the arguments, and below it the text that was piped in."""
    question = check_text(" ".join(words), "The question")
    piped = piped_text()
    if not question.strip() and not piped.strip():
        raise InputError(
            'Nothing was asked. Write the question (kataribe ask "Why is the sky blue?") '
            "or pipe a text in."
        )
    return "\n\n".join(part for part in (question, piped) if part.strip())


def piped_text() -> str:
    """Everything on standard input, unless a person sits there; '' when there is nothing."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return ""
    raw = sys.stdin.buffer.read(MOST_PIPED + 1)
    if len(raw) > MOST_PIPED:
        raise InputError(
            f"Standard input is longer than {MOST_PIPED // 2**20} MiB. Pipe in a part of it "
            "(head -c, for example)."
        )
    return decode(raw, "Standard input")


def decode(raw: bytes, what: str) -> str:
    """Bytes as UTF-8 text, a byte order mark left out; `InputError` names the byte that is not."""
    try:
        return raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what} is not UTF-8 text (byte 0x{raw[error.start]:02x} at {error.start}: "
            f"{error.reason}). Convert it first, for example with iconv -f SHIFT_JIS -t UTF-8."
        ) from None


def check_text(text: str, what: str) -> str:
    """The text itself, if it can be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} is not valid text: character {error.start + 1} is half of a pair or a byte "
            "that is not UTF-8. Check the terminal's encoding (LANG)."
        ) from None
    return text
