"""A reply while it is written: its words so far, who is told of them, and how it ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from kataribe.base.abilities import check_abilities, messages_of
from kataribe.base.errors import KataribeError
from kataribe.base.events import (
    Event,
    Finished,
    Progress,
    ReasoningDelta,
    Step,
    TextDelta,
    Usage,
)
from kataribe.base.lm import LM, Context, Request, Sampling
from kataribe.base.messages import Message as Turn
from kataribe.base.messages import text_message
from kataribe.store.messages import Message
from kataribe.store.news import ConsentTold, Delta, News, StepTold, Waits, WaitsNow
from kataribe.use.chats.consent import Consents, as_messages
from kataribe.use.chats.steps import Steps
from kataribe.use.chats.values import Ended, Models

log = logging.getLogger("kataribe.chats")

Allowed = Callable[[str], Awaitable[frozenset[str]]]
"""Tools of a model that the person has allowed in a conversation for good."""

FRAME = 0.025
"""Seconds in which pieces are joined before pages are told: 40 times a second is a smooth line."""


class LiveReply:
    """One reply that is being written.

    Args:
        message: As it is in the database.
        tell: Called with news, in the event loop.
    """

    def __init__(self, message: Message, model: str, tell: Callable[[News], None]) -> None:
        self.message = message
        self.model = model
        self.waits: Waits | None = None
        self.text = message.text
        self.reasoning = message.reasoning
        self.state = "waiting"
        self._tokens = 0
        self._tell = tell
        self._began = time.monotonic()
        self._first: float | None = None
        self._last: float | None = None
        self._stage_began = self._began
        self._stage_first = 0
        self._untold: dict[str, str] = {"text": "", "reasoning": ""}
        self._half = {"text": "", "reasoning": ""}  # of a character that came in two pieces
        self._units = {"text": _units(self.text), "reasoning": _units(self.reasoning)}
        self._timer: asyncio.TimerHandle | None = None
        self._finished: Finished | None = None
        self.steps = Steps(message.steps, _whole)
        self.consents = Consents(message.consents, _whole, self._tell_consent)
        self.changes = 0
        self._offset = max((step["at"] for step in message.steps), default=0.0)
        self._breaks = bool(message.consents)  # the next words begin a paragraph

    def snapshot(self) -> Message:
        """The message with the words that pages have been told."""
        self.flush()
        return Message(
            **{
                **{name: getattr(self.message, name) for name in Message.__dataclass_fields__},
                "model": self.model,
                "text": self.text,
                "reasoning": self.reasoning,
                "state": self.state,
                "first_after": self._first,
                "took": self._last,
                "steps": tuple(self.steps.all),
                "consents": tuple(self.consents.rounds),
            }
        )

    async def write(
        self, models: Models, request: Request, allowed: Allowed, patience: float
    ) -> Ended:
        """Has the model answer; gives how it ended. Cancelling stops the model at once.

        Where it asks for consent, its person is waited for, at most `patience` seconds, without
        holding the model; then it goes on.
        """
        try:
            while True:
                end = await self._asked(models, self._with_answers(request))
                if end is None or end.reason != "approval":
                    break
                self.flush()
                if not self.consents.ask(end, await allowed(self.model), patience):
                    break
                await self.consents.wait()
                self._breaks = True
        except KataribeError as error:
            return self.ending("failed", failure={"code": error.code, "message": error.message})
        if self._finished is None:
            return self.ending(
                "failed",
                failure={"code": "reply_broke_off", "message": "The model ended in silence."},
            )
        if self._finished.reason == "error":
            why = self._finished.detail or "the model gave no reason"
            return self.ending(
                "failed",
                failure={"code": "reply_broke_off", "message": f"The reply broke off: {why}."},
            )
        return self.ending("done")

    async def _asked(self, models: Models, request: Request) -> Finished | None:
        """How one request ended, None for in silence; the model is let go then."""
        self._finished = None
        async with models.lease(self.model) as lm:
            await self._listen(lm, request)
        return self._finished

    def _with_answers(self, request: Request) -> Request:
        if not self.consents.rounds:
            return request
        messages = (*messages_of(request), *as_messages(self.consents.rounds))
        return replace(request, prompt=messages)

    def ending(self, state: Any, failure: Mapping[str, str] | None = None) -> Ended:
        """How it ended, with all that is known of it by now."""
        self.flush()
        told = None if failure is None else {k: _whole(words) for k, words in failure.items()}
        end = self._finished
        usage = self._usage(end)
        return Ended(
            state,
            {
                "text": self.text,
                "reasoning": self.reasoning,
                "model": self.model,
                "finish": None if end is None else end.reason,
                "detail": "" if end is None else _whole(end.detail),
                "failure": told,
                "prompt_tokens": usage and usage.prompt_tokens,
                "cached_tokens": usage and usage.cached_tokens,
                "completion_tokens": usage and usage.completion_tokens,
                "first_after": self._first,
                "took": self._last,
                "steps": list(self.steps.all),
                "consents": list(self.consents.rounds),
            },
            self.message,
        )

    def _usage(self, end: Finished | None) -> Usage | None:
        """What all requests of the reply used; None where its last one did not say."""
        if end is None:
            return None
        before = self.consents.usage
        if end.reason == "approval":  # it is in the rounds
            return before
        return before + end.usage

    def flush(self) -> None:
        """Tells the words that nobody has been told yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for kind, words in self._untold.items():
            if words:
                place = self._units[kind]
                self._tell(Delta(self.message.id, kind, place, words, self._tokens))  # type: ignore[arg-type]
                self._units[kind] += _units(words)
                self._untold[kind] = ""

    async def _listen(self, lm: LM, request: Request) -> None:
        check_abilities(lm.name, lm.capabilities, request)
        stream = lm.stream(request)
        async with aclosing(stream) as events:  # type: ignore[type-var]
            async for event in events:
                self._hear(event)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Progress) and self.state == "waiting":
            self._wait(event)
        elif isinstance(event, TextDelta) and event.text:
            self._tokens = max(self._tokens, event.tokens)
            self._write("text", event.text)
        elif isinstance(event, ReasoningDelta) and event.text:
            self._tokens = max(self._tokens, event.tokens)
            self._write("reasoning", event.text)
        elif isinstance(event, Step):
            self._step(event)
        elif isinstance(event, Finished):
            self._finished = event

    def _step(self, event: Step) -> None:
        self.flush()  # words before a step are told before it
        if self.waits is not None:
            self.waits = None
            self._tell(WaitsNow(self.message.id, None))
        at = self._offset + time.monotonic() - self._began
        place, told = self.steps.add(event, at)
        self.changes += 1
        self._tell(StepTold(self.message.id, place, told))

    def _tell_consent(self, place: int) -> None:
        self.changes += 1
        if self.waits is not None:
            self.waits = None
            self._tell(WaitsNow(self.message.id, None))
        self._tell(ConsentTold(self.message.id, place, self.consents.rounds[place]))

    def _wait(self, event: Progress) -> None:
        now = time.monotonic()
        if self.waits is None or self.waits.stage != event.stage:
            self._stage_began = now
            self._stage_first = event.done
        gone = abs(event.done - self._stage_first)
        left = event.done if event.stage == "queued" else (event.total or 0) - event.done
        eta = left * (now - self._stage_began) / gone if gone and left > 0 else None
        self.waits = Waits(event.stage, event.done, event.total, eta)
        self._tell(WaitsNow(self.message.id, self.waits))

    def _write(self, kind: str, words: str) -> None:
        if kind == "text" and self._breaks:
            self._breaks = False
            if self.text and not self.text.endswith("\n"):
                words = f"\n\n{words}"
        words, self._half[kind] = _cut(self._half[kind] + words)
        if not words:
            return
        self._last = time.monotonic() - self._began
        if self._first is None:
            self._first = self._last
            self.state = "writing"
            self.waits = None
            self._tell(WaitsNow(self.message.id, None))
        if kind == "text":
            self.text += words
        else:
            self.reasoning += words
        self._untold[kind] += words
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FRAME, self._on_frame)

    def _on_frame(self) -> None:
        self._timer = None
        self.flush()


def request_for(message: Message, prompt: tuple[Turn, ...], owner: str) -> Request:
    """What a reply's model is asked."""
    asked = dict(message.asked.get("sampling") or {})
    seed = asked.pop("seed", None)
    # Behind rounds of consent the model itself knows what it has said.
    goes_on = message.text and not message.consents
    begun = (text_message("assistant", message.text),) if goes_on else ()
    return Request(
        (*prompt, *begun),
        sampling=Sampling(**asked),
        seed=seed,
        continue_last=bool(begun),
        context=Context(user=owner, conversation=message.conversation),
    )


def _cut(words: str) -> tuple[str, str]:
    """Words that every store and page can hold, and half a character that is still to be ended.

    Some servers' JSON cuts a character in two; and a NUL ends a text for many programs.
    """
    half = words[-1:] if "\ud800" <= words[-1:] <= "\udbff" else ""
    return _whole(words[: len(words) - len(half)]), half


def _whole(words: str) -> str:
    if words.isascii():
        return words.replace("\0", "")
    units = words.encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace").replace("\0", "")


def _units(text: str) -> int:
    """Length as JavaScript counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
