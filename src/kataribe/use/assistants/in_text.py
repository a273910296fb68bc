"""Acting in plain text: for models that were never taught to call tools, or turn out not to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from kataribe.base.errors import InputError
from kataribe.base.events import Event, Step
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


class Either:
    """Native calls, or acting in plain text where the model refuses them.

    A router, or a model behind a host, shows only when it is asked whether it calls tools.
    """

    def __init__(self, native: LM, in_text: Callable[[], LM]) -> None:
        self._native = native
        self._in_text = in_text

    @property
    def name(self) -> str:
        """The model's."""
        return self._native.name

    @property
    def capabilities(self) -> Capabilities:
        """What the way that is taken first can do."""
        return self._native.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers; raises what the model refuses where the request brings tools of its own."""
        begun = False
        try:
            async with aclosing(self._native.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    begun = begun or not isinstance(event, Step)
                    yield event
            return
        except InputError as error:
            if begun or error.param != "tools" or request.tools:
                raise
            lm = self._in_text()
        yield Step("in text", f"{self.name} calls no tools itself, so it acts in plain text.")
        async with aclosing(lm.stream(request)) as events:  # type: ignore[type-var]
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
