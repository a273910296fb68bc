"""An `LM` that is told something before every conversation, and draws in its own way."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import aclosing

from kataribe.base.abilities import messages_of
from kataribe.base.events import Event
from kataribe.base.lm import LM, Capabilities, Request, Sampling
from kataribe.base.messages import Message, TextPart

_UNSAID = Sampling()


class Instructed:
    """Puts a system text before the request's own, and sampling where the request says none.

    A raw prompt has no system text, so it passes with the sampling alone.
    """

    def __init__(self, lm: LM, system: str, sampling: Sampling) -> None:
        self._lm = lm
        self._system = system.strip()
        self._sampling = sampling

    @property
    def name(self) -> str:
        """The name of who answers."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What that can do."""
        return self._lm.capabilities

    def instructed(self, request: Request) -> Request:
        """A request as the model gets it."""
        sampling = filled(request.sampling, self._sampling)
        prompt, messages = request.prompt, messages_of(request)
        if self._system and messages:
            prompt = told(messages, self._system)
        return dataclasses.replace(request, prompt=prompt, sampling=sampling)

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers with both in mind."""
        request = self.instructed(request)
        async with aclosing(self._lm.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event


def filled(asked: Sampling, usual: Sampling) -> Sampling:
    """What is asked for, and the usual where a field says nothing of its own."""
    said = {
        field.name: getattr(asked, field.name)
        for field in dataclasses.fields(Sampling)
        if getattr(asked, field.name) != getattr(_UNSAID, field.name)
    }
    return dataclasses.replace(usual, **said)


def told(messages: tuple[Message, ...], system: str) -> tuple[Message, ...]:
    """The messages with a system text before what the request's own says."""
    if messages[0].role != "system":
        return (Message("system", (TextPart(system),)), *messages)
    first = messages[0]
    return (Message("system", (TextPart(f"{system}\n\n"), *first.parts)), *messages[1:])
