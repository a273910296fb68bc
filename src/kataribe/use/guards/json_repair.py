"""Mends JSON where only one mending is possible; whatever would need a guess is left alone.

Certain are: a code fence or prose around one value, trailing commas, Python's True, False and None,
raw line breaks inside strings, and closing brackets that are missing at the end. A text that ends
inside a string or a number is not mended: nobody knows how it goes on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_FENCE = re.compile(r"```[a-zA-Z0-9]*[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_WORDS = {"True": "true", "False": "false", "None": "null"}
_CLOSING = {"{": "}", "[": "]"}
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_TOKEN = re.compile(r"[A-Za-z_]+|-?\d[\d.eE+-]*")


def parsed(text: str) -> tuple[bool, Any]:
    """Whether a text is JSON, and its value. NaN and infinities are no JSON (RFC 8259)."""
    try:
        return True, json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False, None


def mended(text: str) -> str | None:
    """The JSON that a text was certainly meant to be; None where that is not certain."""
    for part in _parts(text):
        if parsed(part)[0]:
            return part
        made = _Mender(part).mend()
        if made is not None and parsed(made)[0]:
            return made
    return None


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _parts(text: str) -> list[str]:
    """The one part of a text that may be JSON, as far as its surroundings tell."""
    whole = text.strip().lstrip("\ufeff").strip()
    fences = _FENCE.findall(whole)
    if len(fences) == 1:
        return [fences[0].strip()]
    if fences:
        return []
    if whole[:1] in ("{", "["):
        return [whole, *_before_prose(whole)]
    starts = [at for at in (whole.find("{"), whole.find("[")) if at >= 0]
    if not starts:
        return [whole]
    rest = whole[min(starts) :]
    return [rest, *_before_prose(rest)]


def _before_prose(text: str) -> list[str]:
    """A value without the words behind it, where no second value follows."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return []
    return [] if re.search(r"[{}\[\]]", text[end:]) else [text[:end]]


@dataclass
class _Mender:
    """Copies JSON token by token and puts right what can only be meant in one way."""

    text: str
    out: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def mend(self) -> str | None:
        at = 0
        while at < len(self.text):
            character = self.text[at]
            if character == '"':
                end = self._string(at)
                if end is None:
                    return None
                at = end
            elif character in "}]":
                if not self.open or _CLOSING[self.open.pop()] != character:
                    return None
                self._drop_comma()
                self.out.append(character)
                at += 1
            elif word := _TOKEN.match(self.text, at):
                known = word[0] in _WORDS or word[0] in _WORDS.values()
                if word.end() == len(self.text) and self.open and not known:
                    return None  # a number, or a word, that may go on
                self.out.append(_WORDS.get(word[0], word[0]))
                at = word.end()
            else:
                if character in "{[":
                    self.open.append(character)
                self.out.append(character)
                at += 1
        return self._closed()

    def _string(self, start: int) -> int | None:
        """Copies a string; None where it has no end."""
        self.out.append('"')
        at = start + 1
        while at < len(self.text):
            character = self.text[at]
            if character == "\\" and at + 1 < len(self.text):
                self.out.append(self.text[at : at + 2])
                at += 2
                continue
            if character == '"':
                self.out.append('"')
                return at + 1
            self.out.append(_ESCAPES.get(character, character))
            at += 1
        return None

    def _drop_comma(self) -> None:
        """Takes a comma before a closing bracket away."""
        place = len(self.out) - 1
        while place >= 0 and self.out[place].isspace():
            place -= 1
        if place >= 0 and self.out[place] == ",":
            del self.out[place]

    def _closed(self) -> str | None:
        while self.out and self.out[-1].isspace():
            self.out.pop()
        if self.out and self.out[-1] == ":":
            return None  # a value is missing
        while self.open:
            self._drop_comma()
            self.out.append(_CLOSING[self.open.pop()])
        return "".join(self.out)
