"""Server-sent events: a stream of an exchange's events, with progress, heartbeats and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kataribe.base.errors import KataribeError
from kataribe.base.events import Event, Progress, Step
from kataribe.serve.access import log_unexpected
from kataribe.serve.errors import Failure, failure
from kataribe.serve.exchange import Exchange, Told
from kataribe.serve.intake import ClientGoneError
from kataribe.serve.record import Record
from kataribe.serve.telling import to_bytes

STALLED_SECONDS = 60.0
"""A client that has read nothing for so long has left, whatever its connection says."""

DONE = b"data: [DONE]\n\n"

STILL_HERE = b": still here\n\n"

Encode: TypeAlias = Callable[[Told | None], Iterable[dict[str, Any]]]
"""The chunks for an event of the exchange; None is its end."""


class Teller(Protocol):
    """How a wire format tells an exchange: whole server-sent events, one after another."""

    def tell(self, told: Told | None) -> bytes:
        """What is said for an event; None is the exchange's end."""
        ...

    def failed(self, why: Failure) -> bytes:
        """What is said last when the reply breaks off."""
        ...

    def quiet(self) -> bytes:
        """A sign of life while nothing happens."""
        ...


class Chunks:
    """OpenAI's older streams: JSON chunks without names, then `[DONE]`."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode

    def tell(self, told: Told | None) -> bytes:
        """The chunks for an event."""
        chunks = b"".join(data(chunk) for chunk in self._encode(told))
        return chunks + DONE if told is None else chunks

    def failed(self, why: Failure) -> bytes:
        """A chunk with an `error`."""
        # No event name: the official client reads an error from the data of a plain event.
        return data(why.body())

    def quiet(self) -> bytes:
        """A comment."""
        return STILL_HERE


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a stream may be silent.

    Attributes:
        patience: Seconds that the status waits for the first words.
        heartbeat: Seconds between comments while nothing happens.
        progress: Progress is told as events of its own (`X-Kataribe-Events: progress`).
    """

    patience: float
    heartbeat: float
    progress: bool


class EventStream(Response):
    """The response. `open` it first: what fails early is raised there as a real HTTP error."""

    media_type = "text/event-stream"

    def __init__(
        self,
        exchange: Exchange,
        teller: Teller,
        pace: Pace,
        record: Record,
        at_end: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`at_end` comes before the end is told, which is a failure where it fails."""
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._exchange = exchange
        self._teller = teller
        self._pace = pace
        self._record = record
        self._at_end = at_end
        self._early: list[Told | None] = []

    async def open(self) -> EventStream:
        """Waits for the first words, or for `patience`; raises what failed before them."""
        try:
            await self._wait_for_words()
        except TimeoutError:
            pass
        except BaseException:
            await self._exchange.close()
            raise
        return self

    async def _wait_for_words(self) -> None:
        async with asyncio.timeout(self._pace.patience):
            while True:
                told = await self._exchange.next()
                self._early.append(told)
                if told is None or self._pace.progress or not _is_progress(told.event):
                    return

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events until the last, an error, or the client's leaving."""
        del scope, receive  # the exchange watches the client
        async with self._exchange:
            start = {"status": 200, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            async for data in self._frames():
                await self._send(send, data)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, data: bytes) -> None:
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except TimeoutError:
            # It still holds a place among the model's replies; others wait for that.
            raise ClientGoneError from None

    async def _frames(self) -> AsyncIterator[bytes]:
        try:
            for early in self._early:
                yield await self._framed(early)
            while not self._early or self._early[-1] is not None:
                try:
                    told = await self._exchange.next(self._pace.heartbeat)
                except TimeoutError:
                    yield self._teller.quiet()
                    continue
                yield await self._framed(told)
                if told is None:
                    break
        except ClientGoneError:
            self._record.status = 499
        except KataribeError as error:
            self._record.error = error.code
            yield self._teller.failed(failure(error))
        except Exception as error:  # noqa: BLE001  the edge: logged with a number, told without insides
            self._record.error = "internal_error"
            yield self._teller.failed(log_unexpected(error, self._record))

    async def _framed(self, told: Told | None) -> bytes:
        if told is None and self._at_end is not None:
            await self._at_end()
        return self._frame(told)

    def _frame(self, told: Told | None) -> bytes:
        words = self._teller.tell(told)
        if told is not None and isinstance(told.event, Progress | Step):
            told_so = _progress(told.event) if self._pace.progress else _comment(told.event)
            return told_so + words
        return words


def data(value: Any) -> bytes:
    """One event with JSON data."""
    return b"data: " + to_bytes(value) + b"\n\n"


def named(value: dict[str, Any]) -> bytes:
    """One event with JSON data, named by the data's `type`."""
    return f"event: {value['type']}\n".encode() + data(value)


def _is_progress(event: Event) -> bool:
    return isinstance(event, Progress | Step)


def _comment(event: Progress | Step) -> bytes:
    if isinstance(event, Progress):
        of = "" if event.total is None or event.stage == "queued" else f"/{event.total}"
        words = f"{event.stage} {event.done}{of}"
    else:
        words = f"{event.name} {event.detail}"
    # A line break would end the comment and begin an event of the model's making.
    return f": {' '.join(words.split())}\n\n".encode("utf-8", "replace")


def _more(step: Step) -> dict[str, Any]:
    """What not every step has."""
    found = {"content": step.content, "call": step.call, "tokens": step.tokens}
    return {name: value for name, value in found.items() if value}


def _progress(event: Progress | Step) -> bytes:
    if isinstance(event, Progress):
        kind = "progress"
        told: dict[str, Any] = {"stage": event.stage, "done": event.done, "total": event.total}
    else:
        kind = "step"
        told = {"name": event.name, "detail": event.detail, **_more(event)}
    return f"event: kataribe.{kind}\n".encode() + data({**told, "index": event.index})
