"""What all techniques have in common: each is an `LM` around an `LM`.

A technique says in `answer` what it does for one choice. The rest is here: what it can carry of a
request and what it refuses, several choices side by side, and closing everything at once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import ClassVar

from kataribe.base.abilities import check_abilities, messages_of
from kataribe.base.errors import UnsupportedError
from kataribe.base.events import Event
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.use.prompts.calls import Work, derived_seed
from kataribe.use.prompts.running import AT_ONCE, Send, closed, events_of, together
from kataribe.use.prompts.turns import last_turn


@dataclass(frozen=True, slots=True)
class Carries:
    """Which fields of a request a technique can pass on to the call that writes the reply.

    Attributes:
        tools: Calls of the caller's tools come through.
        response_format: The reply is held to a form.
        logprobs: The reply's tokens come with log-probabilities.
        stop: Stop strings end the reply.
        continue_last: It can go on from an unfinished reply, or from results of tools.
    """

    tools: bool = False
    response_format: bool = False
    logprobs: bool = False
    stop: bool = False
    continue_last: bool = False


EVERYTHING = Carries(tools=True, response_format=True, logprobs=True, stop=True, continue_last=True)


class Technique(ABC):
    """An `LM` that asks another one in a better way.

    Attributes:
        title: What the technique is called.
        carries: What it can pass on.
        asks_once: It only changes the prompt of one call.
    """

    title: ClassVar[str]
    carries: ClassVar[Carries] = Carries()
    asks_once: ClassVar[bool] = False

    def __init__(self, lm: LM, *, at_once: int = AT_ONCE) -> None:
        """`at_once`: most inner calls at a time, for all choices of a request together."""
        self.lm = lm
        self.at_once = at_once

    @property
    def name(self) -> str:
        """The technique and the name of the inner model."""
        return f"{self.title} over {self.lm.name}"

    @property
    def capabilities(self) -> Capabilities:
        """The inner model's, but for what the technique cannot carry."""
        able, carries = self.lm.capabilities, self.carries
        return replace(
            able,
            raw_prompt=False,
            tools=able.tools and carries.tools,
            structured_output=able.structured_output and carries.response_format,
            logprobs=able.logprobs and carries.logprobs,
        )

    @abstractmethod
    async def answer(self, work: Work) -> None:
        """Answers one choice, or all of them where `is_one_call` says so."""

    def is_one_call(self, request: Request) -> bool:  # noqa: ARG002 - some decide by it
        """All choices come out of one call of the inner model, which is given n and the seed."""
        return self.asks_once

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers, with a step for what is done on the way.

        Raises `UnsupportedError`, naming the field, for what the technique cannot carry and for
        raw prompts; `InputError` where no message is the user's; what inner calls raise.
        """
        self._check(request)
        gate = asyncio.Semaphore(self.at_once)

        async def work(send: Send) -> None:
            choices = self._choices(request)
            works = [Work(self.lm, each, at, send, gate) for at, each in enumerate(choices)]
            await together(each.perform(self.answer) for each in works)

        async with closed(events_of(work)) as events:
            async for event in events:
                yield event

    def _choices(self, request: Request) -> list[Request]:
        if self.is_one_call(request) or request.n == 1:
            return [request]
        # The first of several replies is the one that n = 1 would give.
        seeds = [request.seed, *(derived_seed(request.seed, at) for at in range(1, request.n))]
        return [replace(request, n=1, seed=seed) for seed in seeds]

    def _check(self, request: Request) -> None:
        check_abilities(self.name, self.capabilities, request)
        for field in ("echo", "score_only"):
            if getattr(request, field):
                raise UnsupportedError(
                    f"{self.name} answers questions, and {field} is for bare prompts. Leave it "
                    "out, or ask the inner model.",
                    param=field,
                )
        if request.stop and not self.carries.stop:
            raise UnsupportedError(
                f"{self.name} needs stop strings for itself. Leave out stop.", param="stop"
            )
        turn = last_turn(messages_of(request), self.name)
        if not self.carries.continue_last or not self.is_one_call(request):
            self._refuse_unfinished(request, turn_is_last=not turn.after)

    def _refuse_unfinished(self, request: Request, *, turn_is_last: bool) -> None:
        if request.continue_last:
            raise UnsupportedError(
                f"{self.name} makes a reply out of several calls and cannot go on from an "
                "unfinished one. Leave out continue_last.",
                param="continue_last",
            )
        if not turn_is_last:
            raise UnsupportedError(
                f"{self.name} works on the user's last turn, which must be the last message. "
                "Leave out what follows it, or ask the inner model.",
                param="messages",
            )
