"""What acts in an assistant, made anew for each reply, with the guards that stand inside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from kataribe.base.events import Event, Finished, ReasoningDelta, Step, TextDelta, Usage
from kataribe.base.lm import LM, Capabilities, Request, Tool, ToolSpec
from kataribe.base.messages import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.base.tool_calls import CallLimits, call_tool
from kataribe.use.agents.calling import CallTool
from kataribe.use.assistants.instructed import Instructed
from kataribe.use.guards.guard import Following
from kataribe.use.guards.inside import WITHHELD, Inside, Places
from kataribe.use.guards.masking import put_back
from kataribe.use.prompts.retrieval import Passage, Search

Make: TypeAlias = Callable[[LM, Inside | None], LM]
"""What acts: over a model, or within a reply over the model there."""


@dataclass(frozen=True, slots=True)
class Acting:
    """How an assistant's inside is made.

    Attributes:
        make: See there.
        acts: Something comes to the model from elsewhere than the request: what tools say,
            passages of documents, facts about the person.
        own: Names of its tools.
    """

    make: Make
    acts: bool = False
    own: frozenset[str] = frozenset()


class Replying:
    """Something that acts, whose guards remember within one reply and no longer.

    A sighting that refuses ends the reply with `content_filter`, whatever acts around the model.
    """

    def __init__(self, lm: Instructed, acting: Acting, places: Places) -> None:
        """Raises what making it raises."""
        self._lm = lm
        self._acting = acting
        self._places = places
        self._usual = acting.make(lm, None)

    @property
    def name(self) -> str:
        """The name of what acts."""
        return self._usual.name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._usual.capabilities

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """One reply."""
        shown = self._lm.instructed(request)
        inside = Inside(self._lm, self._places, shown, self._acting.own)
        said = [_Said() for _ in range(request.n)]
        lm = self._acting.make(self._lm, inside)
        async with aclosing(lm.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                for seen in inside.news():
                    yield Step("guard", seen.line)
                if inside.refused:
                    break
                # The first choice is the one whose prompt is counted for all.
                if isinstance(event, Finished) and (event.index == 0 or said[0].ended):
                    event = replace(event, usage=event.usage + inside.looking)
                    inside.looking = Usage(0, 0)  # it counts once
                said[event.index].take(event)
                yield event
        for event in self._refused(inside, said):
            yield event

    def _refused(self, inside: Inside, said: Sequence[_Said]) -> Iterator[Event]:
        """The end of every choice that has none, with what was said before."""
        lines = [seen.line for seen in inside.refused]
        if not lines or all(each.ended for each in said):
            return
        for line in lines:
            yield Step("guard", line)
        words = self._places.policy.refusal
        usage = inside.used + inside.looking
        for index, each in enumerate(said):
            if each.ended:
                continue
            if words:
                yield TextDelta(words, index)
            message = each.message(words)
            yield Finished(message, usage, "content_filter", index, detail="; ".join(lines))
            usage = Usage(0, 0)


class _Said:
    """What a choice has told so far."""

    def __init__(self) -> None:
        self.ended = False
        self._text: list[str] = []
        self._thought: list[str] = []

    def take(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._text.append(event.text)
        elif isinstance(event, ReasoningDelta):
            self._thought.append(event.text)
        elif isinstance(event, Finished):
            self.ended = True

    def message(self, words: str) -> Message:
        thought, text = "".join(self._thought), "".join((*self._text, words))
        parts: list[Part] = [ReasoningPart(thought)] if thought else []
        parts += [TextPart(text)] if text else []
        return Message("assistant", tuple(parts))


class Hidden:
    """A tool that is a model: it is given placeholders, and its words have the values again."""

    def __init__(self, tool: Tool, hiding: Sequence[Following]) -> None:
        self._tool = tool
        self._hiding = hiding

    @property
    def spec(self) -> ToolSpec:
        """The tool's."""
        return self._tool.spec

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """What the tool says, which the next model is shown as it may see it."""
        values: dict[str, str] = {}
        for guard in self._hiding:
            arguments, more = await guard.hidden(arguments)
            values |= more
        return str(put_back(await self._tool.call(arguments), values))


def calling(inside: Inside | None) -> CallTool:
    """What runs an agent's calls, so that what comes of them is looked at, errors too."""
    if inside is None:
        return call_tool

    async def call_and_look(
        tools: Sequence[Tool], call: ToolCallPart, limits: CallLimits
    ) -> ToolResultPart:
        if inside.refused:
            return ToolResultPart(call.id, WITHHELD, is_error=True)
        result = await call_tool(tools, call, limits)
        content = await inside.document(result.content, f"what {call.name} said")
        return replace(result, content=content)

    return call_and_look


def searching(search: Search, inside: Inside) -> Search:
    """The same search, whose passages are looked at."""

    async def search_and_look(query: str, most: int) -> Sequence[Passage]:
        found = await search(query, most)
        texts = [await inside.document(each.text, each.source) for each in found]
        return [replace(each, text=text) for each, text in zip(found, texts, strict=True)]

    return search_and_look
