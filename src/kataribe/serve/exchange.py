"""One HTTP request's conversation with a model.

It runs in its own task, and ends at once when the client goes away or the server has to stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, TypeAlias

from starlette.types import Receive

from kataribe.base.abilities import check_abilities, messages_of
from kataribe.base.errors import KataribeError, ProviderError, UnavailableError
from kataribe.base.events import Event, Finished, ToolCallDelta
from kataribe.base.lm import LM, Request, close_stream
from kataribe.base.messages import Message, ToolCallPart
from kataribe.serve.desk import Desk
from kataribe.serve.errors import of_prompt, renamed
from kataribe.serve.intake import ClientGoneError
from kataribe.serve.metrics import Meter
from kataribe.serve.record import Record

SIDE_BY_SIDE = 16
"""Prompts of one call that a model answers at a time; the rest wait here, not in its queue."""

BUFFERED = 64
"""Events that wait for a slow client before the model does."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the request's prompt number `prompt`."""

    prompt: int
    event: Event


@dataclass(frozen=True, slots=True)
class Question:
    """The request's prompt number `number`."""

    number: int
    request: Request


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked beyond its requests.

    Attributes:
        around: Puts something around the model, such as a technique.
        heard: Hears every event before it is told on; whoever reads waits for it.
        fields: How the caller's wire format calls what errors name otherwise, such as
            `text.format` for `response_format`.
    """

    around: Callable[[LM], AbstractAsyncContextManager[LM]] = nullcontext
    heard: Callable[[Event], Awaitable[None]] | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


_Item: TypeAlias = Told | BaseException | None


class Exchange:
    """The merged events of one or more questions to one model.

    As a context it holds the model and the client's connection; leaving it closes the model's
    streams, whether they ended or not. `fields` is short for a `Manner` of these fields alone.
    """

    def __init__(
        self,
        desk: Desk,
        name: str,
        requests: Sequence[Request],
        record: Record,
        fields: Mapping[str, str] | None = None,
        manner: Manner | None = None,
    ) -> None:
        self.requests = tuple(requests)
        self._manner = manner or Manner(fields=fields or {})
        self._desk = desk
        self._name = name
        self._record = record
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        self._room = asyncio.Semaphore(BUFFERED)
        self._tasks: list[asyncio.Task[None]] = []
        self._interrupt: BaseException | None = None

    def start(self, receive: Receive) -> None:
        """Begins to ask; `receive` tells when the client is gone."""
        asking = asyncio.create_task(self._ask())
        self._tasks = [
            asking,
            asyncio.create_task(self._watch_client(receive, asking)),
            asyncio.create_task(self._watch_server(asking)),
        ]

    async def close(self) -> None:
        """Stops whatever still runs and waits until it has stopped."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def next(self, patience: float | None = None) -> Told | None:
        """The next event, or None after the last.

        Raises what the model raised, `ClientGoneError`, and `TimeoutError` after `patience`
        seconds of silence.
        """
        async with asyncio.timeout(patience):
            item = await self._items.get()
        if isinstance(item, BaseException):
            raise item
        self._room.release()
        return item

    async def finished(self) -> list[list[Finished]]:
        """The whole replies: for each prompt, its choices in order."""
        ended: list[dict[int, Finished]] = [{} for _ in self.requests]
        while (told := await self.next()) is not None:
            if isinstance(told.event, Finished):
                ended[told.prompt][told.event.index] = told.event
        return [[choices[index] for index in sorted(choices)] for choices in ended]

    async def _ask(self) -> None:
        last: _Item = None
        try:
            async with (
                self._desk.models.lease(self._name) as model,
                self._manner.around(model) as lm,
            ):
                for request in self.requests:
                    check_abilities(lm.name, lm.capabilities, request)
                await self._ask_all(lm, Meter(self._desk.metrics, self._record, model.name))
        except asyncio.CancelledError:
            if self._interrupt is None:
                raise
            last = self._interrupt
        except Exception as error:  # noqa: BLE001  handed to whoever reads the events, who raises it
            last = renamed(error, self._manner.fields)
            if not messages_of(self.requests[0]):
                last = of_prompt(error)
        if isinstance(last, ClientGoneError):
            while not self._items.empty():  # nobody reads them any more
                self._items.get_nowait()
        self._items.put_nowait(last)

    async def _ask_all(self, lm: LM, meter: Meter) -> None:
        room = asyncio.Semaphore(SIDE_BY_SIDE)
        try:
            async with asyncio.TaskGroup() as group:
                for number, request in enumerate(self.requests):
                    group.create_task(self._ask_one(lm, Question(number, request), room, meter))
        except BaseExceptionGroup as errors:
            # One prompt that fails ends the call; the first error is the one to tell.
            raise errors.exceptions[0] from None

    async def _ask_one(
        self, lm: LM, question: Question, room: asyncio.Semaphore, meter: Meter
    ) -> None:
        number, request = question.number, question.request
        async with room:
            open_choices = set(range(request.n))
            async with aclosing(_obeying(request, lm.stream(request))) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        open_choices.discard(event.index)
                        _check_end(event)
                    meter.saw(number, event)
                    if self._manner.heard is not None:
                        await self._manner.heard(event)
                    await self._room.acquire()
                    self._items.put_nowait(Told(number, event))
            if open_choices:
                raise KataribeError(
                    f"{lm.name} ended {request.n - len(open_choices)} of {request.n} choices; its "
                    "stream broke the protocol."
                )

    async def _watch_client(self, receive: Receive, asking: asyncio.Task[None]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stop(asking, ClientGoneError())

    async def _watch_server(self, asking: asyncio.Task[None]) -> None:
        await self._desk.lifecycle.halted()
        self._stop(
            asking,
            UnavailableError(
                "The server stopped before the reply ended. Ask again when it is back.",
                retry_after=10,
            ),
        )

    def _stop(self, asking: asyncio.Task[None], why: BaseException) -> None:
        self._interrupt = why
        asking.cancel()


def _check_end(event: Finished) -> None:
    if event.reason == "error":
        raise ProviderError(
            f"The reply broke off: {event.detail or 'the model gave no reason'}.",
            code="reply_broke_off",
        )


async def _obeying(request: Request, events: AsyncIterator[Event]) -> AsyncGenerator[Event, None]:
    """The events with at most one tool call each turn where more are not wanted.

    Models here are held to that while they write; this holds those that only heard of it.
    Closing it closes `events`.
    """
    try:
        async for event in events:
            if request.parallel_tool_calls:
                yield event
            elif isinstance(event, Finished):
                yield _with_one_call(event)
            elif not isinstance(event, ToolCallDelta) or event.call == 0:
                yield event
    finally:
        await close_stream(events)


def _with_one_call(event: Finished) -> Finished:
    calls = [part for part in event.message.parts if isinstance(part, ToolCallPart)]
    parts = tuple(part for part in event.message.parts if part not in calls[1:])
    return replace(event, message=Message(event.message.role, parts))
