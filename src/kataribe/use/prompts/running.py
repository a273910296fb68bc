"""Running calls side by side: a bound on how many, their events in one stream, one end for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

from kataribe.base.events import Event
from kataribe.base.lm import close_stream

AT_ONCE = 4
"""Inner calls of one request that run at the same time, unless a technique's options say another
number: what an engine on one machine computes together without making anybody wait long."""
_AHEAD = 8
"""Events that may wait for whoever listens; then the work waits."""

_T = TypeVar("_T")
Send: TypeAlias = Callable[[Event], Awaitable[None]]


async def together(calls: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The results in the order of the calls.

    Where one raises or this is cancelled, the others are stopped, and have stopped, before this
    raises the first error.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def events_of(work: Callable[[Send], Coroutine[Any, Any, None]]) -> AsyncIterator[Event]:
    """What `work` sends, as it sends it; then its error, if it raises one.

    Closing the iterator cancels the work and waits until it has stopped.
    """
    queue: asyncio.Queue[Event | None] = asyncio.Queue()
    room = asyncio.Semaphore(_AHEAD)

    async def send(event: Event) -> None:
        await room.acquire()
        queue.put_nowait(event)

    task = asyncio.ensure_future(work(send))
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            room.release()
            yield event
        await task  # raises what the work raised
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def closed(events: AsyncIterator[_T]) -> AsyncIterator[AsyncIterator[_T]]:
    """The iterator, closed at the end, however that comes."""
    try:
        yield events
    finally:
        await close_stream(events)
