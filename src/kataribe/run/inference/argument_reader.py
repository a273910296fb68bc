"""Arguments as they arrive, piece by piece, and the JSON that they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

from kataribe.run.inference.argument_schemas import ArgumentSchema, looks_like
from kataribe.run.inference.notations import Notation

BLANKS = " \t\r\n"
"""What may stand around markers. Other spaces, such as U+3000, belong to the text."""

_WORD = re.compile(r"[-+.0-9A-Za-z_]*")

_Steps = Generator[None, None, None]
"""Reads on whenever it is asked; each `yield` says that more text is needed."""


class ArgumentReader(Protocol):
    """Reads the arguments of one call."""

    def push(self, text: str) -> tuple[str, str | None]:
        """The JSON that is certain by now, and what follows the arguments once they have ended."""
        ...

    def finish(self) -> str:
        """The JSON of what was held back, when the reply ends inside the arguments."""
        ...


def argument_reader(notation: Notation | None, schema: Mapping[str, Any]) -> ArgumentReader:
    """A reader for arguments of this schema; without a notation they are JSON themselves."""
    return JsonReader() if notation is None else NotationReader(notation, schema)


class JsonReader:
    """Passes a JSON value on and finds where it ends."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._in_word = False

    def push(self, text: str) -> tuple[str, str | None]:
        """The next piece of the value, and what follows it once it has ended."""
        end = self._end(text)
        return (text, None) if end is None else (text[:end], text[end:])

    def finish(self) -> str:
        """Nothing: all was passed on."""
        return ""

    def _end(self, text: str) -> int | None:
        for at, character in enumerate(text):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif character == "\\":
                    self._escaped = True
                elif character == '"':
                    self._in_string = False
                    if self._depth == 0:
                        return at + 1
            elif self._in_word and not _WORD.fullmatch(character):
                return at
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return at + 1
            elif self._depth == 0 and character not in BLANKS:
                self._in_word = True
        return None


class NotationReader:
    """Turns arguments in another notation into JSON, as they come.

    Args:
        notation: How they are written.
        schema: Tells bare strings from JSON.
    """

    def __init__(self, notation: Notation, schema: Mapping[str, Any]) -> None:
        self._notation = notation
        self._schema = ArgumentSchema(schema)
        self._fields = self._schema.fields
        self._held = ""
        self._out: list[str] = []
        self._is_last = False
        self._steps = self._arguments()

    def push(self, text: str) -> tuple[str, str | None]:
        """The JSON that is certain by now, and what follows the arguments once they have ended."""
        self._held += text
        ended = next(self._steps, self) is self
        told = "".join(self._out)
        self._out.clear()
        return told, self._held if ended else None

    def finish(self) -> str:
        """The JSON of what was held back, when the reply ends inside the arguments."""
        self._is_last = True
        return self.push("")[0]

    def _arguments(self) -> _Steps:
        told = self._notation
        self._out.append("{")
        is_first = True
        while True:
            opening = told.key_open if is_first else told.separator + told.key_open
            found = yield from self._one_of([told.end, opening])
            if found == told.end:
                self._out.append("}")
                return
            name = (yield from self._take(told.key_close)) if found is not None else None
            if name is None:
                return
            self._out.append(("" if is_first else ", ") + _string(name) + ": ")
            is_first = False
            is_read = yield from (self._bare(name) if told.bare else self._value())
            if not is_read:
                return

    def _one_of(self, texts: Sequence[str]) -> Generator[None, None, str | None]:
        """Which of the texts comes next, the longest that fits; None for another."""
        while True:
            found, may_grow = first_of(self._held, texts)
            if not may_grow:
                break
            if self._is_last:
                return None
            yield
        if found is not None:
            self._held = self._held[len(found) :]
        return found

    def _take(self, mark: str) -> Generator[None, None, str | None]:
        """The text before `mark`, which is passed over; None where no mark comes any more."""
        while mark not in self._held:
            if self._is_last:
                return None
            yield
        text, _, self._held = self._held.partition(mark)
        return text

    def _stream(self, mark: str) -> Generator[None, None, bool]:
        """Passes a string on up to `mark`; whether the mark came."""
        self._out.append('"')
        while mark not in self._held:
            keep = 0 if self._is_last else partial(self._held, [mark])
            sure = self._held[: len(self._held) - keep]
            self._out.append(_string(sure)[1:-1])
            self._held = self._held[len(sure) :]
            if self._is_last:
                return False
            yield
        text, _, self._held = self._held.partition(mark)
        self._out.append(_string(text)[1:-1] + '"')
        return True

    def _bare(self, name: str) -> Generator[None, None, bool]:
        close = self._notation.value_close
        kinds = self._schema.kinds(self._fields.of(name))
        others = kinds - {"string"}
        if not others:
            return (yield from self._stream(close))
        while not self._held and not self._is_last:
            yield
        is_nested = self._held[:1] in [{"array": "[", "object": "{"}.get(kind) for kind in others]
        if "string" in kinds and not is_nested:
            text = yield from self._take(close)
            if text is None:  # the reply ended first: what there is counts as a string
                text, self._held = self._held, ""
                self._out.append(_string(text)[:-1])
                return False
            is_json = re.fullmatch(looks_like(others), text)
            self._out.append(text if is_json else _string(text))
            return True
        yield from self._json()
        return (yield from self._one_of([close])) is not None

    def _json(self) -> _Steps:
        reader = JsonReader()
        while True:
            piece, rest = reader.push(self._held)
            self._out.append(piece)
            self._held = rest or ""
            if rest is not None or self._is_last:
                return
            yield

    def _value(self) -> Generator[None, None, bool]:
        """One value of a notation that shows by itself what it is; whether it came to its end."""
        closers: list[str] = []
        while True:
            opener = yield from self._one_of(["[", "{", self._notation.quote, ""])
            if opener in ("[", "{"):
                assert opener is not None
                closers.append("]" if opener == "[" else "}")
                self._out.append(opener)
                if (yield from self._one_of([closers[-1], ""])) == "":
                    if not (yield from self._key(closers[-1])):
                        return False
                    continue
                self._out.append(closers.pop())
            elif opener is None or not (yield from self._scalar(opener)):
                return False
            while True:  # what may follow a value
                if not closers:
                    return True
                separator = self._notation.separator
                found = yield from self._one_of([closers[-1], separator])
                if found is None:
                    return False
                if found == separator:
                    self._out.append(", ")
                    if not (yield from self._key(closers[-1])):
                        return False
                    break
                self._out.append(closers.pop())

    def _key(self, closer: str) -> Generator[None, None, bool]:
        """The name in front of a value, where the value stands in an object."""
        if closer == "]":
            return True
        before, behind = self._notation.inner_key
        if (yield from self._one_of([before])) is None:
            return False
        name = yield from self._take(behind)
        if name is None:
            return False
        self._out.append((f'"{name}"' if before == '"' else _string(name)) + ": ")
        return True

    def _scalar(self, opener: str) -> Generator[None, None, bool]:
        if opener == '"':
            self._held = opener + self._held
            yield from self._json()
            return True
        if opener:
            return (yield from self._stream(opener))
        while len(_word(self._held)) == len(self._held) and not self._is_last:
            yield
        word = _word(self._held)
        self._held = self._held[len(word) :]
        known = {written: name for name, written in self._notation.words.items()}
        self._out.append(known.get(word, word))
        return bool(word)


def first_of(text: str, markers: Sequence[str]) -> tuple[str | None, bool]:
    """The longest marker that `text` begins with, and whether a longer one may still come."""
    found = max((mark for mark in markers if text.startswith(mark)), key=len, default=None)
    known = -1 if found is None else len(found)
    return found, any(len(mark) > known and mark.startswith(text) for mark in markers)


def partial(text: str, markers: Sequence[str]) -> int:
    """Length of the longest end of `text` that begins a marker."""
    longest = 0
    for marker in markers:
        for size in range(min(len(marker) - 1, len(text)), longest, -1):
            if text.endswith(marker[:size]):
                longest = size
                break
    return longest


def _word(text: str) -> str:
    found = _WORD.match(text)
    return found[0] if found else ""


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
