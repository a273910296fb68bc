"""Whoever looks at a page is told what changes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kataribe.store import news
from kataribe.store.news import News, Told

MOST_UNREAD = 2000
"""News that wait for a slow page; with more it is cut off, and joins anew."""

MOST_UNREAD_BYTES = 8 * 1024**2
"""Memory of the words in them: with so much unread, whatever more comes cuts the page off."""


@dataclass(eq=False)
class Listener:
    """A page that listens. After `cut_off` it missed something and has to join again.

    News that state something whole take the place of an unread statement of the same thing, at
    the end: a page that reads slowly learns of the last queue, not of all.
    """

    owner: str
    conversation: str | None
    cut_off: bool = False
    _unread: dict[Hashable, Told | None] = field(default_factory=dict)
    _bytes: int = 0
    _some: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self, patience: float | None = None) -> Told | None:
        """The next news; None at the end. Raises `TimeoutError` after `patience` seconds."""
        async with asyncio.timeout(patience):
            while not self._unread:
                self._some.clear()
                await self._some.wait()
        return self._taken(next(iter(self._unread)))

    def tell(self, told: Told | None) -> None:
        """Puts news where the page finds them."""
        if self.cut_off:
            return
        thing = told and _stated(told)
        if thing in self._unread:
            self._taken(thing)
        # What is there counts, not what comes: one long message never cuts off a page that reads.
        full = len(self._unread) >= MOST_UNREAD or self._bytes >= MOST_UNREAD_BYTES
        if told is None or full:
            self.cut_off = True
            told = None
        self._unread[object() if thing is None else thing] = told
        self._bytes += _bytes(told)
        self._some.set()

    def _taken(self, thing: Hashable) -> Told | None:
        told = self._unread.pop(thing)
        self._bytes -= _bytes(told)
        return told


def _stated(told: Told) -> Hashable:
    """What news state as a whole; None: they tell of a step, and all steps count."""
    match told.news:
        case news.QueueChanged():
            return "queue", told.conversation
        case news.HeadMoved():
            return "head", told.conversation
        case news.Listed(conversation):
            return "listed", conversation.id
        case news.WaitsNow(id=reply):
            return "waits", reply
        case _:
            return None


def _bytes(told: Told | None) -> int:
    """Memory of the words in news.

    Queues do not count: one at most is unread, and a page that joins anew would get it again.
    """
    match told and told.news:
        case news.Delta(text=text):
            words: tuple[str, ...] = (text,)
        case news.MessageChanged(message):
            asked = (value for value in message.asked.values() if isinstance(value, str))
            words = (message.text, message.reasoning, message.detail, message.remark, *asked)
            words += tuple(each.get("content", "") for each in message.steps)
        case news.StepTold(step=step):
            words = (step["line"], step["content"])
        case news.ConsentTold(round=round_):
            words = tuple(call["arguments"] for call in round_["calls"])
        case news.Listed(conversation):
            words = (conversation.title, conversation.system)
        case news.Removed(ids) | news.Restored(ids):
            words = ids
        case _:
            words = ()
    return sum(map(sys.getsizeof, words))


class Hub:
    """Passes news on to the pages of the person whom they concern; in one event loop."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    @contextmanager
    def listening(self, owner: str, conversation: str | None) -> Iterator[Listener]:
        """A listener, as long as the context lasts."""
        listener = Listener(owner, conversation)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def tell(self, owner: str, conversation: str | None, *told: News) -> None:
        """Tells the owner's pages: of a conversation those that show it, else all of them."""
        for listener in self._listeners:
            if listener.owner != owner or conversation not in (None, listener.conversation):
                continue
            for each in told:
                listener.tell(Told(conversation, each))

    def close(self) -> None:
        """Ends all streams."""
        for listener in self._listeners:
            listener.tell(None)
