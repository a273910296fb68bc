"""Work that ends when its client goes away or the server has to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request as HTTPRequest

from kataribe.base.errors import UnavailableError
from kataribe.serve.intake import ClientGoneError
from kataribe.serve.lifecycle import Lifecycle

_T = TypeVar("_T")


async def unless_gone(http: HTTPRequest, cycle: Lifecycle, work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` returns; it is cancelled when nobody is left to read it.

    Raises `ClientGoneError` for a client that left, `UnavailableError` for a server that stops.
    The body must have been read before.
    """
    asking = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(http))
    halting = asyncio.ensure_future(cycle.halted())
    every: list[asyncio.Future[Any]] = [asking, leaving, halting]
    try:
        await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            return asking.result()
        if leaving.done():
            raise ClientGoneError
        raise UnavailableError(
            "The server stopped before the answer was made. Ask again when it is back.",
            retry_after=10,
        )
    finally:
        for task in every:
            task.cancel()
        await asyncio.wait(every)


async def _left(http: HTTPRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
