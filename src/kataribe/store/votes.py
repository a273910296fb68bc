"""Votes between replies side by side, kept for evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError
from kataribe.store import messages
from kataribe.store.conversations import count_change
from kataribe.store.ids import check_id, now
from kataribe.store.tables import votes


@dataclass(frozen=True, slots=True)
class Vote:
    """Which reply of a group a person preferred; no winner is a tie.

    `shown`: ids of the replies in the order shown. `blind`: the names of the models were hidden.
    """

    id: str
    group: str
    winner: str | None
    shown: Sequence[str]
    blind: bool


def keep(tx: Connection, owner: str, conversation: str, vote: Vote) -> Vote:
    """Keeps a vote; a later one of the same person on the same group takes its place."""
    check_id(vote.id, "id")
    replies = {message.id for message in messages.group(tx, conversation, vote.group)}
    if len(replies) < 2 or set(vote.shown) != replies or len(vote.shown) != len(replies):
        raise InputError(
            f"shown names {len(vote.shown)} replies that are not the {len(replies)} of this "
            "group. Name each of them once, in the order shown.",
            param="shown",
        )
    if vote.winner is not None and vote.winner not in replies:
        raise InputError(
            f"winner is {vote.winner!r}, which is no reply of this group; null is a tie.",
            param="winner",
        )
    mine = sa.and_(votes.c.owner == owner, votes.c.group == vote.group)
    tx.execute(sa.delete(votes).where(mine))
    taken = tx.execute(sa.select(votes.c.id).where(votes.c.id == vote.id)).scalar()
    if taken is not None:
        raise InputError(f"There is a vote {vote.id} already; choose another id.", param="id")
    tx.execute(
        sa.insert(votes).values(
            id=vote.id,
            owner=owner,
            conversation=conversation,
            group=vote.group,
            winner=vote.winner,
            shown=list(vote.shown),
            blind=vote.blind,
            created_at=now(),
        )
    )
    count_change(tx, conversation)  # a tie moves nothing else
    return vote


def winners(tx: Connection, owner: str, conversation: str) -> Mapping[str, str | None]:
    """The person's votes in a conversation: by group the winner, None for a tie."""
    query = sa.select(votes.c.group, votes.c.winner).where(
        votes.c.conversation == conversation, votes.c.owner == owner
    )
    return {row.group: row.winner for row in tx.execute(query)}
