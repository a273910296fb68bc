"""The meter: an `LM` around an `LM` that writes down what each call and all it caused have used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from kataribe.base.errors import KataribeError
from kataribe.base.events import Event, Step
from kataribe.base.lm import LM, Capabilities, Request, Tool, ToolSpec, close_stream
from kataribe.prove.ops.accounts import Account, current
from kataribe.prove.ops.ledger import Ledger, Span
from kataribe.prove.ops.spent import Price, spent_of
from kataribe.prove.ops.steps import Steps
from kataribe.prove.ops.tally import Tally


class Metered:
    """Passes everything on and adds a span to the ledger when a call ends, however it ends.

    A meter around a technique or an agent, whose models are metered too, shows what each of them
    used; no token and no cent counts twice. `price` is asked for tokens that no inner call has
    accounted for, so around a technique `free` says that its models are priced already.
    """

    def __init__(self, lm: LM, ledger: Ledger, price: Price) -> None:
        self._lm = lm
        self._ledger = ledger
        self._price = price

    @property
    def name(self) -> str:
        """The name of what is metered."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What that can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers as what is metered answers."""
        began = time.time()
        context = request.context
        account = Account(current.get(), traceparent=context.trace)
        tally = Tally(account, request, self._price)
        steps: Steps | None = None
        request = replace(request, context=replace(context, trace=account.traceparent))
        events: AsyncIterator[Event] | None = None
        error: BaseException | None = None
        # An async generator runs in the context of whoever asks it for the next event: so the
        # account is the current one only while the inner stream works, not while others do.
        outside = current.get()
        try:
            while True:
                outside = current.get()
                current.set(account)
                try:
                    if events is None:
                        events = self._lm.stream(request)
                    event = await events.__anext__()
                except StopAsyncIteration:
                    break
                finally:
                    current.set(outside)
                if type(event) is Step:
                    steps = steps or Steps(account, self._ledger)
                    steps.saw(event)
                else:
                    tally.note(event)
                yield event
        except BaseException as raised:
            error = raised
            raise
        finally:
            try:
                await close(events, account)
            finally:
                tally.end()
                if steps is not None:
                    steps.end()
                self._ledger.add(_span(tally, request, self.name, began, error))


async def close(events: AsyncIterator[Event] | None, account: Account | None) -> None:
    """Closes an inner stream at once; what that causes belongs to `account`."""
    outside = current.get()
    if account is not None:
        current.set(account)
    try:
        await close_stream(events)
    finally:
        current.set(outside)


class MeteredTool:
    """A tool whose calls have spans too, so that a model it asks is seen below it."""

    def __init__(self, tool: Tool, ledger: Ledger) -> None:
        self._tool = tool
        self._ledger = ledger

    @property
    def spec(self) -> ToolSpec:
        """How a model sees it."""
        return self._tool.spec

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The tool's answer; raises what the tool raises."""
        began, start = time.time(), time.perf_counter()
        outside = current.get()
        account = Account(outside)
        error: BaseException | None = None
        current.set(account)
        try:
            return await self._tool.call(arguments)
        except BaseException as raised:
            error = raised
            raise
        finally:
            current.set(outside)
            own = spent_of(account.close())
            self._ledger.add(
                Span(
                    id=account.span or "",
                    parent=account.parent_span,
                    trace=account.trace,
                    name=self.spec.name,
                    kind="tool",
                    user=None,
                    conversation=None,
                    began=began,
                    queue=0.0,
                    first=None,
                    whole=time.perf_counter() - start,
                    own=own,
                    total=spent_of(account.total),
                    reason=reason_of("stop", error),
                    error=code_of(error),
                )
            )


def _span(
    tally: Tally, request: Request, name: str, began: float, error: BaseException | None
) -> Span:
    account = tally.account
    own = spent_of(account.close())
    return Span(
        id=account.span or "",
        parent=account.parent_span,
        trace=account.trace,
        name=name,
        kind="lm",
        user=request.context.user,
        conversation=request.context.conversation,
        began=began,
        queue=tally.queue,
        first=tally.first,
        whole=tally.whole,
        own=own,
        total=spent_of(account.total),
        reason=reason_of(tally.reasons.get(0, "closed"), None if tally.exact else error),
        error=None if tally.exact else code_of(error),
        exact=tally.exact,
    )


def reason_of(reason: str, error: BaseException | None) -> str:
    """How a call ended: its own reason, `closed` or `error`."""
    if error is None:
        return reason
    return "closed" if isinstance(error, GeneratorExit | asyncio.CancelledError) else "error"


def code_of(error: BaseException | None) -> str | None:
    """The code of an error that ended a call; None where whoever asked only went away."""
    if error is None or isinstance(error, GeneratorExit | asyncio.CancelledError):
        return None
    return error.code if isinstance(error, KataribeError) else type(error).__name__
