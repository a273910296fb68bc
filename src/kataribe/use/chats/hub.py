"""Whoever looks at a page is told what changes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kataribe.store.news import News, Told

MOST_UNREAD = 2000
"""News that wait for a slow page; with more it is cut off, and joins anew."""


@dataclass(eq=False)
class Listener:
    """A page that listens. After `cut_off` it missed something and has to join again."""

    owner: str
    conversation: str | None
    cut_off: bool = False
    _unread: asyncio.Queue[Told | None] = field(default_factory=asyncio.Queue)

    async def next(self, patience: float | None = None) -> Told | None:
        """The next news; None at the end. Raises `TimeoutError` after `patience` seconds."""
        async with asyncio.timeout(patience):
            return await self._unread.get()

    def tell(self, told: Told | None) -> None:
        """Puts news where the page finds them."""
        if self.cut_off:
            return
        if told is None or self._unread.qsize() >= MOST_UNREAD:
            self.cut_off = True
            self._unread.put_nowait(None)
        else:
            self._unread.put_nowait(told)


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

    def tell(self, owner: str, conversation: str | None, *news: News) -> None:
        """Tells the owner's pages: of a conversation those that show it, else all of them."""
        for listener in self._listeners:
            if listener.owner != owner or conversation not in (None, listener.conversation):
                continue
            for each in news:
                listener.tell(Told(conversation, each))

    def close(self) -> None:
        """Ends all streams."""
        for listener in self._listeners:
            listener.tell(None)
