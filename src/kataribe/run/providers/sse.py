"""Server-sent events: bytes in any pieces to events, strictly by the specification.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html (section "Parsing an
event stream"). Stricter than a browser in two ways, since what is read here is a contract between
programs: bytes that are not UTF-8 and events beyond a size are errors, not replaced or collected.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from kataribe.base.errors import ProviderError

MOST_CHARACTERS = 32 * 2**20
"""Characters of one event or line; a picture in base64 fits, an endless line does not."""

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its data lines joined by line feeds, and its name."""

    data: str
    event: str = "message"


class EventParser:
    """Bytes to events, in whatever pieces they come.

    A last event without the empty line that ends it is not an event: the stream was cut in it.
    """

    def __init__(self, sender: str) -> None:
        """`sender` is who is named in errors."""
        self._sender = sender
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("strict")
        self._after_cr = False  # a line feed that comes next belongs to the carriage return
        self._line: list[str] = []
        self._data: list[str] = []
        self._event = ""
        self._size = 0

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that `chunk` completes; `ProviderError` for what is no event stream."""
        try:
            text = self._decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise ProviderError(
                f"{self._sender} sent bytes that are not UTF-8 ({error.reason}); its reply cannot "
                "be read on. Ask again."
            ) from None
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        if text.endswith("\r"):
            self._after_cr = True
        self._grow(len(text))
        *ended, rest = _LINE_END.split(text)
        events: list[ServerEvent] = []
        for end in ended:
            self._line.append(end)
            self._take("".join(self._line), events)
            self._line.clear()
        if rest:
            self._line.append(rest)
        return events

    def _grow(self, characters: int) -> None:
        self._size += characters
        if self._size > MOST_CHARACTERS and (self._data or self._line):
            raise ProviderError(
                f"{self._sender} sent an event of more than {MOST_CHARACTERS} characters; that is "
                "no reply of a model. Check its address."
            )

    def _take(self, line: str, events: list[ServerEvent]) -> None:
        if not line:
            if self._data:
                events.append(ServerEvent("\n".join(self._data), self._event or "message"))
            self._data.clear()
            self._event = ""
            self._size = 0
            return
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._event = value
        if not self._data:
            self._size = 0
        # A line that begins with a colon is a comment; `id`, `retry` and unknown fields say
        # nothing to a client that never connects again.
