"""Native calls of tools, or acting in plain text where a model turns out not to make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from kataribe.base.errors import InputError
from kataribe.base.events import Event, Step
from kataribe.base.lm import LM, Capabilities, Request


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
