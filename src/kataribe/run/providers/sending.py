"""Posts a request and gives the events of its answer; tries again while nothing was said yet.

The pauses between tries are exponential with full jitter (Brooker, "Exponential Backoff And
Jitter", AWS Architecture Blog 2015), unless the host says how long to wait (RFC 9110, section
10.2.3, and `retry-after-ms`). Once an event was passed on, nothing is tried again: the reply would
begin anew in the middle of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from kataribe.base.errors import KataribeError, ProviderError
from kataribe.run.providers.connections import Connections, Patience, one_client
from kataribe.run.providers.failures import (
    Told,
    answered_failure,
    retry_after,
    told_in,
    unreachable,
)
from kataribe.run.providers.sse import EventParser, ServerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    import httpx

MOST_OF_AN_ERROR = 2**16
"""Bytes of an answer without a reply that are read."""

_AGAIN = frozenset({408, 409, 429})
_Awaited = TypeVar("_Awaited")


class OutOfTimeError(Exception):
    """The request's deadline passed; never leaves the room."""


class _AgainError(Exception):
    """Failed before anything was said: may be tried again, `after` seconds when the host says."""

    def __init__(self, error: KataribeError, after: float | None) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is posted, to whom, until when (`time.monotonic()` seconds).

    Attributes:
        name: The model's whole name, for errors.
        address: The host's, for errors.
        key_from: Where the key comes from, for errors.
        secret: The key itself; it is taken out of whatever the host says.
    """

    name: str
    address: str
    path: str
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    deadline: float | None = None
    key_from: str = ""
    secret: str | None = field(default=None, repr=False)


async def server_events(
    parcel: Parcel, patience: Patience, connections: Connections | None = None
) -> AsyncGenerator[ServerEvent]:
    """The answer's events. Closing the iterator closes the connection.

    Raises `OutOfTimeError` at the deadline, `AccessError` for 401 and 403, `NotFoundError` for
    404, `InputError` for 400, 413 and 422, `BusyError` for 429 and `ProviderError` else, the last
    two after the tries are used up or when the next one would come too late.
    """
    for attempt in range(1, patience.tries + 1):
        try:
            async with aclosing(_once(parcel, patience, connections)) as events:
                async for event in events:
                    yield event
            return
        except _AgainError as failed:
            pause = _pause(attempt, failed.after, patience)
            in_time = parcel.deadline is None or time.monotonic() + pause < parcel.deadline
            if attempt == patience.tries or pause > patience.longest_wait or not in_time:
                raise failed.error from failed.__cause__
        await asyncio.sleep(pause)


def _pause(attempt: int, after: float | None, patience: Patience) -> float:
    if after is not None:
        return after * random.uniform(1.0, 1.1)  # so that many who wait do not come at once
    return random.uniform(0.0, min(patience.first_wait * 2 ** (attempt - 1), patience.longest_wait))


async def _once(
    parcel: Parcel, patience: Patience, connections: Connections | None
) -> AsyncGenerator[ServerEvent]:
    import httpx

    lend = connections.client if connections is not None else one_client
    async with lend(parcel.address, patience) as client:
        try:
            answer = await _until(parcel.deadline, _post(client, parcel))
        except httpx.ReadTimeout:  # it may be at work; another try would have it work twice
            raise _silent(parcel, patience) from None
        except httpx.HTTPError as error:
            problem = str(error) or type(error).__name__
            raise _AgainError(unreachable(parcel.name, parcel.address, problem), None) from error
        try:
            await _check(answer, parcel)
            async with aclosing(_events(answer, parcel, patience)) as events:
                async for event in events:
                    yield event
        finally:
            await answer.aclose()


async def _post(client: httpx.AsyncClient, parcel: Parcel) -> httpx.Response:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",  # a compressor holds small pieces back
        **parcel.headers,
    }
    body = json.dumps(parcel.body, ensure_ascii=False, separators=(",", ":"))
    content = body.encode("utf-8", "replace")  # half a surrogate pair has no UTF-8
    request = client.build_request(
        "POST", parcel.address + parcel.path, content=content, headers=headers
    )
    return await client.send(request, stream=True)


async def _events(
    answer: httpx.Response, parcel: Parcel, patience: Patience
) -> AsyncGenerator[ServerEvent]:
    import httpx

    parser = EventParser(parcel.name)
    began = False
    async with aclosing(_bytes(answer)) as chunks:
        while True:
            try:
                chunk = await _until(parcel.deadline, anext(chunks, None))
            except httpx.ReadTimeout:
                raise _silent(parcel, patience) from None
            except httpx.HTTPError as error:
                broken = ProviderError(
                    f"The reply of {parcel.name} broke off ({str(error) or type(error).__name__})."
                    " What was said until then is kept; ask again."
                )
                if began:
                    raise broken from error
                raise _AgainError(broken, None) from error
            if chunk is None:
                return
            for event in parser.feed(chunk):
                began = True
                yield event


def _silent(parcel: Parcel, patience: Patience) -> ProviderError:
    return ProviderError(
        f"{parcel.name} said nothing for {patience.idle:g} seconds. What was said until then is "
        "kept; ask again."
    )


async def _bytes(answer: httpx.Response) -> AsyncGenerator[bytes]:
    """The body as it comes. Whoever asks for it closes the answer, too."""
    # No host was asked to compress, and each layer between costs something for every token; so
    # only what is compressed all the same goes through httpx's decoders.
    plain = "content-encoding" not in answer.headers
    stream = answer.stream if plain else answer.aiter_bytes()
    async for chunk in cast("AsyncIterable[bytes]", stream):
        yield chunk


async def _until(deadline: float | None, waited: Awaitable[_Awaited]) -> _Awaited:
    """What is waited for, or `OutOfTimeError` at the deadline."""
    if deadline is None:
        return await waited
    clock = asyncio.timeout(max(deadline - time.monotonic(), 0.0))
    try:
        async with clock:
            return await waited
    except TimeoutError:
        if clock.expired():
            raise OutOfTimeError from None
        raise


async def _check(answer: httpx.Response, parcel: Parcel) -> None:
    """Returns when the answer is a stream of events; raises what else it is."""
    status = answer.status_code
    if status == 200:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            return
        body = await _some_of(answer, parcel)
        told = _without_secret(told_in(body), parcel.secret)
        if told.message and kind == "application/json":
            raise answered_failure(parcel.name, status, told, key_from=parcel.key_from)
        raise ProviderError(
            f"{parcel.address}{parcel.path} answered {kind or 'without a content type'}, not "
            "text/event-stream: what is there speaks another language. Check the host's address."
        )
    if 300 <= status < 400:
        _refuse_redirect(answer, parcel)
    body = await _some_of(answer, parcel)
    told = _without_secret(told_in(body), parcel.secret)
    after = retry_after(answer.headers, time.time())
    error = answered_failure(parcel.name, status, told, retry_after=after, key_from=parcel.key_from)
    # Some hosts say themselves whether another try makes sense.
    advice = answer.headers.get("x-should-retry")
    again = status in _AGAIN or status >= 500
    if (again or advice == "true") and advice != "false" and not told.is_spent:
        raise _AgainError(error, after)
    raise error


def _refuse_redirect(answer: httpx.Response, parcel: Parcel) -> NoReturn:
    target = answer.headers.get("location", "").partition("?")[0]
    raise ProviderError(
        f"{parcel.address}{parcel.path} sends on to {target or 'nowhere'!r:.200}. Prompts and keys "
        "are not sent to another place than the one that was named; if that one is right, make it "
        "the host's address."
    )


async def _some_of(answer: httpx.Response, parcel: Parcel) -> bytes:
    import httpx

    read = bytearray()
    with contextlib.suppress(httpx.HTTPError):  # half of an error still says something
        async with aclosing(_bytes(answer)) as chunks:
            while len(read) < MOST_OF_AN_ERROR:
                chunk = await _until(parcel.deadline, anext(chunks, None))
                if chunk is None:
                    break
                read += chunk
    return bytes(read[:MOST_OF_AN_ERROR])


def _without_secret(told: Told, secret: str | None) -> Told:
    if not secret or secret not in told.message:
        return told
    return Told(told.message.replace(secret, "[key]"), told.words, told.code, told.param)


def scrub(error: KataribeError, secret: str | None) -> None:
    """Takes the key out of an error, should the host have repeated it in the middle of a stream."""
    if secret and secret in error.message:
        error.message = error.message.replace(secret, "[key]")
        error.args = (error.message,)
