"""The index of words: one for everything that can be found, whoever owns it.

`index` when something is kept, `reindex` when its words change, `unindex` when it goes; `find`
gives what holds a query's words, newest first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store.cutting import Budget, Phrase, cut, phrases, spots
from kataribe.store.tables import passages

LONGEST_QUERY = 500
"""Characters of a query."""

_PUT = "INSERT INTO words(rowid, owner, text) VALUES (?, ?, ?)"
# The index keeps no text: to take something out, it must be told again what went in.
_TAKE = "INSERT INTO words(words, rowid, owner, text) VALUES ('delete', ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Found:
    """Something that holds a query's words.

    Attributes:
        key: Its place: a newer thing has a higher one.
        kind: What it is (`message`, `title`).
        ref: Its id.
        within: Id of what it is part of.
    """

    key: int
    kind: str
    ref: str
    within: str


@dataclass(frozen=True, slots=True)
class Cut:
    """A text as the index holds it."""

    tokens: str

    @classmethod
    def of(cls, text: str) -> Cut:
        """The text, cut."""
        return cls(cut(text))


def index(tx: Connection, kind: str, ref: str, owner: str, within: str, text: str | Cut) -> None:
    """Makes a new thing findable for its owner. What is there already needs `reindex`.

    Whoever has much to index cuts it before the transaction begins, and holds it up for less.
    """
    made = tx.execute(
        sa.insert(passages).values(kind=kind, ref=ref, owner=owner, within=within)
    ).inserted_primary_key
    assert made is not None
    tokens = text.tokens if isinstance(text, Cut) else cut(text)
    tx.exec_driver_sql(_PUT, (made[0], owner, tokens))


def reindex(tx: Connection, kind: str, ref: str, old: str, new: str) -> None:
    """Puts the `new` text in the place of the `old` one, which must be as it was indexed."""
    key, owner = _place(tx, kind, ref)
    tx.exec_driver_sql(_TAKE, (key, owner, cut(old)))
    tx.exec_driver_sql(_PUT, (key, owner, cut(new)))


def unindex(tx: Connection, kind: str, ref: str, text: str) -> None:
    """Takes a thing out of the index; `text` must be as it was indexed.

    Nothing happens where it is not in there.
    """
    try:
        key, owner = _place(tx, kind, ref)
    except NotFoundError:
        return
    tx.exec_driver_sql(_TAKE, (key, owner, cut(text)))
    tx.execute(sa.delete(passages).where(passages.c.key == key))


def find(
    tx: Connection,
    owner: str,
    query: str,
    *,
    kinds: Sequence[str],
    limit: int,
    before: int | None = None,
) -> list[Found]:
    """What of `owner`'s holds every phrase of the query, newest first.

    Args:
        tx: A view of the database.
        owner: Whose things are looked through; nobody else's are ever read.
        query: Words; between quotation marks, words that stand together.
        kinds: Which kinds to give.
        limit: How many at most.
        before: Only what has a lower `key`, to go on from an earlier answer.
    """
    looked_for = match(owner, query)
    if looked_for is None:
        return []
    rows = tx.execute(
        sa.text(
            "SELECT p.key, p.kind, p.ref, p.within FROM words "
            "JOIN passages p ON p.key = words.rowid "
            "WHERE words MATCH :match AND words.rowid < :before AND p.kind IN :kinds "
            "ORDER BY words.rowid DESC LIMIT :limit"
        ).bindparams(sa.bindparam("kinds", expanding=True)),
        {
            "match": looked_for,
            "before": 2**62 if before is None else before,
            "kinds": list(kinds),
            "limit": limit,
        },
    )
    return [Found(*row) for row in rows]


def match(owner: str, query: str) -> str | None:
    """The query in the index's own language; None where it holds nothing to look for."""
    if len(query) > LONGEST_QUERY:
        raise InputError(
            f"The search has {len(query)} characters, but at most {LONGEST_QUERY} are looked for. "
            "Search for a part of it.",
            param="q",
        )
    wanted = phrases(query)
    if not wanted:
        return None
    if not re.fullmatch(r"[0-9a-z]+", owner):
        raise InputError(f"{owner!r} is no owner's id.", param="owner")
    text = " AND ".join(_quoted(phrase) for phrase in wanted)
    return f'owner : "{owner}" AND text : ({text})'


def snippet(
    text: str, query: str, width: int = 160, *, budget: Budget | None = None
) -> tuple[str, list[tuple[int, int]]]:
    """The part of a text that shows why it was found.

    Args:
        text: The whole text.
        query: What was looked for.
        width: Characters (code points) to show, about.
        budget: How far the words are looked for; if they are not there, the beginning is shown.

    Returns:
        One line of text, and [start, end) in it of what matches, in code points.
    """
    query = query[:LONGEST_QUERY]
    first = next(spots(text, query, budget), (0, 0))[0]
    start = max(0, min(first - width // 4, len(text) - width))
    end = min(len(text), start + width)
    line = re.sub(r"[\s\0]", " ", text[start:end])
    head, tail = "…" if start else "", "…" if end < len(text) else ""
    marks = [(a + len(head), b + len(head)) for a, b in spots(text[start:end], query)]
    return f"{head}{line}{tail}", marks


def _place(tx: Connection, kind: str, ref: str) -> tuple[int, str]:
    row = tx.execute(
        sa.select(passages.c.key, passages.c.owner).where(
            passages.c.kind == kind, passages.c.ref == ref
        )
    ).first()
    if row is None:
        raise NotFoundError(f"There is no {kind} {ref!r} in the index of words.")
    return row.key, row.owner


def _quoted(phrase: Phrase) -> str:
    return f'"{" ".join(phrase.tokens)}"{" *" if phrase.open else ""}'
