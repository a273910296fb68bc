"""Carries events from the engine's thread to whichever event loop asked.

The engine gathers a step's events and wakes each loop once (`Post.send`), however many streams it
has. The engine holds the `Mailbox`; the asker holds the `Stream`, and dropping that gives up the
request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from kataribe.base.errors import KataribeError
from kataribe.run.inference.requests import EngineEvent


class Mailbox:
    """Events of one request on their way; all but `loop` is touched by the loop's thread alone."""

    __slots__ = ("error", "events", "is_closed", "loop", "waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.events: deque[EngineEvent] = deque()
        self.error: KataribeError | None = None
        self.is_closed = False
        self.waiter: asyncio.Future[None] | None = None

    def deliver(self, letter: Letter) -> None:
        """Takes what came, and wakes who waits for it."""
        self.events.extend(letter.events)
        self.error = self.error or letter.error
        self.is_closed = self.is_closed or letter.is_last
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Letter:
    """What one step has for one request."""

    __slots__ = ("error", "events", "is_last")

    def __init__(self) -> None:
        self.events: list[EngineEvent] = []
        self.error: KataribeError | None = None
        self.is_last = False


class Post:
    """Gathers letters; used by the engine's thread alone."""

    def __init__(self) -> None:
        self._letters: dict[Mailbox, Letter] = {}

    def add(self, mailbox: Mailbox, event: EngineEvent) -> None:
        """Puts an event into the next letter."""
        self._letter(mailbox).events.append(event)

    def close(self, mailbox: Mailbox, error: KataribeError | None = None) -> None:
        """Says that nothing more comes, and why if it is an error."""
        letter = self._letter(mailbox)
        letter.is_last = True
        letter.error = error

    def send(self) -> list[Mailbox]:
        """Hands everything over; returns the mailboxes whose loop is gone."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Mailbox, Letter]]] = {}
        for mailbox, letter in self._letters.items():
            by_loop.setdefault(mailbox.loop, []).append((mailbox, letter))
        self._letters = {}
        lost: list[Mailbox] = []
        for loop, letters in by_loop.items():
            try:
                loop.call_soon_threadsafe(_deliver, letters)
            except RuntimeError:  # the loop is closed: nobody is there to read
                lost += [mailbox for mailbox, _ in letters]
        return lost

    def _letter(self, mailbox: Mailbox) -> Letter:
        return self._letters.setdefault(mailbox, Letter())


class Stream(AsyncIterator[EngineEvent]):
    """The events of one request, in the loop that asked.

    `aclose` gives the request up at once, and so does being cancelled while waiting. A request
    that fails raises its `KataribeError` once, after the events before it.
    """

    def __init__(self, mailbox: Mailbox, give_up: Callable[[], None]) -> None:
        self._mailbox = mailbox
        self._give_up = give_up
        self._is_open = True

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> EngineEvent:
        mailbox = self._mailbox
        while self._is_open:
            if mailbox.events:
                return mailbox.events.popleft()
            if mailbox.is_closed:
                self._is_open = False
                if mailbox.error is not None:
                    raise mailbox.error
                break
            await self._wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Gives the request up; what it used is free again after the step that runs now."""
        self._close()

    async def _wait(self) -> None:
        mailbox = self._mailbox
        mailbox.waiter = asyncio.get_running_loop().create_future()
        try:
            await mailbox.waiter
        except asyncio.CancelledError:
            self._close()
            raise
        finally:
            mailbox.waiter = None

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            if not self._mailbox.is_closed:
                self._give_up()

    def __del__(self) -> None:
        # Whoever drops the stream without closing it must not keep the engine busy.
        if getattr(self, "_is_open", False):
            self._close()


def _deliver(letters: list[tuple[Mailbox, Letter]]) -> None:
    for mailbox, letter in letters:
        mailbox.deliver(letter)
