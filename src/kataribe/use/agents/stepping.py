"""One step of an agent: a call of its model, passed on as far as it concerns the caller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from kataribe.base.errors import KataribeError
from kataribe.base.events import (
    Citation,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Sealed,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import LM, Request, close_stream
from kataribe.base.messages import Message, ToolCallPart, ToolResultPart
from kataribe.use.agents.turn import Turn, reply_parts, without_calls

GRACE = 0.05
"""Seconds that a model has to end by itself at a deadline, before it is cut."""

BYTES_PER_TOKEN = 4
"""About, for models that do not say how many tokens they have drawn."""

DETAIL = 200
"""Characters of a step's line."""


@dataclass(slots=True)
class Said:
    """What the caller was told in this reply."""

    text: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    calls: list[ToolCallPart] = field(default_factory=list)
    length: int = 0
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    cut: tuple[FinishReason, str] | None = None

    def parts(self) -> Message:
        """The whole reply."""
        thought, text = "".join(self.thought), "".join(self.text)
        return Message("assistant", reply_parts(thought, text, self.calls))

    def say(self, text: str, tokens: int = 0) -> TextDelta:
        """Words of the reply; `tokens` of this step count after those of the steps before."""
        self.text.append(text)
        self.length += len(text)
        return TextDelta(text, tokens=tokens and self.usage.completion_tokens + tokens)

    def gap(self) -> list[TextDelta]:
        """An empty line between what was said before and what comes, where that needs one."""
        return [self.say("\n\n")] if self.text and not self.text[-1].endswith("\n") else []

    def think(self, event: ReasoningDelta) -> ReasoningDelta:
        """Thoughts; their tokens count after those of the steps before."""
        self.thought.append(event.text)
        before = self.usage.completion_tokens
        return replace(event, tokens=before + event.tokens) if before and event.tokens else event


class Stepping:
    """A call of the model within a turn.

    Deltas of text and thought pass at once, and so do those of calls of the caller's tools, with
    ids of ours. The agent's own calls stay inside. `reply` is the whole reply at the end.
    """

    def __init__(
        self,
        turn: Turn,
        said: Said,
        *,
        theirs: Collection[str],
        most: int | None,
        may_call: bool,
    ) -> None:
        self._turn = turn
        self._said = said
        self._theirs = theirs if may_call else ()
        self._most = most  # tokens that it may draw
        self._may_call = may_call
        self._ids: dict[int, str] = {}
        self._shown: dict[int, int] = {}  # its number here -> its number in the caller's reply
        self._text: list[str] = []
        self._thought: list[str] = []
        self._drawn = 0
        self._uncounted = 0  # bytes of a model that tells no counts
        self._end: Finished | None = None
        self._gap = 0  # characters between the words before this step and its own

    async def events(self, lm: LM, request: Request) -> AsyncGenerator[Event, None]:
        """Asks, passes on, and writes the reply to the turn."""
        before = self._said.length
        async with aclosing(_until(lm, request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    self._end = event
                    continue
                for told in self._passed(event, before):
                    yield told
                if self._most is not None and self._drawn >= self._most:
                    break
        end = self._end or self._cut(lm, request.context.deadline)
        await self._keep(end)

    def _passed(self, event: Event, before: int) -> list[Event]:
        match event:
            case TextDelta():
                self._count(event)
                first = not self._text
                self._text.append(event.text)
                gap = self._said.gap() if first else []
                self._gap += 2 * len(gap)
                return [*gap, self._said.say(event.text, event.tokens)]
            case ReasoningDelta():
                self._count(event)
                self._thought.append(event.text)
                return [self._said.think(event)]
            case ToolCallDelta():
                return self._passed_call(event)
            case Citation():
                # What was said in the steps before stands in front of it.
                shift = before + self._gap
                return [replace(event, start=event.start + shift, end=event.end + shift)]
            case Sealed():
                # The turn keeps it for its own calls; what is told joins several replies, and
                # a seal of one of them would be read as another's.
                return []
        return [event]

    def _count(self, event: TextDelta | ReasoningDelta) -> None:
        if not event.tokens:
            self._uncounted += len(event.text.encode("utf-8", "replace"))
        self._drawn = max(self._drawn, event.tokens, self._uncounted // BYTES_PER_TOKEN)

    def _passed_call(self, event: ToolCallDelta) -> list[Event]:
        if event.name is not None and event.call not in self._ids:
            self._ids[event.call] = self._turn.next_id()
            if event.name in self._theirs:
                self._shown[event.call] = len(self._said.calls)
                self._said.calls.append(ToolCallPart(self._ids[event.call], event.name, ""))
        number = self._shown.get(event.call)
        if number is None:
            return []
        so_far = self._said.calls[number]
        self._said.calls[number] = replace(so_far, arguments=so_far.arguments + event.arguments)
        id_ = self._ids[event.call] if event.id is not None or event.name is not None else None
        return [replace(event, call=number, id=id_)]

    def _cut(self, lm: LM, deadline: float | None) -> Finished:
        """The end of a reply that was stopped, or that the model never ended."""
        parts = reply_parts("".join(self._thought), "".join(self._text), ())
        message, usage = Message("assistant", parts), Usage(0, self._drawn)
        if self._most is not None and self._drawn >= self._most:
            return Finished(message, usage, "budget", detail="The tokens are used up.")
        if deadline is not None and time.monotonic() >= deadline:
            return Finished(message, usage, "deadline", detail="The time for the request is over.")
        raise KataribeError(f"{lm.name} broke off without an end; its stream broke the protocol.")

    async def _keep(self, end: Finished) -> None:
        calls = sum(isinstance(part, ToolCallPart) for part in end.message.parts)
        if calls and not (self._may_call and end.reason in ("stop", "tool_calls", "length")):
            end, calls = replace(end, message=without_calls(end.message)), 0
        ids = [self._ids.get(number) or self._turn.next_id() for number in range(calls)]
        self._said.usage += end.usage
        await self._turn.reply(end, ids)


async def _until(lm: LM, request: Request) -> AsyncGenerator[Event, None]:
    """The model's events; they stop a moment after the request's deadline, said or not."""
    events = lm.stream(request)
    deadline = request.context.deadline
    try:
        if deadline is None:
            async for event in events:
                yield event
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline - time.monotonic() + GRACE
        while True:
            try:
                async with asyncio.timeout_at(end) as limit:
                    event = await events.__anext__()
            except TimeoutError:
                if limit.expired():
                    return
                raise
            except StopAsyncIteration:
                return
            yield event
    finally:
        await close_stream(events)


def calls_told(made: Sequence[tuple[ToolCallPart, ToolResultPart]]) -> str:
    """Calls with what came of them, a line each."""
    return "\n".join(
        f"- {call.name} {short(call.arguments)}: {short(result.content)}" for call, result in made
    )


def short(text: str) -> str:
    """A text as a step's line shows it."""
    line = " ".join(text[: 2 * DETAIL].split())
    return line if len(line) <= DETAIL and len(text) <= 2 * DETAIL else f"{line[:DETAIL]}…"
