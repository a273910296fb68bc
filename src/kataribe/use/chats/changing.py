"""Changes of a conversation: one after another, each kept whole, or kept later and said so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeVar
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from kataribe.base.errors import KataribeError, NotFoundError, StorageError
from kataribe.store import journals, messages
from kataribe.store.asking import Became
from kataribe.store.database import Store
from kataribe.store.news import MessageChanged
from kataribe.use.chats import turns
from kataribe.use.chats.hub import Hub
from kataribe.use.chats.turns import Turn
from kataribe.use.chats.values import Ended

log = logging.getLogger("kataribe.chats")

T = TypeVar("T")

RETRY_SECONDS = 3.0
"""Between tries to keep a reply that the disk did not take."""


class Changing:
    """The order of changes, and the replies that still have to be kept; in one event loop.

    `may_go_on` tells of a conversation whether its queue may go on by itself; `forget` is called
    with ids of calls that wait for nobody's consent any more.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        tell: Callable[[str, Turn], None],
        may_go_on: Callable[[str], bool],
        forget: Callable[[str], None] | None = None,
    ) -> None:
        self._store = store
        self._hub = hub
        self._tell = tell
        self._may_go_on = may_go_on
        self._forget = forget
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def one(self, id_: str) -> asyncio.Lock:
        """Held around a change of this conversation."""
        return self._locks.setdefault(id_, asyncio.Lock())

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Has something done beside, until `close`."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Breaks off what is done beside."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def end(self, owner: str, id_: str, endings: Mapping[str, Ended], *, go_on: bool) -> Turn:
        """Writes how replies ended."""
        work = partial(turns.ended, owner=owner, id_=id_, endings=endings, go_on=go_on)
        return await self.step(owner, id_, endings, work, go_on=go_on)

    async def step(
        self,
        owner: str,
        id_: str,
        endings: Mapping[str, Ended],
        work: Callable[[Connection], T],
        *,
        go_on: bool = False,
    ) -> T:
        """A change in which replies end. Where it fails, their words are kept by themselves.

        With `go_on`, the queue goes on when they are, if nothing stands against it by then.
        """
        try:
            done = await self._store.write(work)
        except KataribeError as error:
            if endings:
                self._tell_unkept(owner, id_, endings, error)
                self.later(self._keep(owner, id_, endings, go_on=go_on))
            raise
        self._let_go(endings)
        return done

    def _let_go(self, endings: Mapping[str, Ended]) -> None:
        """Removes what was kept beside the database for replies that have ended."""
        journals.remove(self._store.path, endings)
        for ending in endings.values():
            # One that the process's end cut off can still be answered.
            if self._forget is None or ending.state == "interrupted":
                continue
            for round_ in ending.fields.get("consents", ())[:1]:
                for call in round_["calls"][:1]:
                    self._forget(call["id"])

    async def became(self, turn: Turn) -> Became:
        """What became of something that was sent."""
        waits = any(turn.became in (item.id, *item.sources) for item in turn.queue)
        replies = await self._store.read(lambda tx: turns.replies_to(tx, turn.became))
        state: Literal["sent", "queued", "withdrawn"] = "queued" if waits else "sent"
        if state == "sent" and not replies and not await self._is_message(turn):
            state = "withdrawn"
        return Became(turn.became, state, replies, turn.conversation.version)

    async def _is_message(self, turn: Turn) -> bool:
        id_, ids = turn.conversation.id, [turn.became]
        return bool(await self._store.read(lambda tx: messages.read(tx, id_, ids)))

    def _tell_unkept(
        self, owner: str, id_: str, endings: Mapping[str, Ended], error: KataribeError
    ) -> None:
        if not isinstance(error, StorageError):
            return  # what was asked was refused; keeping the words will work
        failure = {"code": error.code, "message": error.message}
        for ending in endings.values():
            if ending.message is not None:
                fields = {**ending.fields, "failure": failure, "state": "failed"}
                self._hub.tell(owner, id_, MessageChanged(replace(ending.message, **fields)))

    async def _keep(
        self, owner: str, id_: str, endings: Mapping[str, Ended], *, go_on: bool
    ) -> None:
        """Tries until the ended replies are in the database."""
        while True:
            async with self.one(id_):
                try:
                    goes_on = go_on and self._may_go_on(id_)
                    work = partial(
                        turns.ended, owner=owner, id_=id_, endings=endings, go_on=goes_on
                    )
                    turn = await self._store.write(work)
                except StorageError as error:
                    log.warning("Ended replies are still not kept: %s", error)
                except NotFoundError:
                    journals.remove(self._store.path, endings)  # deleted meanwhile
                    return
                else:
                    self._let_go(endings)
                    self._tell(owner, turn)
                    return
            await asyncio.sleep(RETRY_SECONDS)
