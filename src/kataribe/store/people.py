"""Accounts: who may sign in, and what becomes of what they own.

The row `LOCAL` owns everything while nobody has an account. The first account is that row with a
name and a password: it takes over all there is, and nothing has to be moved while a server works.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import jobs, tables
from kataribe.store.ids import new_id
from kataribe.store.sessions import end_all
from kataribe.store.tables import LOCAL

LONGEST_NAME = 64
_NAME = re.compile(r"\w[\w.@+-]*")
_p = tables.people


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account.

    Attributes:
        id: What their things are owned by.
        name: As signed in with: whatever the case and width of letters.
        shown: As it was given.
        disabled: They may not sign in, and their keys are refused.
    """

    id: str
    name: str
    shown: str
    disabled: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class Owned:
    """How much somebody owns."""

    conversations: int
    messages: int
    attachments: int
    jobs: int
    api_keys: int


def sign_in_name(name: str) -> str:
    """The name as it is compared: `Ｔａｒｏ` and `taro` are the same."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def have_accounts(tx: Connection) -> bool:
    """Whether anybody has an account, also a disabled one.

    Disabling the last one must lock the door, not take it out.
    """
    return tx.scalar(sa.select(1).where(_p.c.password.is_not(None)).limit(1)) is not None


def add(tx: Connection, name: str, password: str, now: float) -> tuple[Person, Owned | None]:
    """A new account; `password` as `hashed` gives it. Raises `InputError`.

    The first account also gets what was made without one; how much, says the second value.
    """
    key = check_free(tx, name)
    shown = unicodedata.normalize("NFKC", name).strip()
    values = {
        "name": key,
        "shown": shown,
        "password": password,
        "disabled": False,
        "created_at": now,
    }
    if have_accounts(tx):
        id_ = new_id()
        tx.execute(_p.insert().values(id=id_, **values))
        return find(tx, key), None
    tx.execute(_p.update().where(_p.c.id == LOCAL).values(**values))
    return find(tx, key), owned(tx, LOCAL)


def check_free(tx: Connection, name: str) -> str:
    """The name as it is kept, if a new account can have it; raises `InputError`."""
    key = _check_name(name)
    if tx.scalar(sa.select(_p.c.id).where(_p.c.name == key)) is not None:
        raise InputError(
            f"There is a person {key!r} already. Choose another name, or set a new password with: "
            f"kataribe users password {key}",
            param="name",
        )
    return key


def list_people(tx: Connection) -> list[Person]:
    """Everybody with an account, in the order they came."""
    rows = tx.execute(
        sa.select(_p).where(_p.c.password.is_not(None)).order_by(_p.c.created_at, _p.c.name)
    )
    return [_person(row) for row in rows]


def find(tx: Connection, name: str) -> Person:
    """The person of that name; raises `NotFoundError`, which lists who there is."""
    key = sign_in_name(name)
    row = tx.execute(
        sa.select(_p).where(_p.c.name == key, _p.c.password.is_not(None))
    ).one_or_none()
    if row is None:
        there = ", ".join(person.shown for person in list_people(tx)) or "nobody yet"
        raise NotFoundError(
            f"There is no person {name[:LONGEST_NAME]!r}. There is: {there}. "
            "Make an account with: kataribe users add NAME",
            param="name",
        )
    return _person(row)


def get(tx: Connection, id_: str) -> Person:
    """The person with that id; raises `NotFoundError`."""
    row = tx.execute(sa.select(_p).where(_p.c.id == id_, _p.c.password.is_not(None))).one_or_none()
    if row is None:
        raise NotFoundError("This account is no longer there.", param="person")
    return _person(row)


def password_of(tx: Connection, name: str) -> tuple[Person, str] | None:
    """The person of that name who may sign in, and what is kept of the password."""
    row = tx.execute(
        sa.select(_p).where(
            _p.c.name == sign_in_name(name),
            _p.c.password.is_not(None),
            _p.c.disabled.is_(False),
        )
    ).one_or_none()
    return None if row is None else (_person(row), row.password)


def set_password(tx: Connection, person: str, password: str, *, keep: str | None = None) -> int:
    """Sets what `hashed` gave, and ends every session but `keep` (a hash); gives how many."""
    tx.execute(_p.update().where(_p.c.id == person).values(password=password))
    return end_all(tx, person, but=keep)


def set_disabled(tx: Connection, person: str, *, disabled: bool) -> None:
    """Locks somebody out, or lets them in again. Their things stay; their sessions end."""
    tx.execute(_p.update().where(_p.c.id == person).values(disabled=disabled))
    if disabled:
        end_all(tx, person)


def owned(tx: Connection, person: str) -> Owned:
    """How much somebody owns."""

    def count(table: sa.Table, where: sa.ColumnElement[bool]) -> int:
        return tx.scalar(sa.select(sa.func.count()).select_from(table).where(where)) or 0

    mine = tables.conversations.c.owner == person
    of_mine = tables.messages.c.conversation.in_(sa.select(tables.conversations.c.id).where(mine))
    return Owned(
        conversations=count(tables.conversations, mine),
        messages=count(tables.messages, of_mine),
        attachments=count(tables.attachments, tables.attachments.c.owner == person),
        jobs=count(tables.jobs, tables.jobs.c.owner == person),
        api_keys=count(tables.api_keys, tables.api_keys.c.person == person),
    )


def cancel_jobs(tx: Connection, person: str) -> None:
    """Asks to cancel all that may have left something: what is open, and what failed."""
    mine = tables.jobs.c.owner == person, tables.jobs.c.state.in_((*jobs.OPEN, "failed"))
    for job in tx.execute(sa.select(tables.jobs.c.id).where(*mine)).scalars().all():
        jobs.ask(tx, person, job, "cancel")


def remove(tx: Connection, person: str) -> bool:
    """Deletes an account with all that hangs on it; not while it has conversations.

    Those go before (`purge.remove_account`): the index of words must be told each of them. Without
    any account left, whoever reaches the server is `LOCAL` again, who owns nothing then.

    Returns:
        Whether it is gone.
    """
    has = sa.select(1).where(tables.conversations.c.owner == person).limit(1)
    if tx.scalar(has) is not None:
        return False
    tx.execute(_p.delete().where(_p.c.id == person))  # the rest goes with the row
    if person == LOCAL:
        tx.execute(
            _p.insert().values(id=LOCAL, name=LOCAL, shown="", disabled=False, created_at=0.0)
        )
    return True


def _check_name(name: str) -> str:
    key = sign_in_name(name)
    if len(key) > LONGEST_NAME or not _NAME.fullmatch(key):
        raise InputError(
            f"The name {name[:LONGEST_NAME]!r} cannot be used. A name has 1 to {LONGEST_NAME} "
            "letters and digits of any script, and further on also . _ - + and @, but no spaces.",
            param="name",
        )
    if key == LOCAL:
        raise InputError(
            f"The name {LOCAL!r} stands for whoever uses Kataribe without an account. "
            "Choose another.",
            param="name",
        )
    return key


def _person(row: sa.Row[tuple[object, ...]]) -> Person:
    found = row._mapping
    return Person(
        found["id"], found["name"], found["shown"], found["disabled"], found["created_at"]
    )
