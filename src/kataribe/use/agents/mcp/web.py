"""A server elsewhere, spoken to over HTTP: the SDK's transports, bounded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from kataribe.use.agents.mcp.limits import ServerLimits
from kataribe.use.agents.mcp.variables import Target

_BETWEEN_EVENTS = 300.0


@dataclass(slots=True)
class Refusal:
    """The last status above 399, which the SDK does not tell; empty for none."""

    words: str = ""


@asynccontextmanager
async def web(target: Target, limits: ServerLimits, refusal: Refusal) -> AsyncGenerator[Any, None]:
    """A transport of the SDK; statuses that say no are noted in `refusal`."""
    hook = _hook(limits.message, refusal)

    def client(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        plain = {"accept-encoding": "identity"}  # nothing that unpacks to more
        return httpx2.AsyncClient(
            headers={**plain, **(headers or {}), **target.headers},
            timeout=timeout,
            auth=auth,
            event_hooks={"response": [hook]},
        )

    if target.kind == "sse":
        async with sse_client(
            target.url,
            timeout=limits.start,
            sse_read_timeout=_BETWEEN_EVENTS,
            httpx_client_factory=client,
        ) as streams:
            yield streams
        return
    patience = httpx2.Timeout(limits.start, read=_BETWEEN_EVENTS)
    async with (
        client(timeout=patience) as http,
        streamable_http_client(
            target.url, http_client=http, max_sse_event_size=limits.message
        ) as streams,
    ):
        yield streams


def _hook(most: int, refusal: Refusal) -> Any:
    async def watch(response: httpx2.Response) -> None:
        if response.status_code >= 400:
            refusal.words = f"{response.status_code} {response.reason_phrase}".strip()
        kind = response.headers.get("content-type", "")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx2.DecodingError("it sends packed answers, which were not asked for")
        if not kind.startswith("text/event-stream"):  # there, each event has the bound
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(response.stream, most)

    return watch


class _Bounded(httpx2.AsyncByteStream):
    """A body that breaks off where it becomes too long."""

    def __init__(self, inner: httpx2.AsyncByteStream, most: int) -> None:
        self._inner = inner
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._inner:
            size += len(piece)
            if size > self._most:
                raise httpx2.StreamError(
                    f"the answer has more than the {self._most:,} bytes that are read. Ask for "
                    "less at once"
                )
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
