"""Conversations that answer: what is said, queued and stopped, and the replies that run.

Replies belong to the server. A page sends and listens; it may close, reload or be another device's.
All changes of one conversation happen one after another, each in one transaction; pages are told
after it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection

from kataribe.base.errors import KataribeError, NotFoundError, StorageError, UnavailableError
from kataribe.store import conversations, journals, messages, queue, votes
from kataribe.store.asking import Became, Retry, Said
from kataribe.store.conversations import Conversation
from kataribe.store.database import Store
from kataribe.store.messages import Message
from kataribe.store.news import (
    Gone,
    HeadMoved,
    Joined,
    Listed,
    MessageChanged,
    QueueChanged,
    Removed,
    Restored,
    Waits,
)
from kataribe.store.queue import Item
from kataribe.use.chats import titles, turns
from kataribe.use.chats.changing import Changing
from kataribe.use.chats.consenting import Consenting
from kataribe.use.chats.given import Given, given_for
from kataribe.use.chats.hub import Hub, Listener
from kataribe.use.chats.running import Replies, Run
from kataribe.use.chats.titles import Plain, itself
from kataribe.use.chats.turns import Turn
from kataribe.use.chats.values import Models

log = logging.getLogger("kataribe.chats")


class Chats:
    """The conversations of a workspace; in one event loop.

    Args:
        store: The database.
        models: Who answers.
        default: Name of the model for conversations that name none.
        titles: Whether models title conversations.
        forget: Called with the id of a call that had waited for consent, when its reply has ended.
        plain: The model alone behind a name that may be an assistant's, which makes titles.
    """

    def __init__(
        self,
        store: Store,
        models: Models,
        default: str,
        *,
        titles: bool = True,
        forget: Callable[[str], None] | None = None,
        plain: Plain = itself,
    ) -> None:
        self.store = store
        self.hub = Hub()
        self._models = models
        self._default = default
        self._makes_titles = titles
        self._titling = models, plain
        self._changing = Changing(store, self.hub, self._carry_out, self._goes_on, forget)
        self._replies = Replies(store, models, self.hub, self._on_end)
        with_ = store, self.hub, self._changing, self._replies
        self.consenting = Consenting(*with_, self._carry_out, self._check_open)
        self._holding: set[str] = set()  # something failed there, or was stopped by hand
        self._closing = False

    def begin(self) -> int:
        """Ends what a former process left; gives how many. The caller holds the workspace."""
        with self.store.writing() as tx:
            marked = turns.interrupted(tx, self.store.path)
        journals.clear(self.store.path)
        return marked

    async def say(self, owner: str, id_: str, said: Said) -> Became:
        """A person says something; see `Said.when`."""
        self._check_open()
        async with self._changing.one(id_):
            runs = self._replies.of(id_) if said.when != "queue" else []
            check = partial(turns.check, owner=owner, id_=id_, said=said)
            stops = bool(runs) and await self.store.read(check)  # nothing stops for a refused one
            stopped = await self._replies.stop(runs) if stops else {}
            work = partial(turns.say, owner=owner, id_=id_, said=said, stopped=stopped)
            turn = await self._changing.step(owner, id_, stopped, work)
            self._carry_out(owner, turn)
            return await self._changing.became(turn)

    async def again(self, owner: str, id_: str, retry: Retry) -> Became:
        """Another reply to a question."""
        self._check_open()
        async with self._changing.one(id_):
            turn = await self.store.write(partial(turns.again, owner=owner, id_=id_, retry=retry))
            self._carry_out(owner, turn)
            return await self._changing.became(turn)

    async def stop(self, owner: str, id_: str, reply: str | None = None) -> tuple[str, ...]:
        """Stops replies by hand, keeps their words; what waits goes on waiting."""
        async with self._changing.one(id_):
            await self.store.read(lambda tx: conversations.get(tx, owner, id_))
            runs = self._replies.of(id_)
            wanted = [run for run in runs if reply in (None, run.live.message.id)]
            stopped = await self._replies.stop(wanted)
            if stopped or reply is None:  # a reply that has ended meanwhile stops nothing
                self._holding.add(id_)
            self._carry_out(owner, await self._changing.end(owner, id_, stopped, go_on=False))
            return tuple(stopped)

    async def edit(self, owner: str, id_: str, item: str, text: str) -> tuple[Item, ...]:
        """Changes what a waiting message says."""
        return await self._queue(owner, id_, lambda tx: turns.edit(tx, id_, item, text))

    async def withdraw(self, owner: str, id_: str, item: str) -> tuple[Item, ...]:
        """Takes a waiting message back."""
        return await self._queue(owner, id_, lambda tx: queue.take(tx, id_, item))

    async def merge(
        self, owner: str, id_: str, item: str, other: Literal["previous", "next"]
    ) -> tuple[Item, ...]:
        """Makes one turn of two waiting neighbours."""
        return await self._queue(owner, id_, lambda tx: queue.merge(tx, id_, item, other))

    async def now(self, owner: str, id_: str, item: str) -> tuple[Item, ...]:
        """Answers a waiting message at once, in place of what runs."""
        return await self._answer(owner, id_, lambda _: [item])

    async def steer(self, owner: str, id_: str) -> tuple[Item, ...]:
        """Stops what runs, and answers all that waits as one."""
        return await self._answer(owner, id_, lambda items: [each.id for each in items])

    async def change(self, owner: str, id_: str, **changes: Any) -> Conversation:
        """Sets title, folder, pinned, model, system, sampling; `head` shows another branch."""

        def work(tx: Connection) -> Conversation:
            conversations.get(tx, owner, id_)
            if changes.get("head") is not None:
                messages.get(tx, id_, changes["head"])
                changes["head"] = messages.newest_below(messages.nodes(tx, id_), changes["head"])
            return conversations.change(tx, owner, id_, **changes)

        async with self._changing.one(id_):
            changed = await self.store.write(work)
            if "head" in changes:
                self.hub.tell(owner, id_, HeadMoved(changed.head, changed.version))
            self.hub.tell(owner, None, Listed(changed))
            return changed

    async def delete(self, owner: str, id_: str) -> Conversation:
        """Deletes a conversation, so that it can come back; what runs in it is stopped."""
        async with self._changing.one(id_):
            await self.store.read(lambda tx: conversations.get(tx, owner, id_))
            stopped = await self._replies.stop(self._replies.of(id_))

            def work(tx: Connection) -> Conversation:
                turns.ended(tx, owner, id_, stopped, go_on=False)
                return conversations.delete(tx, owner, id_)

            gone = await self._changing.step(owner, id_, stopped, work)
            self.hub.tell(owner, None, Gone(id_))
            return gone

    async def restore(self, owner: str, id_: str) -> Conversation:
        """Brings a deleted conversation back."""
        async with self._changing.one(id_):
            back = await self.store.write(lambda tx: conversations.restore(tx, owner, id_))
            self.hub.tell(owner, None, Listed(back))
            return back

    async def delete_message(self, owner: str, id_: str, message: str) -> None:
        """Deletes a message with all below it, so that it can come back."""
        async with self._changing.one(id_):

            def below(tx: Connection) -> list[str]:
                conversations.get(tx, owner, id_)
                messages.get(tx, id_, message)
                return messages.with_all_below(messages.nodes(tx, id_), message)

            inside = set(await self.store.read(below))
            runs = self._replies.of(id_)
            stopped = await self._replies.stop(r for r in runs if r.live.message.id in inside)

            def work(tx: Connection) -> tuple[Turn, tuple[str, ...]]:
                turns.ended(tx, owner, id_, stopped, go_on=False)
                ids = messages.delete(tx, id_, message)
                conversations.touch(tx, id_)
                return turns.ended(tx, owner, id_, {}, go_on=False), ids

            turn, ids = await self._changing.step(owner, id_, stopped, work)
            self.hub.tell(owner, id_, Removed(ids))
            self._carry_out(owner, turn)

    async def restore_message(self, owner: str, id_: str, message: str) -> None:
        """Brings back what was deleted with a message."""

        def work(tx: Connection) -> tuple[Turn, tuple[str, ...]]:
            conversations.get(tx, owner, id_)
            ids = messages.restore(tx, id_, message)
            return turns.ended(tx, owner, id_, {}, go_on=False), ids

        async with self._changing.one(id_):
            turn, ids = await self.store.write(work)
            self.hub.tell(owner, id_, Restored(ids))
            self._carry_out(owner, turn)

    async def rate(self, owner: str, id_: str, message: str, rating: int, remark: str) -> Message:
        """A thumb and a remark."""

        def work(tx: Connection) -> Message:
            conversations.get(tx, owner, id_)
            return messages.rate(tx, owner, id_, message, rating, remark)

        async with self._changing.one(id_):
            rated = await self.store.write(work)
            for live in self.words_of([message]).values():  # more is said than is kept
                rated = dataclasses.replace(live, rating=rating, remark=remark)
            self.hub.tell(owner, id_, MessageChanged(rated))
            return rated

    @contextlib.asynccontextmanager
    async def listening(
        self, owner: str, id_: str | None
    ) -> AsyncIterator[tuple[Listener, Joined | None]]:
        """News from now on, and with a conversation what it is now; nothing falls between."""
        with contextlib.ExitStack() as stack:
            if id_ is None:
                yield stack.enter_context(self.hub.listening(owner, None)), None
                return
            async with self._changing.one(id_):
                joined = await self.store.read(lambda tx: self._look(tx, owner, id_))
                # No await from here: the words of this moment, and then all news after it.
                live = {message.id: message for message in joined.live}
                waits: dict[str, Waits] = {}
                for run in self._replies.of(id_):
                    live[run.live.message.id] = run.live.snapshot()
                    if run.live.waits is not None:
                        waits[run.live.message.id] = run.live.waits
                listener = stack.enter_context(self.hub.listening(owner, id_))
                joined = Joined(joined.conversation, joined.queue, tuple(live.values()), waits)
            yield listener, joined

    async def given(self, owner: str, id_: str, reply: str) -> Given:
        """What a model was given for a reply, and what it said."""
        return await self.store.read(lambda tx: given_for(tx, owner, id_, reply))

    def words_of(self, ids: Iterable[str]) -> Mapping[str, Message]:
        """Of running replies among these, what they have said by now."""
        runs = [run for run in map(self._replies.get, ids) if run is not None]
        return {run.live.message.id: run.live.snapshot() for run in runs}

    async def vote(self, owner: str, id_: str, vote: votes.Vote) -> votes.Vote:
        """Keeps which reply of a group is better; the conversation goes on from that one."""

        def work(tx: Connection) -> tuple[votes.Vote, Conversation]:
            conversations.get(tx, owner, id_)
            kept = votes.keep(tx, owner, id_, vote)
            if kept.winner is not None:
                head = messages.newest_below(messages.nodes(tx, id_), kept.winner)
                conversations.change(tx, owner, id_, head=head)
            return kept, conversations.get(tx, owner, id_)

        async with self._changing.one(id_):
            kept, changed = await self.store.write(work)
            self.hub.tell(owner, id_, HeadMoved(changed.head, changed.version))
            self.hub.tell(owner, None, Listed(changed))
            return kept

    async def settled(self, id_: str) -> None:
        """Until the change that is being made in a conversation is made."""
        async with self._changing.one(id_):
            return

    def is_pending(self, id_: str) -> bool:
        """Whether a reply is being written in a conversation."""
        return bool(self._replies.of(id_))

    def waits_of(self, id_: str) -> Waits | None:
        """What a running reply waits for."""
        run = self._replies.get(id_)
        return None if run is None else run.live.waits

    async def close(self) -> None:
        """Keeps what running replies have said, as interrupted, and ends all streams."""
        self._closing = True
        self.hub.close()
        for id_ in self._replies.conversations:
            async with self._changing.one(id_):
                runs = self._replies.of(id_)
                if runs:
                    stopped = await self._replies.stop(runs, state="interrupted")
                    await self._changing.end(runs[0].owner, id_, stopped, go_on=False)
        await self._changing.close()

    def _check_open(self) -> None:
        if self._closing:
            raise UnavailableError(
                "The server is stopping. Send it again when it is back; nothing was kept of it.",
                retry_after=10,
            )

    async def _queue(
        self, owner: str, id_: str, work: Callable[[Connection], object]
    ) -> tuple[Item, ...]:
        def change(tx: Connection) -> tuple[Conversation, tuple[Item, ...]]:
            conversations.get(tx, owner, id_)
            work(tx)
            return conversations.get(tx, owner, id_), queue.waiting(tx, id_)

        async with self._changing.one(id_):
            conversation, items = await self.store.write(change)
            self.hub.tell(owner, id_, QueueChanged(items))
            self.hub.tell(owner, None, Listed(conversation))
            return items

    async def _answer(
        self, owner: str, id_: str, choose: Callable[[Sequence[Item]], list[str]]
    ) -> tuple[Item, ...]:
        self._check_open()

        def chosen(tx: Connection) -> list[str]:
            conversations.get(tx, owner, id_)
            items = queue.waiting(tx, id_)
            wanted = choose(items)
            if not wanted or not set(wanted) <= {item.id for item in items}:
                raise NotFoundError(
                    "Nothing like that waits here any more; it was sent, merged or withdrawn.",
                    param="item",
                )
            queue.merged([item for item in items if item.id in wanted])
            return wanted

        async with self._changing.one(id_):
            items = await self.store.read(chosen)  # before anything is stopped for it
            stopped = await self._replies.stop(self._replies.of(id_))
            work = partial(turns.answer_now, owner=owner, id_=id_, items=items, stopped=stopped)
            turn = await self._changing.step(owner, id_, stopped, work)
            self._carry_out(owner, turn)
            return turn.queue

    async def _on_end(self, run: Run) -> None:
        """A reply ended by itself: its row is written, and the next question asked."""
        id_, ending = run.conversation, run.ending
        assert ending is not None
        async with self._changing.one(id_):
            if not self._replies.take(run):
                return
            if ending.state != "done":
                self._holding.add(id_)
            endings = {run.live.message.id: ending}
            try:
                turn = await self._changing.end(run.owner, id_, endings, go_on=self._goes_on(id_))
            except StorageError as error:
                log.error("A reply could not be kept: %s", error)
                return
            self._carry_out(run.owner, turn)
        if ending.state == "done" and self._makes_titles and turn.conversation.titled_by is None:
            self._changing.later(self._title(run.owner, id_, run.live.message.id))

    def _goes_on(self, id_: str) -> bool:
        return id_ not in self._holding and not self._closing

    def _carry_out(self, owner: str, turn: Turn) -> None:
        """Tells the pages what a step did, and begins the replies that it asks for."""
        id_ = turn.conversation.id
        for message in turn.changed:
            self.hub.tell(owner, id_, MessageChanged(message))
        moved = HeadMoved(turn.conversation.head, turn.conversation.version)
        self.hub.tell(owner, id_, QueueChanged(turn.queue), moved)
        self.hub.tell(owner, None, Listed(turn.conversation))
        if turn.replies:
            self._holding.discard(id_)
        for reply in turn.replies:
            self._replies.start(owner, reply, reply.model or self._default)

    def _look(self, tx: Connection, owner: str, id_: str) -> Joined:
        conversation = conversations.get(tx, owner, id_)
        return Joined(conversation, queue.waiting(tx, id_), messages.live(tx, id_), {})

    async def _title(self, owner: str, id_: str, reply: str) -> None:
        with contextlib.suppress(KataribeError):  # deleted meanwhile: nothing to title
            title = await titles.make_title(self.store, self._titling, owner, id_, reply)
            if title is not None:
                async with self._changing.one(id_):
                    work = partial(titles.keep_title, owner=owner, id_=id_, title=title)
                    self.hub.tell(owner, None, Listed(await self.store.write(work)))
