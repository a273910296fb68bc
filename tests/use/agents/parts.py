"""Tools, a runner of tools, and ways to look at what an agent said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from kataribe.base.events import Event, Finished, Step, TextDelta, ToolCallDelta
from kataribe.base.lm import LM, Request, ToolSpec
from kataribe.base.messages import (
    Message,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.run.providers.scripted import Call, Reply

QUESTION = Request((text_message("user", "What is 6 times 7?"),))


class Plain:
    """A tool from a function; it counts its calls, and those that were stopped."""

    def __init__(self, name: str, work: Callable[..., str | Awaitable[str]]) -> None:
        self.name = name
        self.work = work
        self.calls: list[Mapping[str, Any]] = []
        self.running = 0
        self.most_running = 0
        self.stopped = 0

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(self.name, f"Does {self.name}.", {"type": "object"})

    async def call(self, arguments: Mapping[str, Any]) -> str:
        self.calls.append(arguments)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            found = self.work(**arguments)
            return found if isinstance(found, str) else await found
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        finally:
            self.running -= 1


def times() -> Plain:
    return Plain("times", lambda a, b: str(a * b))


def calls(*made: tuple[str, Mapping[str, Any] | str], text: str = "") -> Reply:
    return Reply(text, calls=tuple(Call(name, arguments) for name, arguments in made))


async def listen(lm: LM, request: Request = QUESTION) -> tuple[list[Event], Finished]:
    """All events; checks what holds for every stream."""
    events = [event async for event in lm.stream(request)]
    ends = [event for event in events if isinstance(event, Finished)]
    assert ends == events[-1:]
    end = ends[0]
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert said == text_of(end.message)
    drawn = [event.tokens for event in events if isinstance(event, TextDelta) and event.tokens]
    assert drawn == sorted(drawn)
    if end.reason in ("stop", "tool_calls", "approval"):
        assert told_calls(events) == list(calls_of(end))
    return events, end


def told_calls(events: Sequence[Event]) -> list[ToolCallPart]:
    """The calls that deltas add up to."""
    found: dict[int, ToolCallPart] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            if event.name is not None:
                assert event.id is not None
                assert event.call == len(found)
                found[event.call] = ToolCallPart(event.id, event.name, "")
            before = found[event.call]
            text = before.arguments + event.arguments
            found[event.call] = ToolCallPart(before.id, before.name, text)
    return list(found.values())


def calls_of(end: Finished) -> tuple[ToolCallPart, ...]:
    return tuple(part for part in end.message.parts if isinstance(part, ToolCallPart))


def steps(events: Sequence[Event], name: str) -> list[str]:
    return [event.detail for event in events if isinstance(event, Step) and event.name == name]


def results(request: Request) -> list[ToolResultPart]:
    """What a model was told of its calls, the newest of them."""
    newest = [m for m in request.prompt if isinstance(m, Message) and m.role == "tool"][-1]
    return [part for part in newest.parts if isinstance(part, ToolResultPart)]


def going_on(request: Request, end: Finished, *further: Message) -> Request:
    """The next request of a caller who keeps the conversation."""
    assert isinstance(request.prompt, tuple)
    return Request((*request.prompt, end.message, *further), tools=request.tools)  # type: ignore[arg-type]


async def until(done: Callable[[], bool]) -> None:
    """Lets others run until something is so."""
    while not done():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.001)
