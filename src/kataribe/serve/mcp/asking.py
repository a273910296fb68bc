"""One question of an MCP host: the reply, with its progress told on the way."""

from __future__ import annotations

import time
from contextlib import aclosing

from pydantic import BaseModel, ConfigDict, Field

from kataribe.base.abilities import check_abilities
from kataribe.base.errors import InputError, KataribeError, ProviderError
from kataribe.base.events import Event, Finished, Progress, Step, TextDelta
from kataribe.base.lm import Context, Request, Sampling
from kataribe.base.messages import text_message, text_of
from kataribe.serve.mcp.offer import Caller, Lender, Report

EVERY = 0.25
"""Seconds between two pieces of a reply that are told as progress."""


class Asked(BaseModel):
    """Arguments of `ask`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: str = Field(min_length=1, description="The question, with all that it needs.")
    model: str | None = Field(None, description="A name of list_models; left out: the default.")
    system: str | None = Field(None, description="What the model is told before the question.")
    max_tokens: int | None = Field(None, ge=1, description="Most tokens of the reply.")
    temperature: float | None = Field(None, ge=0, le=2, description="0 takes the likeliest token.")


class Answer(BaseModel):
    """A reply as hosts get it beside its words."""

    model: str
    text: str
    finish_reason: str
    detail: str = ""
    prompt_tokens: int
    completion_tokens: int


async def ask(models: Lender, model: str, asked: Asked, caller: Caller) -> Answer:
    """The whole reply of a model or assistant.

    Raises what lending it and asking it raise, and `InputError` for a reply that waits for
    somebody's consent, which nobody can give here.
    """
    messages = [text_message("user", asked.question)]
    if asked.system:
        messages.insert(0, text_message("system", asked.system))
    request = Request(
        tuple(messages),
        Sampling(temperature=asked.temperature, max_tokens=asked.max_tokens),
        context=Context(user=caller.user),
    )
    finished: Finished | None = None
    telling = Telling(caller.report)
    async with models.lease(model) as lm:
        check_abilities(lm.name, lm.capabilities, request)
        watch = caller.watching(lm.name) if caller.watching is not None else None
        async with aclosing(lm.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                if watch is not None:
                    watch(event)
                await telling.saw(event)
                if isinstance(event, Finished):
                    finished = event
    if finished is None:
        raise KataribeError(f"{model} ended without an end; its stream broke the protocol.")
    return _answer(model, finished)


def _answer(model: str, finished: Finished) -> Answer:
    if finished.reason == "error":
        raise ProviderError(f"The reply broke off: {finished.detail or 'no reason was given'}.")
    if finished.reason == "approval":
        raise InputError(
            f"{model} wants to use a tool that needs somebody's consent ({finished.detail or 'ask'}"
            "), which cannot be given over MCP. Set approval: always for it in the recipe, or ask "
            "in the studio."
        )
    return Answer(
        model=model,
        text=text_of(finished.message),
        finish_reason=finished.reason,
        detail=finished.detail,
        prompt_tokens=finished.usage.prompt_tokens,
        completion_tokens=finished.usage.completion_tokens,
    )


class Telling:
    """Tells a host what comes: steps at once, words now and then, each with a larger number."""

    def __init__(self, report: Report, every: float = EVERY) -> None:
        self._report = report
        self._every = every
        self._told = 0.0
        self._number = 0.0
        self._characters = 0
        self._pending = ""

    async def saw(self, event: Event) -> None:
        """Takes an event; tells where it is time."""
        match event:
            case TextDelta(text):
                self._pending += text
                self._characters += len(text)
                if time.monotonic() - self._told >= self._every:
                    await self._tell_words()
            case Step(name, detail):
                await self._tell_words()
                await self._tell(f"{name}: {detail}")
            case Progress(stage, done, total):
                if time.monotonic() - self._told >= self._every:
                    await self._tell(f"{stage}: {done}" + (f" of {total}" if total else ""))
            case Finished():
                await self._tell_words()

    async def _tell_words(self) -> None:
        if self._pending:
            words, self._pending = self._pending, ""
            await self._tell(words)

    async def _tell(self, words: str) -> None:
        # It must grow with every notification, and steps have no characters of the reply.
        self._number = max(self._number + 1, float(self._characters))
        self._told = time.monotonic()
        await self._report(self._number, words)
