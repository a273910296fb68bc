"""A person's answers to what replies ask consent for: of running ones, and of those cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from kataribe.store import conversations
from kataribe.store.asking import Answered
from kataribe.store.database import Store
from kataribe.store.messages import Message
from kataribe.store.news import Listed
from kataribe.use.chats import turns
from kataribe.use.chats.changing import Changing
from kataribe.use.chats.consent import answered, waiting_in
from kataribe.use.chats.hub import Hub
from kataribe.use.chats.running import Replies, Run
from kataribe.use.chats.turns import Turn


class Consenting:
    """Takes answers in; `carry_out` tells pages of a step and begins its replies.

    `check_open` raises while the server stops.
    """

    def __init__(
        self,
        store: Store,
        hub: Hub,
        changing: Changing,
        replies: Replies,
        carry_out: Callable[[str, Turn], None],
        check_open: Callable[[], None],
    ) -> None:
        self._store = store
        self._hub = hub
        self._changing = changing
        self._replies = replies
        self._carry_out = carry_out
        self._check_open = check_open

    async def answer(
        self, owner: str, id_: str, reply: str, answers: Sequence[Answered], *, always: bool = False
    ) -> Message:
        """Answers calls that wait for consent; gives the reply as it is then.

        A running reply goes on when each of its calls has an answer. So does one that the end of
        the process had cut off, where nothing else is being written in its conversation.

        Args:
            owner: Who answers; only the conversation's owner can.
            id_: The conversation.
            reply: The reply that asks.
            answers: To calls that wait.
            always: Tools of allowed calls are not asked for again in this conversation.

        Raises:
            NotFoundError: There is no such conversation or reply of this owner.
            InputError: The call does not wait any more, something else is being written, or the
                words beside an answer are too long.
        """
        self._check_open()
        async with self._changing.one(id_):
            await self._store.read(lambda tx: conversations.get(tx, owner, id_))
            run = self._replies.get(reply)
            if run is not None and run.conversation == id_:
                return await self._running(run, answers, always=always)
            work = partial(
                turns.resumed, owner=owner, id_=id_, reply=reply, answers=answers, always=always
            )
            turn = await self._store.write(work)
            self._carry_out(owner, turn)
            return turn.changed[0]

    async def _running(self, run: Run, answers: Sequence[Answered], *, always: bool) -> Message:
        live = run.live
        waiting = waiting_in(live.consents.rounds)
        answered(live.consents.rounds, answers)  # refused before anything is kept
        by_id = {call.id: call.name for call in waiting}
        tools = {by_id[a.call] for a in answers if a.approved} if always else set()
        if tools:
            work = partial(_allow, owner=run.owner, id_=run.conversation)
            changed = await self._store.write(lambda tx: work(tx, model=live.model, tools=tools))
            self._hub.tell(run.owner, None, Listed(changed))
        live.consents.answer(answers)
        rest = [Answered(c.id, approved=True) for c in live.consents.waiting if c.name in tools]
        if rest:
            live.consents.answer(rest, by="always")
        return live.snapshot()


def _allow(
    tx: Connection, owner: str, id_: str, model: str, tools: set[str]
) -> conversations.Conversation:
    return conversations.allow(tx, owner, id_, model, sorted(tools))
