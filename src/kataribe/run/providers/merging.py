"""Several streams at once as the choices of one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from kataribe.base.events import Event

MOST_WAITING = 64
"""Events that wait to be taken; a slow taker holds the streams back, not the memory."""


async def merged(streams: Sequence[AsyncGenerator[Event]]) -> AsyncGenerator[Event]:
    """The events of all streams as they come, each with its stream's place as the choice.

    An error of one ends all. Closing the iterator closes every stream.
    """
    waiting: asyncio.Queue[Event | None] = asyncio.Queue(MOST_WAITING)

    async def pump(index: int, stream: AsyncGenerator[Event]) -> None:
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    await waiting.put(dataclasses.replace(event, index=index))
        finally:
            with contextlib.suppress(asyncio.QueueFull):
                waiting.put_nowait(None)  # wakes the taker; with a full queue it is awake

    tasks = [asyncio.create_task(pump(n, stream)) for n, stream in enumerate(streams)]
    try:
        while not (all(task.done() for task in tasks) and waiting.empty()):
            event = await waiting.get()
            if event is not None:
                yield event
            for task in tasks:
                if task.done():
                    task.result()  # raises what ended it
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
