"""Prompts: templates of a person, each with versions that never change.

What a template's text means is `use.prompts`' business; here it is words, with the names of its
variables beside them.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store.conversations import RETURNS_SECONDS
from kataribe.store.ids import new_id, now
from kataribe.store.tables import prompt_answers, prompt_versions, prompts

MOST = 2000
"""Prompts of one person."""

MOST_VERSIONS = 1000
"""Versions of one prompt."""

LONGEST = 200_000
"""Characters of a template."""

LONGEST_NAME = 64
LONGEST_NOTE = 200

_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template, without its versions.

    Attributes:
        id: What programs name it by.
        name: What people name it by; nobody has two of one name.
        latest: Number of its newest version.
        created_at: Seconds since 1970.
        changed_at: When it got its newest version or name.
        deleted_at: Until it is purged, it can come back; None: it is not deleted.
    """

    id: str
    name: str
    latest: int
    created_at: float
    changed_at: float
    deleted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """What a prompt says, or once said.

    Attributes:
        id: Its own.
        number: From 1.
        text: The template.
        variables: Their names, in the order in which they first stand.
        note: What is new in it, in the words of whoever made it.
        created_at: Seconds since 1970.
        answers: How many answers to it are kept.
    """

    id: str
    number: int
    text: str
    variables: tuple[str, ...]
    note: str
    created_at: float
    answers: int = 0


@dataclass(frozen=True, slots=True)
class Wording:
    """What a new version is made of; see `Version`."""

    text: str
    variables: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError("A prompt needs words; this one is empty.", param="text")
        if len(self.text) > LONGEST:
            raise InputError(
                f"A prompt has at most {LONGEST:,} characters, and this one has "
                f"{len(self.text):,}. Say it more shortly, or pass the long part as a variable.",
                param="text",
            )
        if "\0" in self.text:
            raise InputError("A prompt cannot have the character NUL. Leave it out.", param="text")
        if len(self.note) > LONGEST_NOTE or "\0" in self.note:
            raise InputError(
                f"A note is a line of at most {LONGEST_NOTE} characters, and this one has "
                f"{len(self.note)}.",
                param="note",
            )


def create(tx: Connection, owner: str, name: str, wording: Wording) -> Prompt:
    """A new prompt with its first version.

    Raises `InputError` for a name that cannot be one, or that the person has for another prompt.
    """
    name = free_name(tx, owner, name)
    have = tx.scalar(sa.select(sa.func.count()).select_from(prompts).where(_mine(owner))) or 0
    if have >= MOST:
        raise InputError(
            f"There are {have:,} prompts, and at most {MOST:,} are kept. Delete some that are not "
            "needed any more.",
            param="name",
        )
    time = now()
    made = Prompt(new_id(), name, 1, time, time)
    tx.execute(sa.insert(prompts).values(**dataclasses.asdict(made), owner=owner))
    _insert_version(tx, made.id, 1, wording)
    return made


def listing(tx: Connection, owner: str, *, deleted: bool = False) -> list[Prompt]:
    """A person's prompts, those that were changed last first; or those that can come back."""
    query = sa.select(prompts).where(prompts.c.owner == owner)
    if deleted:
        query = query.where(prompts.c.deleted_at.is_not(None))
    else:
        query = query.where(prompts.c.deleted_at.is_(None))
    order = prompts.c.changed_at.desc(), prompts.c.key.desc()
    return [_prompt(row) for row in tx.execute(query.order_by(*order))]


def get(tx: Connection, owner: str, id_: str, *, deleted: bool = False) -> Prompt:
    """The prompt with that id, `deleted` ones too; `NotFoundError` where the person has none."""
    query = sa.select(prompts).where(prompts.c.id == id_, prompts.c.owner == owner)
    if not deleted:
        query = query.where(prompts.c.deleted_at.is_(None))
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no prompt with the id {id_[:60]!r}.", param="prompt")
    return _prompt(row)


def named(tx: Connection, owner: str, name: str) -> Prompt | None:
    """The person's prompt of that name, if there is one."""
    query = sa.select(prompts).where(_mine(owner), prompts.c.name == normal_name(name))
    row = tx.execute(query).one_or_none()
    return None if row is None else _prompt(row)


def versions(tx: Connection, owner: str, id_: str) -> list[Version]:
    """All versions of a prompt, the first one first, with how much each has answered."""
    get(tx, owner, id_)
    counted = (
        sa.select(prompt_answers.c.version, sa.func.count().label("answers"))
        .group_by(prompt_answers.c.version)
        .subquery()
    )
    query = (
        sa.select(prompt_versions, counted.c.answers)
        .outerjoin(counted, counted.c.version == prompt_versions.c.id)
        .where(prompt_versions.c.prompt == id_)
        .order_by(prompt_versions.c.number)
    )
    return [_version(row) for row in tx.execute(query)]


def version(tx: Connection, owner: str, id_: str, number: int | None = None) -> Version:
    """One version of a prompt, the newest where no number is given.

    Raises `NotFoundError`, which says what numbers there are.
    """
    return version_of(tx, get(tx, owner, id_), number)


def version_of(tx: Connection, prompt: Prompt, number: int | None = None) -> Version:
    """The same for a prompt that is known to be the person's, also a deleted one."""
    wanted = prompt.latest if number is None else number
    if not 1 <= wanted <= prompt.latest:
        there = "only version 1" if prompt.latest == 1 else f"versions 1 to {prompt.latest}"
        raise NotFoundError(
            f"The prompt {prompt.name} has no version {wanted}; it has {there}.", param="version"
        )
    answers = (
        sa.select(sa.func.count())
        .select_from(prompt_answers)
        .where(prompt_answers.c.version == prompt_versions.c.id)
        .scalar_subquery()
        .label("answers")
    )
    here = prompt_versions.c.prompt == prompt.id, prompt_versions.c.number == wanted
    return _version(tx.execute(sa.select(prompt_versions, answers).where(*here)).one())


def add_version(tx: Connection, owner: str, id_: str, wording: Wording) -> Version:
    """Another version; where the words are the newest one's, that one is given back."""
    newest = version(tx, owner, id_)
    if newest.text == wording.text:
        return newest
    if newest.number >= MOST_VERSIONS:
        raise InputError(
            f"This prompt has {newest.number:,} versions, and at most {MOST_VERSIONS:,} are kept. "
            "Go on under another name.",
            param="text",
        )
    _insert_version(tx, id_, newest.number + 1, wording)
    _change(tx, id_, latest=newest.number + 1, changed_at=now())
    return version(tx, owner, id_)


def rename(tx: Connection, owner: str, id_: str, name: str) -> Prompt:
    """Gives a prompt another name; its versions and answers stay with it."""
    prompt = get(tx, owner, id_)
    if normal_name(name) != prompt.name:
        _change(tx, id_, name=free_name(tx, owner, name), changed_at=now())
    return get(tx, owner, id_)


def delete(tx: Connection, owner: str, id_: str) -> Prompt:
    """Deletes it with all versions and answers, so that it can come back for a while.

    The name is free at once; how long it can come back is `conversations.RETURNS_SECONDS`.
    """
    get(tx, owner, id_)
    _change(tx, id_, deleted_at=now())
    return get(tx, owner, id_, deleted=True)


def restore(tx: Connection, owner: str, id_: str) -> Prompt:
    """Brings a deleted one back; `InputError` where its name is another's now.

    One that is not deleted stays as it is, so that asking twice does nothing twice.
    """
    prompt = get(tx, owner, id_, deleted=True)
    if prompt.deleted_at is None:
        return prompt
    free_name(tx, owner, prompt.name)
    _change(tx, id_, deleted_at=None)
    return get(tx, owner, id_)


def purge(tx: Connection, at: float) -> int:
    """Deletes for good what can no longer come back at that time; gives how many."""
    ahead = prompts.c.deleted_at > at  # the clock stood ahead then
    tx.execute(sa.update(prompts).where(ahead).values(deleted_at=at))
    due = prompts.c.deleted_at < at - RETURNS_SECONDS
    return tx.execute(sa.delete(prompts).where(due)).rowcount


def normal_name(name: str) -> str:
    """The name as it is kept and compared: whatever the width of its letters."""
    return unicodedata.normalize("NFKC", name).strip()


def free_name(tx: Connection, owner: str, name: str) -> str:
    """The name as it is kept, if the person can have a prompt of it; raises `InputError`."""
    kept = check_name(name)
    if named(tx, owner, kept) is not None:
        raise InputError(
            f"There is a prompt {kept} already. Give it another version, or choose another name.",
            param="name",
            code="name_taken",
        )
    return kept


def check_name(name: str) -> str:
    """The name as it is kept, if it can be a prompt's; raises `InputError`."""
    kept = normal_name(name)
    if len(kept) > LONGEST_NAME or not _NAME.fullmatch(kept):
        raise InputError(
            f"{name[:LONGEST_NAME]!r} cannot name a prompt: use 1 to {LONGEST_NAME} letters and "
            "digits of any script, and further on also . _ and -, but no spaces and no @.",
            param="name",
        )
    return kept


def insert_version(tx: Connection, prompt: str, kept: Version) -> None:
    """Keeps a version from elsewhere as it is."""
    tx.execute(
        sa.insert(prompt_versions).values(
            id=kept.id,
            prompt=prompt,
            number=kept.number,
            text=kept.text,
            variables=list(kept.variables),
            note=kept.note,
            created_at=kept.created_at,
        )
    )


def all_names(tx: Connection, owner: str) -> Sequence[str]:
    """The names of a person's prompts, in their order."""
    query = sa.select(prompts.c.name).where(_mine(owner)).order_by(prompts.c.name)
    return tx.execute(query).scalars().all()


def _insert_version(tx: Connection, prompt: str, number: int, wording: Wording) -> None:
    insert_version(
        tx,
        prompt,
        Version(new_id(), number, wording.text, wording.variables, wording.note, now()),
    )


def _change(tx: Connection, id_: str, **values: Any) -> None:
    tx.execute(sa.update(prompts).where(prompts.c.id == id_).values(**values))


def _mine(owner: str) -> sa.ColumnElement[bool]:
    return sa.and_(prompts.c.owner == owner, prompts.c.deleted_at.is_(None))


def _prompt(row: sa.Row[Any]) -> Prompt:
    return Prompt(row.id, row.name, row.latest, row.created_at, row.changed_at, row.deleted_at)


def _version(row: sa.Row[Any]) -> Version:
    return Version(
        row.id,
        row.number,
        row.text,
        tuple(row.variables),
        row.note,
        row.created_at,
        row.answers or 0,
    )
