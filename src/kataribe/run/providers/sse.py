"""Server-sent events: bytes in any pieces to events, strictly by the specification.

The format is https://html.spec.whatwg.org/multipage/server-sent-events.html (section "Parsing an
event stream"). Stricter than a browser in two ways, since what is read here is a contract between
programs: bytes that are not UTF-8 and events beyond a size are errors, not replaced or collected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kataribe.base.errors import ProviderError

MOST_BYTES = 32 * 2**20
"""Of one event or line; a picture in base64 fits, an endless line does not."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_MARK = b"\xef\xbb\xbf"  # the byte order mark, which may stand at the very beginning


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event: its data lines joined by line feeds, and its name."""

    data: str
    event: str = "message"


class EventParser:
    """Bytes to events, in whatever pieces they come.

    Lines are found in the bytes and decoded whole, so that half a character waits for its other
    half. A last event without the empty line that ends it is none: the stream was cut in it.
    """

    def __init__(self, sender: str) -> None:
        """`sender` is who is named in errors."""
        self._sender = sender
        self._first = True
        self._after_cr = False  # a line feed that comes next belongs to the carriage return
        self._line = bytearray()
        self._data: list[str] = []
        self._event = ""
        self._size = 0  # bytes of the event's lines so far

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """The events that `chunk` completes, before `ProviderError` for what is no event stream."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if chunk.endswith(b"\r"):
            self._after_cr = True
        *ended, rest = _LINE_END.split(chunk)
        for end in ended:
            line = end
            if self._line:
                line = bytes(self._line) + end
                self._line.clear()
            self._check_size(len(line))
            event = self._take(self._decoded(line))
            if event is not None:
                yield event
        self._line += rest
        self._check_size(len(self._line))

    def _check_size(self, more: int) -> None:
        if self._size + more > MOST_BYTES:
            raise ProviderError(
                f"{self._sender} sent an event of more than {MOST_BYTES} bytes; that is no reply "
                "of a model. Check its address."
            )

    def _decoded(self, line: bytes) -> str:
        if self._first:
            self._first = False
            line = line.removeprefix(_MARK)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProviderError(
                f"{self._sender} sent bytes that are not UTF-8 ({error.reason}); its reply cannot "
                "be read on. Ask again."
            ) from None

    def _take(self, line: str) -> ServerEvent | None:
        if not line:
            data, name = self._data, self._event
            self._data, self._event, self._size = [], "", 0
            return ServerEvent("\n".join(data), name or "message") if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._size += len(value)
        elif field == "event":
            self._event = value
        # A line that begins with a colon is a comment; `id`, `retry` and unknown fields say
        # nothing to a client that never connects again.
        return None
