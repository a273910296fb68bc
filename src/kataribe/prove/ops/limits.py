"""Limits: an `LM` around an `LM` that ends a request cleanly when what it may use is used up.

The reply then ends with the reason `budget` or `deadline`, with what was found until then and a
line that says which limit it was; nothing is raised in the middle of words. Calls inside a
technique or an agent share what is left of the limits around them: where their models are wrapped
in `Limited` too (without limits of their own, say), those end or are refused as cleanly, and the
technique has a moment to make the best of what it has. Where they are not, it is cut.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from kataribe.base.errors import KataribeError, UnsupportedError
from kataribe.base.events import (
    Event,
    Finished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from kataribe.base.limits import Limits
from kataribe.base.lm import LM, Capabilities, Request
from kataribe.base.messages import Message, Part, ReasoningPart, TextPart
from kataribe.prove.ops.accounts import Account, Allowance, current
from kataribe.prove.ops.meter import close
from kataribe.prove.ops.spent import DOLLARS, STEPS, UNPRICED, Price
from kataribe.prove.ops.tally import Tally

_Number = TypeVar("_Number", int, float)

_WORDS = (TextDelta, ReasoningDelta)

GRACE = 0.1
"""Seconds that what is inside has to end by itself when a limit is reached, before it is cut; a
call inside another has less, so that it ends first."""


class Limited:
    """Holds each request, and everything that it causes, to limits: these and its own.

    `price` is as for the meter; where money is limited and it knows no price, the request is
    refused, because nobody could hold it to that.
    """

    def __init__(self, lm: LM, limits: Limits, price: Price) -> None:
        self._lm = lm
        self._limits = limits
        self._price = price

    @property
    def name(self) -> str:
        """The name of what is limited."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What that can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers as what is limited answers, within the limits.

        Raises `UnsupportedError` before anything else where money is limited and has no price.
        """
        around = current.get()
        shared = [] if around is None else [node for node in around.upwards() if node.allowance]
        allowance = self._allowance(request)
        if not shared and not allowance.limits:
            events = self._lm.stream(request)
            try:
                async for event in events:
                    yield event
            finally:
                await close(events, None)
            return
        account = Account(
            around, recorded=False, allowance=allowance, traceparent=request.context.trace
        )
        shared.insert(0, account)
        try:
            self._check_price(shared)
            run = _Run(Tally(account, request, self._price), request, shared)
        except BaseException:
            account.close()
            raise
        try:
            if run.over() is None:
                run.begin(self._lm)
                while (said := await run.next()) is not None:
                    yield said
            else:
                account.report(STEPS, 0)  # it is not made
        finally:
            await run.end()
        for last in run.last_words():
            yield last

    def _allowance(self, request: Request) -> Allowance:
        limits, context = self._limits, request.context
        deadline = context.deadline
        if limits.seconds is not None:
            deadline = _least(deadline, time.monotonic() + limits.seconds)
        dollars = _least(limits.dollars, context.budget)
        steps, tokens = _least(limits.steps, context.steps), _least(limits.tokens, context.tokens)
        allowance = Allowance(steps, tokens, dollars, deadline)
        if deadline != context.deadline:
            allowance.late = f"A limit of {limits.seconds:g} s: the time is over."
        return allowance

    def _check_price(self, shared: list[Account]) -> None:
        dollars = _dollars(shared)
        if dollars is not None and self._price(Usage(1000, 1000)) is None:
            raise UnsupportedError(
                f"Nobody knows the price of {self.name}, so a limit of ${dollars:g} cannot be "
                "held. Limit tokens or seconds, or give its price.",
                param="budget",
            )


class _Run:
    """One request within its limits: its own allowance first, then those around it."""

    def __init__(self, tally: Tally, request: Request, shared: list[Account]) -> None:
        self._tally = tally
        self._account = tally.account
        self._request = request
        self._shared = shared
        self._allowances = [node.allowance for node in shared if node.allowance is not None]
        self._said: list[list[TextDelta | ReasoningDelta]] = [[] for _ in range(request.n)]
        self._calls: set[tuple[int, int]] = set()
        self._is_spent = False
        self._fired = False
        self._inner: AsyncIterator[Event] | None = None
        self._task: asyncio.Task[object] | None = None
        self._grace = GRACE / len(self._allowances)
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        for allowance in self._allowances:
            allowance.listeners.append(self._spent)
            if allowance.deadline is not None:
                left = allowance.deadline - time.monotonic()
                late = partial(allowance.end, "deadline", allowance.late)
                self._timers.append(self._loop.call_later(left, late))

    def over(self) -> Allowance | None:
        """The limit that has been reached, the innermost first."""
        for allowance in self._allowances:
            end = allowance.deadline
            if end is not None and allowance.reason is None and time.monotonic() >= end:
                allowance.end("deadline", allowance.late)
        return next((one for one in self._allowances if one.reason is not None), None)

    def begin(self, lm: LM) -> None:
        """Asks, with the time and money that are left told to those inside who keep to them."""
        self._inner = lm.stream(_told(self._request, self._shared))

    async def next(self) -> Event | None:
        """The next inner event; None at the end, or when a limit has ended it."""
        if self._fired or (self._is_spent and not self._account.has_inner):
            return None  # a model has nothing to round off, unlike a technique
        assert self._inner is not None
        task = self._task = asyncio.current_task()
        asked = task.cancelling() if task is not None else 0
        outside = current.get()
        current.set(self._account)
        try:
            event = await self._inner.__anext__()
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            # As asyncio.timeout tells its own cancellation from somebody else's.
            if self._was_fired() and task is not None and task.uncancel() <= asked:
                return None
            raise
        except KataribeError:
            # Without the calls that it wanted a technique may know no way on; that is no error.
            if self.over() is None:
                raise
            return None
        finally:
            current.set(outside)
            self._task = None
        self._tally.note(event)
        if type(event) is Finished:
            return self._honest(event)
        self._keep(event)
        return event

    async def end(self) -> None:
        """Stops what still runs inside, and waits for nothing any more."""
        for timer in self._timers:
            timer.cancel()
        for allowance in self._allowances:
            allowance.listeners.remove(self._spent)
        try:
            await close(self._inner, self._account)
        finally:
            self._tally.end()
            self._account.close()

    def last_words(self) -> Iterator[Finished]:
        """The end of every choice that a limit has cut, with what was found."""
        over = self.over()
        for index in range(self._request.n):
            if over is None or index in self._tally.reasons:
                continue
            for allowance in self._allowances:
                allowance.has_cut = allowance.has_cut or allowance.reason is not None
            said = self._said[index]
            yield Finished(
                Message("assistant", tuple(_found(said))),
                self._tally.used(index),
                over.reason or "budget",
                index,
                tuple(each for one in said if isinstance(one, TextDelta) for each in one.logprobs),
                over.detail + self._left_out(index),
            )

    def _was_fired(self) -> bool:
        return self._fired

    def _spent(self) -> None:
        if not self._is_spent:
            self._is_spent = True
            self._timers.append(self._loop.call_later(self._grace, self._fire))

    def _fire(self) -> None:
        self._fired = True
        if self._task is not None:
            self._task.cancel()

    def _honest(self, event: Finished) -> Finished:
        """What a technique ends with whose calls were cut says so."""
        own = self._allowances[0]
        if own.has_cut and event.reason in ("stop", "length"):
            event = replace(event, reason=own.reason or "budget", detail=own.detail)
        unknown = int(self._account.total[UNPRICED])
        if own.dollars is not None and unknown:
            words = f"{event.detail} Nobody knows the price of {unknown} calls in it.".strip()
            event = replace(event, detail=words)
        return event

    def _keep(self, event: Event) -> None:
        if isinstance(event, _WORDS):
            self._said[event.index].append(event)
        elif isinstance(event, ToolCallDelta):
            self._calls.add((event.index, event.call))

    def _left_out(self, index: int) -> str:
        calls = sum(1 for choice, _ in self._calls if choice == index)
        return f" {calls} tool calls that were being written are left out." if calls else ""


def _found(said: Sequence[TextDelta | ReasoningDelta]) -> Iterator[Part]:
    thought = "".join(one.text for one in said if isinstance(one, ReasoningDelta))
    text = "".join(one.text for one in said if isinstance(one, TextDelta))
    if thought:
        yield ReasoningPart(thought)
    if text:
        yield TextPart(text)


def _told(request: Request, shared: Sequence[Account]) -> Request:
    """The request with the time and money that are left, for those inside who can keep to them.

    Steps and tokens are counted here, for all inside together.
    """
    deadline = _least(*(node.allowance.deadline for node in shared if node.allowance))
    dollars, context = _dollars(shared), request.context
    told = replace(context, deadline=deadline, budget=dollars, steps=None, tokens=None)
    return request if told == context else replace(request, context=told)


def _dollars(shared: Sequence[Account]) -> float | None:
    """What is left of the money that is limited."""
    left = (
        node.allowance.dollars - node.total[DOLLARS]
        for node in shared
        if node.allowance is not None and node.allowance.dollars is not None
    )
    return _least(*(max(0.0, each) for each in left))


def _least(*values: _Number | None) -> _Number | None:
    return min((value for value in values if value is not None), default=None)
