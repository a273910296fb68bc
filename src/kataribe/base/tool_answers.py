"""Answers of tools as text for a model: bounded, readable, and honest about what was left out."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pydantic import BaseModel

MOST_CHARACTERS = 20_000
"""Of one answer, as long as nobody says otherwise; about 5,000 tokens of English."""
_LOOKED_AT = 4096
_READABLE = frozenset("\t\n\r\x0b\x0c\x1b")


def as_text(value: object) -> str:
    """A tool's answer in words: text as it is, everything else as JSON where it can be."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return _binary(len(value), "bytes")
    if value is None:
        return "done"
    try:
        return json.dumps(_plain(value), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def _plain(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    return value


def cut_answer(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text, or where it is too long or no text at all, words that say so.

    Of a long text the beginning and the end are kept, with a line between that counts what is
    missing.
    """
    head = text[:_LOOKED_AT]
    odd = sum(1 for letter in head if (letter < " " and letter not in _READABLE) or letter == "�")
    if "\0" in head or odd > len(head) // 10:
        return _binary(len(text), "characters")
    # Half of a pair of UTF-16 has no bytes in UTF-8 and would break whoever writes it.
    if len(text) <= most:
        return text.encode("utf-8", "replace").decode("utf-8")
    first = most * 3 // 4
    last = most - first
    left_out = len(text) - most
    kept = (
        f"{text[:first]}\n[{left_out:,} of {len(text):,} characters left out here. Ask for a "
        f"smaller part to see them.]\n{text[len(text) - last :]}"
    )
    return kept.encode("utf-8", "replace").decode("utf-8")


def _binary(size: int, unit: str) -> str:
    return f"[The answer is binary data, {size:,} {unit}. It is not shown; ask for text.]"
