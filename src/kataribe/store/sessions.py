"""Sessions: which browsers somebody is signed in with. Only hashes of their tokens are kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import NotFoundError
from kataribe.store import tables

LASTS = 30 * 24 * 3600.0
"""Seconds that a session lives after it was last used."""

RENEWED = 600.0
"""Seconds between two notes that it was used: not every request has to write."""

MOST = 50
"""Sessions of one person; the one that was unused longest gives way."""

_ID = 20
_s = tables.sessions


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that somebody is signed in with.

    Attributes:
        id: The first letters of its hash.
        hash: sha256 of its token, in hexadecimal.
        person: Whose it is.
        seen_at: When it was last used, to ten minutes.
        agent: What the browser calls itself.
    """

    id: str
    hash: str
    person: str
    created_at: float
    seen_at: float
    expires_at: float
    agent: str

    def is_due(self, now: float) -> bool:
        """Whether its use should be noted; also when the clock went back."""
        return abs(now - self.seen_at) >= RENEWED


def new_token() -> str:
    """A token for a cookie: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """What is kept of a token. It is random, so that a fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def begin(tx: Connection, person: str, token: str, agent: str, now: float) -> Session:
    """Keeps a new session, and forgets those that are over."""
    tx.execute(_s.delete().where(_s.c.expires_at <= now))
    of_person = list_sessions(tx, person)
    for old in of_person[MOST - 1 :]:
        tx.execute(_s.delete().where(_s.c.hash == old.hash))
    shown = "".join(letter for letter in agent if letter.isprintable())[:200]
    session = Session(hash_of(token)[:_ID], hash_of(token), person, now, now, now + LASTS, shown)
    tx.execute(
        _s.insert().values(
            hash=session.hash,
            person=person,
            created_at=now,
            seen_at=now,
            expires_at=session.expires_at,
            agent=shown,
        )
    )
    return session


def find(tx: Connection, token: str, now: float) -> Session | None:
    """The session of that token while it lasts and its person may sign in."""
    people = tables.people
    row = tx.execute(
        sa.select(_s)
        .join(people, people.c.id == _s.c.person)
        .where(
            _s.c.hash == hash_of(token),
            _s.c.expires_at > now,
            people.c.password.is_not(None),
            people.c.disabled.is_(False),
        )
    ).one_or_none()
    return None if row is None else _session(row)


def renew(tx: Connection, hash_: str, now: float) -> None:
    """Notes that it was used; it lasts from now on."""
    tx.execute(_s.update().where(_s.c.hash == hash_).values(seen_at=now, expires_at=now + LASTS))


def list_sessions(tx: Connection, person: str) -> list[Session]:
    """A person's sessions, the last used first."""
    rows = tx.execute(
        sa.select(_s).where(_s.c.person == person).order_by(_s.c.seen_at.desc(), _s.c.hash)
    )
    return [_session(row) for row in rows]


def end(tx: Connection, hash_: str) -> None:
    """Ends a session; ending one that is over does nothing."""
    tx.execute(_s.delete().where(_s.c.hash == hash_))


def end_by_id(tx: Connection, person: str, id_: str) -> None:
    """Ends the person's session of that id; raises `NotFoundError`, also for another's."""
    for session in list_sessions(tx, person):
        if session.id == id_:
            end(tx, session.hash)
            return
    raise NotFoundError(f"There is no session {id_[:60]!r}. It may have ended.", param="session")


def end_all(tx: Connection, person: str, *, but: str | None = None) -> int:
    """Ends every session of a person but the one with the hash `but`; gives how many."""
    ended = tx.execute(_s.delete().where(_s.c.person == person, _s.c.hash != (but or "")))
    return int(ended.rowcount)


def _session(row: sa.Row[tuple[object, ...]]) -> Session:
    found = row._mapping
    return Session(
        found["hash"][:_ID],
        found["hash"],
        found["person"],
        found["created_at"],
        found["seen_at"],
        found["expires_at"],
        found["agent"],
    )
