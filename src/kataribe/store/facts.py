"""Facts: what models are told to remember of a person, who can see, edit and delete it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store.cutting import cut, fold
from kataribe.store.ids import new_id, now
from kataribe.store.tables import facts

MOST = 2000
"""Facts of one person."""

LONGEST = 1000
"""Characters of a fact."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to remember.

    Attributes:
        id: Its name.
        text: What it says.
        source: The conversation in which it was said, where that is known.
        created_at: Seconds since 1970.
        changed_at: When it was last edited; the same where it never was.
        assistant: Who was told it, where that is known.
    """

    id: str
    text: str
    source: str | None
    created_at: float
    changed_at: float
    assistant: str | None = None


def add(
    tx: Connection,
    owner: str,
    text: str,
    source: str | None = None,
    assistant: str | None = None,
) -> Fact:
    """Keeps a fact; one that is there already, whatever its case and width, is given back.

    Raises `InputError` for one that is empty or too long, or one too many.
    """
    text = _checked(text)
    known = listing(tx, owner)
    same = next((fact for fact in known if fold(fact.text) == fold(text)), None)
    if same is not None:
        return same
    _check_room(known)
    time = now()
    fact = Fact(new_id(), text, source, time, time, assistant)
    tx.execute(
        sa.insert(facts).values(
            id=fact.id,
            owner=owner,
            text=text,
            source=source,
            created_at=time,
            changed_at=time,
            assistant=assistant,
        )
    )
    return fact


def take_in(tx: Connection, owner: str, arrived: Sequence[Fact]) -> None:
    """Keeps facts from elsewhere, oldest first, with their times; those that are here stay."""
    known = {fold(fact.text) for fact in listing(tx, owner)}
    for fact in arrived:
        if fold(_checked(fact.text)) not in known:
            here = add(tx, owner, fact.text, fact.source, fact.assistant)
            times = {"created_at": fact.created_at, "changed_at": fact.changed_at}
            tx.execute(sa.update(facts).where(facts.c.id == here.id).values(**times))


def listing(tx: Connection, owner: str) -> list[Fact]:
    """All facts of a person that are not deleted, the newest first."""
    mine = facts.c.owner == owner, facts.c.deleted_at.is_(None)
    query = sa.select(facts).where(*mine).order_by(facts.c.key.desc())
    return [_fact(row) for row in tx.execute(query)]


def edit(tx: Connection, owner: str, id_: str, text: str) -> Fact:
    """Changes what a fact says; `NotFoundError` where the person has none of that id."""
    text = _checked(text)
    mine = facts.c.id == id_, facts.c.owner == owner, facts.c.deleted_at.is_(None)
    changed = tx.execute(sa.update(facts).where(*mine).values(text=text, changed_at=now()))
    if changed.rowcount == 0:
        raise _unknown(id_)
    return _fact(tx.execute(sa.select(facts).where(*mine)).one())


def delete(tx: Connection, owner: str, id_: str) -> None:
    """Deletes a fact: nobody is told it from now on, and for `RETURNS_SECONDS` it can come back.

    Raises `NotFoundError` where the person has none of that id.
    """
    mine = facts.c.id == id_, facts.c.owner == owner, facts.c.deleted_at.is_(None)
    if tx.execute(sa.update(facts).where(*mine).values(deleted_at=now())).rowcount == 0:
        raise _unknown(id_)


def restore(tx: Connection, owner: str, id_: str) -> Fact:
    """Brings a deleted fact back; `NotFoundError` where it is gone for good.

    Where the same was kept anew meanwhile, that one is given, and `InputError` raised where there
    are too many.
    """
    mine = facts.c.id == id_, facts.c.owner == owner
    row = tx.execute(sa.select(facts).where(*mine)).one_or_none()
    if row is None:
        raise _unknown(id_)
    if row.deleted_at is None:
        return _fact(row)
    known = listing(tx, owner)
    same = next((fact for fact in known if fold(fact.text) == fold(row.text)), None)
    if same is not None:
        return same
    _check_room(known)
    tx.execute(sa.update(facts).where(*mine).values(deleted_at=None))
    return _fact(row)


def sweep(tx: Connection, before: float, at: float) -> int:
    """Removes facts that were deleted before then; gives how many.

    Those that were deleted while the clock stood ahead of `at` are as if deleted then.
    """
    tx.execute(sa.update(facts).where(facts.c.deleted_at > at).values(deleted_at=at))
    return tx.execute(sa.delete(facts).where(facts.c.deleted_at < before)).rowcount


def clear(tx: Connection, owner: str) -> int:
    """Deletes all facts of a person for good; gives how many."""
    known = len(listing(tx, owner))
    tx.execute(sa.delete(facts).where(facts.c.owner == owner))
    return known


def find(tx: Connection, owner: str, query: str, most: int = 10) -> list[Fact]:
    """The facts that share words with a query, those with the rarest words first.

    Words are as in the search of conversations: Japanese counts by pairs of characters.
    """
    return ranked(listing(tx, owner), query)[:most]


def ranked(known: Sequence[Fact], query: str) -> list[Fact]:
    """Those of the facts that share words with a query, the likeliest first, else as they come.

    A word weighs log(1 + n / n_w), where n_w of the n facts have it (inverse document frequency;
    Spärck Jones 1972).
    """
    wanted = set(cut(query).split())
    words = [wanted.intersection(cut(fact.text).split()) for fact in known]
    having = Counter(word for each in words for word in each)
    weight = {word: math.log(1 + len(known) / count) for word, count in having.items()}
    scores = [sum(weight[word] for word in each) for each in words]
    best = sorted(range(len(known)), key=lambda at: -scores[at])
    return [known[at] for at in best if scores[at] > 0]


def _check_room(known: Sequence[Fact]) -> None:
    if len(known) >= MOST:
        raise InputError(
            f"There are {len(known)} facts, and at most {MOST} are kept. Delete some that are not "
            "needed any more.",
            param="text",
        )


def _checked(text: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise InputError("A fact needs words; this one is empty.", param="text")
    if len(text) > LONGEST:
        raise InputError(
            f"A fact has at most {LONGEST:,} characters, and this one has {len(text):,}. Say it "
            "more shortly, or keep it as several.",
            param="text",
        )
    return text


def _unknown(id_: str) -> NotFoundError:
    return NotFoundError(f"There is no fact {id_[:60]!r}. List them to see which there are.")


def _fact(row: sa.Row[Any]) -> Fact:
    return Fact(row.id, row.text, row.source, row.created_at, row.changed_at, row.assistant)
