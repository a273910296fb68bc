"""One choice of a request while a technique works on it: inner calls, what they cost, what is told.

Every technique asks its models through here, so that each inner call keeps the request's context
(deadline, budget, trace), has a seed of its own, is counted and can be stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from kataribe.base.abilities import is_asked, messages_of
from kataribe.base.easing import LEFT_OUT, Eased
from kataribe.base.errors import KataribeError
from kataribe.base.events import (
    Citation,
    Event,
    Finished,
    FinishReason,
    Progress,
    ReasoningDelta,
    Sealed,
    Step,
    TextDelta,
    Usage,
)
from kataribe.base.lm import LEAVABLE, LM, Request, TextFormat, ToolChoice
from kataribe.base.messages import Message, ReasoningPart, TextPart, text_of
from kataribe.use.prompts.running import Send, closed
from kataribe.use.prompts.turns import last_turn
from kataribe.use.prompts.wordings import wording_for

_T = TypeVar("_T")
_OVER: frozenset[FinishReason] = frozenset({"deadline", "budget", "cancelled", "error"})
"""Ends of an inner call after which the next one would end in the same way."""


class CutShortError(Exception):
    """The request's limits end a technique before its reply; it passes no further than `Work`."""

    def __init__(self, reason: FinishReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: FinishReason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Said:
    """What an inner call said.

    Attributes:
        finished: Its end.
        citations: The sources that came with it.
    """

    finished: Finished
    citations: tuple[Citation, ...] = ()

    @property
    def text(self) -> str:
        """Its words, without what a reasoning model thought before them."""
        return text_of(self.finished.message)


class Work:
    """What a technique does for one choice.

    Attributes:
        lm: The inner model.
        request: The request for this choice.
        turn: Its last question, and what stands around it.
        wording: What to say to models, in the language of the question.
        usage: What all inner calls have used so far.
        said: The reply's words so far.
        thought: What was thought before the reply, so far.
        found: What `keep` noted last.
    """

    def __init__(
        self, lm: LM, request: Request, index: int, send: Send, gate: asyncio.Semaphore
    ) -> None:
        """`gate` bounds the inner calls at once, of all choices together."""
        messages = messages_of(request)
        self.lm = lm
        self.request = request
        self.turn = last_turn(messages, lm.name)
        self.wording = wording_for(self.turn.question, map(text_of, self.turn.before))
        self.usage = Usage(0, 0)
        self.said = ""
        self.thought = ""
        self.found = ("", "")
        self._index = index
        self._send = send
        self._gate = gate
        self._running = 0
        self._left_out: set[str] = set()

    @property
    def question(self) -> str:
        """The words of the user's last turn."""
        return self.turn.question

    async def step(self, name: str, detail: str, call: str = "", content: str = "") -> None:
        """Tells what is done now; `detail` becomes one line, and loses no word.

        Args:
            name: The step's.
            detail: What is done.
            call: An id that a call of a tool shares with what came of it.
            content: What the line tells of, as JSON, for programs.
        """
        line = one_line(detail)
        content = content or ("" if line == detail else detail)
        await self._send(Step(name, line, self._index, call, content, self._tokens))

    @property
    def _tokens(self) -> int:
        return self.usage.prompt_tokens + self.usage.completion_tokens

    def keep(self, line: str, text: str) -> None:
        """Notes what was found so far.

        `line` is told when an inner call fails, and when a limit ends the technique; then `text`
        is the reply.
        """
        self.found = (line, text)

    def seed(self, *path: str | int) -> int | None:
        """The seed of one inner call: different for each path, the same in each repetition."""
        return derived_seed(self.request.seed, *path)

    def aside(self, text: str, *path: str | int, temperature: float | None = None) -> Request:
        """A request for something that is not yet the reply: free words, no tools, no stops.

        Args:
            text: What the user's last turn says instead.
            path: Which of the technique's calls this is, for its seed.
            temperature: Instead of the request's where that is 0 or unset.
        """
        sampling = replace(self.request.sampling, min_tokens=0, ignore_eos=False)
        if temperature is not None and not sampling.temperature:
            sampling = replace(sampling, temperature=temperature)
        return replace(
            self.request,
            prompt=self.turn.asking(text),
            sampling=sampling,
            tools=(),
            tool_choice=ToolChoice(),
            response_format=TextFormat(),
            stop=(),
            logprobs=None,
            verbosity=None,
            seed=self.seed(*path),
        )

    def reply(self, text: str) -> Request:
        """The request for the reply itself, with other words in the user's last turn."""
        return replace(self.request, prompt=self.turn.asking(text))

    async def ask(
        self,
        request: Request,
        *,
        lm: LM | None = None,
        heard: Callable[[str], Awaitable[None]] | None = None,
    ) -> Said:
        """The whole answer to an inner call; its words are not part of the reply.

        Steps of the inner model are told as they come.

        Args:
            request: What is asked.
            lm: Whom, if not the inner model.
            heard: Hears the words while they come.
        """
        async with self._gate:
            self._refuse_late()
            self._running += 1
            try:
                said = await self._listen(lm or self.lm, request, heard)
            finally:
                self._running -= 1
        end = said.finished
        self.usage += end.usage
        if end.reason in _OVER:
            raise CutShortError(end.reason, end.detail)
        return said

    async def _listen(
        self, lm: LM, request: Request, heard: Callable[[str], Awaitable[None]] | None
    ) -> Said:
        finished: Finished | None = None
        citations: list[Citation] = []
        # What a technique sets by itself may go; what the person asked for may not.
        own = [each for each in LEAVABLE if not is_asked(self.request, each)]
        eased = Eased(lm, own, told=("temperature",))
        async with closed(eased.stream(request)) as events:
            async for event in events:
                match event:
                    case Finished():
                        finished = event
                    case Citation():
                        citations.append(event)
                    case Step():
                        if event.name == LEFT_OUT and event.detail in self._left_out:
                            continue  # that was said before
                        self._left_out |= {event.detail} if event.name == LEFT_OUT else set()
                        tokens = event.tokens and self._tokens + event.tokens
                        await self._send(replace(event, index=self._index, tokens=tokens))
                    case Progress() if self._running == 1:  # of several, bars would jump
                        await self._send(replace(event, index=self._index))
                    case TextDelta() if heard is not None:
                        await heard(event.text)
        if finished is None:
            raise _broken_off(lm)
        return Said(finished, tuple(citations))

    async def relay(
        self,
        request: Request,
        *,
        last: Callable[[Finished], Sequence[Event]] = lambda _: (),
    ) -> None:
        """The inner model's reply becomes the reply, event by event.

        `last` gives events that come before the end of a choice. The end counts all inner calls.
        """
        ended = 0
        async with self._gate:
            self._refuse_late()
            async with closed(self.lm.stream(request)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        ended += 1
                        for more in last(event):
                            await self._send(replace(more, index=more.index + self._index))
                        event = await self._counted(event)
                    await self._send(replace(event, index=event.index + self._index))
        if ended != request.n:
            raise _broken_off(self.lm)

    async def _counted(self, end: Finished) -> Finished:
        """The end of a choice with the whole cost, and with what was found where it was cut."""
        self.usage += end.usage
        message = _with_thought(end.message, self.thought)
        if end.reason in _OVER:
            await self._tell_found()
            if self.found[1] and not text_of(message):
                await self._send(TextDelta(self.found[1], self._index))
                message = replace(message, parts=(*message.parts, TextPart(self.found[1])))
        usage = self.usage if self.request.n == 1 else end.usage
        return replace(end, usage=usage, message=message)

    async def give(self, said: Said) -> None:
        """An answer that was collected becomes the reply."""
        message = said.finished.message
        for part in message.parts:
            if isinstance(part, ReasoningPart):
                if part.text:
                    await self._send(ReasoningDelta(part.text, self._index))
                if part.seal:
                    await self._send(Sealed(part.seal, self._index, alone=not part.text))
            elif isinstance(part, TextPart):
                await self._send(TextDelta(part.text, self._index))
        for citation in said.citations:
            await self._send(replace(citation, index=self._index))
        await self._send(replace(said.finished, usage=self.usage, index=self._index, logprobs=()))

    async def think(self, text: str) -> None:
        """The next words of what is thought before the reply."""
        self.thought += text
        await self._send(ReasoningDelta(text, self._index))

    async def say(self, text: str) -> None:
        """The next words of the reply."""
        self.said += text
        await self._send(TextDelta(text, self._index))

    async def end(self, reason: FinishReason, detail: str = "") -> None:
        """Ends the reply with the words that were said, and every other choice of the request."""
        message = Message("assistant", (TextPart(self.said),) if self.said else ())
        message = _with_thought(message, self.thought)
        await self._send(Finished(message, self.usage, reason, self._index, detail=detail))
        for other in range(1, self.request.n):  # more than one only where one call gives all
            empty = Message("assistant", ())
            await self._send(Finished(empty, Usage(0, 0), reason, other, detail=detail))

    async def perform(self, answer: Callable[[Work], Awaitable[None]]) -> None:
        """Runs a technique; where a limit or an error ends it, tells what it had found."""
        try:
            await answer(self)
        except CutShortError as cut:
            await self._tell_found()
            if self.found[1] and not self.said:
                await self.say(self.found[1])
            await self.end(cut.reason, cut.detail)
        except KataribeError:
            await self._tell_found()
            raise

    async def in_time(self, work: Awaitable[_T]) -> _T:
        """What a tool, a search or an embedder gives, within the request's deadline."""
        deadline = self.request.context.deadline
        limit = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            async with asyncio.timeout(limit) as clock:
                return await work
        except TimeoutError:
            if not clock.expired():
                raise
            raise CutShortError("deadline", "The request's time was over.") from None

    async def _tell_found(self) -> None:
        if self.found[0]:
            await self.step("so far", self.found[0])

    def _refuse_late(self) -> None:
        deadline = self.request.context.deadline
        if deadline is not None and time.monotonic() >= deadline:
            raise CutShortError("deadline", "The request's time was over.")


def _broken_off(lm: LM) -> KataribeError:
    return KataribeError(f"{lm.name} sent no end of its reply; its stream broke off.")


def derived_seed(seed: int | None, *path: str | int) -> int | None:
    """A seed below 2^31 (what every provider takes) from a seed and a path; None from None."""
    if seed is None:
        return None
    digest = hashlib.blake2b(repr((seed, *path)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def _with_thought(message: Message, thought: str) -> Message:
    """The message with what was thought before it, joined with what the model itself thought."""
    if not thought:
        return message
    own = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
    rest = tuple(part for part in message.parts if not isinstance(part, ReasoningPart))
    return replace(message, parts=(ReasoningPart(thought + own), *rest))


def one_line(text: str) -> str:
    """The words on one line; only breaks between lines change."""
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
