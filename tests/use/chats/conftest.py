"""Conversations over scripted models, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kataribe.base.errors import NotFoundError
from kataribe.base.events import Event
from kataribe.base.lm import LM, Request
from kataribe.run.providers import ScriptedLM
from kataribe.store import conversations, messages, queue
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.messages import Message
from kataribe.store.queue import Item
from kataribe.store.tables import LOCAL
from kataribe.use.chats.chats import Chats


@dataclass
class Models:
    """Whoever answers; counts how many replies run at once."""

    lms: dict[str, ScriptedLM] = field(default_factory=dict)
    running: int = 0
    most: int = 0

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        if name not in self.lms:
            raise NotFoundError(f"There is no model {name!r}.", param="model")
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield self.lms[name]
        finally:
            self.running -= 1


WORDS = "one two three"


class Gated(ScriptedLM):
    """Says one word, and the others when it is let."""

    def __init__(self, name: str) -> None:
        super().__init__(WORDS, name=name)
        self.most = 0
        self._gate = asyncio.Event()

    def let_end(self) -> None:
        self._gate.set()
        self._gate = asyncio.Event()

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        gate = self._gate
        async with aclosing(super().stream(request)) as events:
            async for event in events:
                self.most = max(self.most, self.running)
                yield event
                await gate.wait()


@dataclass
class Talk:
    """One conversation and what a test does with it."""

    chats: Chats
    id: str
    owner: str = LOCAL

    def path(self) -> tuple[Message, ...]:
        """The branch that is shown."""
        with self.chats.store.reading() as tx:
            head = conversations.get(tx, self.owner, self.id).head
            return messages.read(tx, self.id, messages.path(messages.nodes(tx, self.id), head))

    def waiting(self) -> tuple[Item, ...]:
        with self.chats.store.reading() as tx:
            return queue.waiting(tx, self.id)

    def every(self) -> tuple[Message, ...]:
        """All messages of the tree, oldest first."""
        with self.chats.store.reading() as tx:
            return messages.read(tx, self.id, [n.id for n in messages.nodes(tx, self.id)])

    async def quiet(self) -> None:
        """Until nothing is pending."""
        async with asyncio.timeout(20):
            while self.chats.is_pending(self.id) or self._is_live():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def _is_live(self) -> bool:
        with self.chats.store.reading() as tx:
            return bool(messages.live(tx, self.id))

    async def until(self, what: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not what():  # noqa: ASYNC110  rows tell nobody that they changed
                await asyncio.sleep(0.005)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "kataribe.db")
    yield opened
    opened.close()


@pytest.fixture
def models() -> Models:
    return Models({"echo": ScriptedLM("Yes.", name="echo")})


@pytest.fixture
async def talk(store: Store, models: Models) -> AsyncIterator[Talk]:
    chats = Chats(store, models, "echo", titles=False)
    yield begin(chats)
    await chats.close()


def begin(chats: Chats, owner: str = LOCAL) -> Talk:
    """A new conversation."""
    id_ = new_id()
    with chats.store.writing() as tx:
        conversations.create(tx, owner, id_)
    return Talk(chats, id_, owner)
