"""Things around models as techniques and agents are: for trees of calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace

from kataribe.base.events import Event, Finished, Step, TextDelta, Usage
from kataribe.base.lm import LM, Capabilities, Request, reply
from kataribe.base.messages import Message, TextPart, text_message, text_of

QUESTION = Request((text_message("user", "What is it?"),))


class Votes:
    """Asks its model several times at once, in tasks, and tells the whole usage."""

    def __init__(self, lm: LM, paths: int, *, tells_usage: bool = True) -> None:
        self.lm = lm
        self.paths = paths
        self.tells_usage = tells_usage
        self.seen: list[Finished] = []

    @property
    def name(self) -> str:
        return "votes"

    @property
    def capabilities(self) -> Capabilities:
        return self.lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        yield Step("paths", f"{self.paths} at once")
        tasks = [asyncio.create_task(reply(self.lm, request)) for _ in range(self.paths)]
        try:
            self.seen = list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        text = " | ".join(text_of(one.message) for one in self.seen)
        yield TextDelta(text)
        usage = Usage(0, 0)
        if self.tells_usage:
            usage = sum((one.usage for one in self.seen), usage)
        yield Finished(Message("assistant", (TextPart(text),)), usage, "stop")


class Chain:
    """Asks its model again and again, one call after another, and passes its words on."""

    def __init__(self, lm: LM, turns: int) -> None:
        self.lm = lm
        self.turns = turns

    @property
    def name(self) -> str:
        return "chain"

    @property
    def capabilities(self) -> Capabilities:
        return self.lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        said, usage = "", Usage(0, 0)
        for _ in range(self.turns):
            async with aclosing(self.lm.stream(request)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        said += event.text
                        yield replace(event, tokens=0)
                    elif isinstance(event, Finished):
                        usage = Usage(
                            usage.prompt_tokens + event.usage.prompt_tokens,
                            usage.completion_tokens + event.usage.completion_tokens,
                        )
        yield Finished(Message("assistant", (TextPart(said),)), usage, "stop")


async def until(done: Callable[[], bool]) -> None:
    """Lets others run until something is so."""
    while not done():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.001)
