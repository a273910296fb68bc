"""Asking techniques, and what their events say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from kataribe.base.errors import KataribeError
from kataribe.base.events import (
    Event,
    Finished,
    ReasoningDelta,
    Step,
    TextDelta,
    Usage,
)
from kataribe.base.lm import LM, Capabilities, Request, ToolSpec
from kataribe.base.messages import ReasoningPart, text_message, text_of
from kataribe.run.providers import ScriptedLM


def question(text: str = "What is 6 times 7?", **fields: Any) -> Request:
    return Request((text_message("user", text),), **fields)


async def events_of(lm: LM, request: Request | None = None) -> list[Event]:
    """All events, after a look whether they keep the protocol."""
    request = request or question()
    events = [event async for event in lm.stream(request)]
    for index in range(request.n):
        mine = [event for event in events if event.index == index]
        ends = [event for event in mine if isinstance(event, Finished)]
        assert len(ends) == 1
        assert mine[-1] is ends[0]
        message = ends[0].message
        assert words(events, index) == text_of(message)
        thought = "".join(e.text for e in mine if isinstance(e, ReasoningDelta))
        assert thought == "".join(p.text for p in message.parts if isinstance(p, ReasoningPart))
    return events


async def events_and_error(lm: LM, request: Request) -> tuple[list[Event], KataribeError | None]:
    """What was told, and the error that ended it."""
    events: list[Event] = []
    try:
        async for event in lm.stream(request):
            events.append(event)  # noqa: PERF401  what came before the error counts
    except KataribeError as error:
        return events, error
    return events, None


async def until(what: Callable[[], bool]) -> None:
    """Waits for it; the test's own time limit ends a wait in vain."""
    while not what():  # noqa: ASYNC110  counters tell nobody that they changed
        await asyncio.sleep(0.002)


def words(events: list[Event], index: int = 0) -> str:
    return "".join(e.text for e in events if isinstance(e, TextDelta) and e.index == index)


def end(events: list[Event], index: int = 0) -> Finished:
    return next(e for e in events if isinstance(e, Finished) and e.index == index)


def steps(events: list[Event], name: str | None = None) -> list[str]:
    """The details of the steps of a name, or `name: detail` of all."""
    found = [event for event in events if isinstance(event, Step)]
    if name is None:
        return [f"{step.name}: {step.detail}" for step in found]
    return [step.detail for step in found if step.name == name]


def asked(lm: ScriptedLM) -> list[str]:
    """The last turn of each request that a scripted model was sent."""
    return [text_of(request.prompt[-1]) for request in lm.requests]


class Metered:
    """Adds up what a model says it used, and how many streams were open at once."""

    def __init__(self, inner: LM) -> None:
        self.inner = inner
        self.usage = Usage(0, 0)
        self.open = 0
        self.most = 0

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        self.open += 1
        self.most = max(self.most, self.open)
        events = self.inner.stream(request)
        try:
            async for event in events:
                if isinstance(event, Finished):
                    self.usage = total([self.usage, event.usage])
                yield event
        finally:
            self.open -= 1
            await events.aclose()  # type: ignore[attr-defined]


def total(usages: list[Usage]) -> Usage:
    return Usage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        sum(usage.cached_tokens for usage in usages),
    )


class Multiply:
    """A tool that multiplies; it keeps what it was called with."""

    spec = ToolSpec(
        "multiply",
        "Multiplies two numbers.",
        {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    )

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    async def call(self, arguments: Mapping[str, Any]) -> str:
        self.calls.append(dict(arguments))
        return json.dumps(arguments["a"] * arguments["b"])


def sensible(request: Request) -> str:
    """What a willing model says to each of the techniques' English prompts."""
    last = text_of(request.prompt[-1])
    if last.startswith("Observation:"):
        return "Thought: I know the answer now.\nFinal Answer: It is 42."
    if "Action Input" in last:
        act = 'Action: multiply\nAction Input: {"a": 6, "b": 7}'
        return f"Thought: I must multiply.\n{act}\nObservation: 41, says the model itself"
    if '"Score:"' in last:
        return "These steps look right.\nScore: 8"
    if "numbered steps" in last:
        return "1. Take six.\n2. Add it seven times."
    if "Passages:" in last:
        return "Six sevens are forty-two [1]."
    return "Six sevens are 42.\nAnswer: 42"
