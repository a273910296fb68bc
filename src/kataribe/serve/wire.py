"""HTTP/1.1 on the wire: uvicorn's protocol with patience limits and errors in the API's shape."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from kataribe.serve.errors import RefusedError, failure
from kataribe.serve.telling import to_bytes

HEADER_BYTES = 32 * 1024
"""Longest request line with headers."""

HEADER_SECONDS = 15.0
"""Time for a request's headers to arrive, against clients that drip them to hold connections."""

LINGER_SECONDS = 3.0
"""After an answer to an unread body, how long the rest is read and dropped before the end.

Closing at once would reset the connection, and the client would never see the answer."""


class _Careful(h11.Connection):
    """h11 measures what has come of a request only while its headers are incomplete.

    Headers that arrive whole, however long, would pass.
    """

    def next_event(self) -> Any:
        """h11's next event; `RemoteProtocolError` (431) for a request with too long headers."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            lines = sum(len(name) + len(value) + 4 for name, value in event.headers)
            if len(event.method) + len(event.target) + lines > HEADER_BYTES:
                raise h11.RemoteProtocolError("headers too long", error_status_hint=431)
        return event


class Wire(H11Protocol):
    """One connection."""

    _reading: asyncio.TimerHandle | None = None
    _leaving: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = _Careful(h11.SERVER, HEADER_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here; its first request is awaited."""
        super().connection_made(transport)
        self._await_headers()

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            if self._reading is None:
                self._await_headers()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_waiting()
        if self._leaving is not None:
            self._leaving.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """An answer is out, perhaps before its request was read to the end."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and self._leaving is None:
            self._leaving = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP is answered in the API's shape, with h11's own status."""
        error = sys.exc_info()[1]  # called while uvicorn handles it
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        if status == 431:
            msg = f"The headers are longer than {HEADER_BYTES} bytes. Send fewer or shorter ones."
        self._refuse(status, msg, "headers_too_long" if status == 431 else "invalid_http")

    def _stop_waiting(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _await_headers(self) -> None:
        self._reading = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        self._reading = None
        if not self.transport.is_closing():
            self._refuse(
                408, f"No whole request came within {HEADER_SECONDS:g} seconds.", "header_timeout"
            )

    def _refuse(self, status: int, message: str, code: str) -> None:
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()  # an answer is on its way already
            return
        body = to_bytes(failure(RefusedError(status, message, code=code)).body())
        headers = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
