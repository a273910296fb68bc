"""Acting in plain text, for whoever asks: tools run for the person of the request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from kataribe.base.events import Event
from kataribe.base.lm import LM, Capabilities, Context, Request, Tool, ToolSpec
from kataribe.use.agents.calling import asking
from kataribe.use.prompts.registry import Parts, technique


class InText:
    """A model that acts with tools in plain text (ReAct)."""

    def __init__(self, lm: LM, tools: Sequence[Tool], options: Mapping[str, Any]) -> None:
        """Raises as `technique` does."""
        self._lm = lm
        self._tools = tuple(tools)
        self._options = options
        self._acting: LM = technique("react", lm, options, Parts(tools=self._tools))

    @property
    def name(self) -> str:
        """The model's."""
        return self._acting.name

    @property
    def capabilities(self) -> Capabilities:
        """What is left of the model's."""
        return self._acting.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Thinks, acts, observes, answers."""
        # Techniques know no persons, but an assistant that is a tool may remember one.
        tools = tuple(_For(tool, request.context) for tool in self._tools)
        acting = technique("react", self._lm, self._options, Parts(tools=tools))
        async with aclosing(acting.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event


class _For:
    """A tool that runs for somebody."""

    def __init__(self, tool: Tool, context: Context) -> None:
        self._tool = tool
        self._context = context

    @property
    def spec(self) -> ToolSpec:
        return self._tool.spec

    async def call(self, arguments: Mapping[str, Any]) -> str:
        token = asking.set(self._context)
        try:
            return await self._tool.call(arguments)
        finally:
            asking.reset(token)
