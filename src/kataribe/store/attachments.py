"""Files beside messages: texts and images, kept in the database.

What a file is, its bytes say, never its name or what the sender claims.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import search
from kataribe.store.ids import new_id, now
from kataribe.store.tables import attachments, conversations, queued

MOST_TEXT = 1024**2
"""Bytes of a text file; longer ones fit no model's context."""

MOST_IMAGE = 10 * 1024**2
"""Bytes of an image."""

FINDABLE = 50_000
"""Characters of a text file in which words are found."""

LONGEST_NAME = 200
"""Characters of a file's name."""

KINDS = "Text in UTF-8 (source code, JSON, CSV, Markdown ...) up to 1 MiB and PNG, JPEG, WebP and "
KINDS += "GIF images up to 10 MiB can be attached."

_IMAGES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)
_OTHERS = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"GGUF", "a model"),
    (b"SQLite format 3\0", "a database"),
)
_CLAIMS = re.compile(r"text/[a-z0-9.+-]{1,60}|application/(json|xml|yaml|toml|javascript|sql)")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file without its bytes.

    Attributes:
        id: What it is named by.
        name: The file's name, without folders.
        media_type: What its bytes are.
        size: Bytes.
        message: Id of the message that it is beside; None: not sent yet.
    """

    id: str
    name: str
    media_type: str
    size: int
    message: str | None


_COLUMNS = [attachments.c[name] for name in Attachment.__dataclass_fields__]


def keep(tx: Connection, owner: str, name: str, data: bytes, claimed: str = "") -> Attachment:
    """Keeps a file that is not sent yet.

    `claimed` is the media type that the sender gives; it only tells one text from another. Raises
    `InputError` for what is empty, too big, or neither text nor image.
    """
    name = clean_name(name)
    media_type = kind_of(name, data, claimed)
    id_ = new_id()
    tx.execute(
        sa.insert(attachments).values(
            id=id_,
            owner=owner,
            name=name,
            media_type=media_type,
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            data=data,
            created_at=now(),
        )
    )
    return Attachment(id_, name, media_type, len(data), None)


def get(tx: Connection, owner: str, id_: str) -> Attachment:
    """The file of this id; `NotFoundError` where the owner has none."""
    query = sa.select(*_COLUMNS).where(attachments.c.id == id_, attachments.c.owner == owner)
    row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(
            f"There is no attachment {id_[:40]!r}; it may have been deleted.", param="attachment"
        )
    return Attachment(*row)


def data_of(tx: Connection, owner: str, id_: str) -> bytes:
    """A file's bytes."""
    get(tx, owner, id_)
    data: bytes = tx.execute(
        sa.select(attachments.c.data).where(attachments.c.id == id_)
    ).scalar_one()
    return data


def delete(tx: Connection, owner: str, id_: str) -> None:
    """Deletes a file that was not sent. Those of messages go with their messages."""
    found = get(tx, owner, id_)
    if found.message is not None or id_ in in_queues(tx, owner):
        raise InputError(
            f"{found.name} was sent with a message; delete or withdraw that message instead.",
            param="attachment",
        )
    tx.execute(sa.delete(attachments).where(attachments.c.id == id_))


def of_messages(tx: Connection, ids: Sequence[str]) -> Mapping[str, tuple[Attachment, ...]]:
    """The files beside these messages, by the message's id, in the order they were attached."""
    found: dict[str, tuple[Attachment, ...]] = {}
    for start in range(0, len(ids), 500):
        query = sa.select(*_COLUMNS).where(attachments.c.message.in_(ids[start : start + 500]))
        for row in tx.execute(query.order_by(attachments.c.created_at, attachments.c.id)):
            one = Attachment(*row)
            found[row.message] = (*found.get(row.message, ()), one)
    return found


def of_ids(tx: Connection, ids: Sequence[str]) -> tuple[Attachment, ...]:
    """The files of these ids, whoever owns them; those that are gone are left out."""
    if not ids:
        return ()
    query = sa.select(*_COLUMNS).where(attachments.c.id.in_(ids))
    return tuple(Attachment(*row) for row in tx.execute(query))


def listed(tx: Connection, owner: str, ids: Sequence[str]) -> tuple[Attachment, ...]:
    """The owner's files of these ids, in their order; those that are gone are left out."""
    query = sa.select(*_COLUMNS).where(attachments.c.id.in_(ids), attachments.c.owner == owner)
    found = {row.id: Attachment(*row) for row in tx.execute(query)}
    return tuple(found[id_] for id_ in ids if id_ in found)


def kind_of(name: str, data: bytes, claimed: str = "") -> str:
    """The media type that the bytes say; `InputError` for what cannot be attached."""
    if not data:
        raise InputError(f"{name} is empty (0 bytes). {KINDS}", param="body", code="empty_file")
    for magic, media_type in _IMAGES:
        if magic.match(data):
            _check_size(name, len(data), media_type, MOST_IMAGE)
            return media_type
    text = _text_of(name, data)
    _check_size(name, len(data), "text", MOST_TEXT)
    if any(unicodedata.category(char) == "Cc" for char in set(text) - set("\t\n\r\f\v\x1b")):
        raise _no_kind(name, len(data), "no text: it has control characters")
    claimed = claimed.partition(";")[0].strip().lower()
    return claimed if _CLAIMS.fullmatch(claimed) else "text/plain"


def clean_name(name: str) -> str:
    """A file's name without folders and without signs that mislead whoever reads it."""
    name = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    name = re.split(r"[/\\]", name)[-1]
    # Control and format characters (a right-to-left override shows exe.txt for txt.exe).
    name = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip(" .")
    if len(name) > LONGEST_NAME:
        stem, dot, ending = name.rpartition(".")
        if not dot or len(ending) > 16:
            stem, dot, ending = name, "", ""
        name = stem[: LONGEST_NAME - len(dot + ending)] + dot + ending
    return name or "file"


def _text_of(name: str, data: bytes) -> str:
    for magic, kind in _OTHERS:
        if data.startswith(magic):
            raise _no_kind(name, len(data), kind)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise _no_kind(name, len(data), _guess(data)) from None


def _guess(data: bytes) -> str:
    """What bytes that are no UTF-8 may be, as the end of a sentence."""
    start = data[:4096]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16 (save it as UTF-8)"
    if b"\0" not in start:
        for encoding, shown in (("cp932", "Shift_JIS"), ("euc_jp", "EUC-JP")):
            try:
                text = start[:4000].decode(encoding, "strict" if len(data) <= 4000 else "ignore")
            except UnicodeDecodeError:
                continue
            if re.search(r"[\u3041-\u30ff]", text):
                return f"text that looks like {shown} (save it as UTF-8)"
    return "no image and no text in UTF-8"


def _check_size(name: str, size: int, kind: str, limit: int) -> None:
    if size > limit:
        raise InputError(
            f"{name} ({kind}) has {size:,} bytes, but at most {limit:,} are kept. Make it smaller, "
            "or attach a part of it.",
            param="body",
            code="file_too_big",
        )


def _no_kind(name: str, size: int, what: str) -> InputError:
    return InputError(
        f"{name} ({size:,} bytes) is {what}. {KINDS}", param="body", code="unsupported_file"
    )


def in_queues(tx: Connection, owner: str) -> set[str]:
    """Ids of the owner's files that wait with messages in queues."""
    query = (
        sa.select(queued.c.asked)
        .join(conversations, conversations.c.id == queued.c.conversation)
        .where(conversations.c.owner == owner)
    )
    return {id_ for asked in tx.execute(query).scalars() for id_ in asked.get("attachments", [])}


def make_findable(
    tx: Connection, owner: str, conversation: str, sent: sa.ColumnElement[bool]
) -> None:
    """Puts files that were sent into the index: their names, and the beginning of texts."""
    for id_, words in _words(tx, sent):
        search.index(tx, "file", id_, owner, conversation, words)


def forget(tx: Connection, gone: sa.ColumnElement[bool]) -> None:
    """Takes files out of the index; before they are deleted."""
    for id_, words in _words(tx, gone):
        search.unindex(tx, "file", id_, words)


def words_of(name: str, text: bytes) -> str:
    """What a file is found by; of an image there is no `text`."""
    words = text.decode("utf-8", "ignore")[:FINDABLE]
    return f"{name}\n{words}" if words else name


def words_column() -> sa.ColumnElement[bytes]:
    """Of a text file so many bytes as are looked through; of an image none."""
    beginning = sa.func.substr(attachments.c.data, 1, 4 * FINDABLE, type_=sa.LargeBinary)
    return sa.case((attachments.c.media_type.like("image/%"), b""), else_=beginning)


def _words(tx: Connection, where: sa.ColumnElement[bool]) -> list[tuple[str, str]]:
    sent = attachments.c.message.is_not(None)
    query = sa.select(attachments.c.id, attachments.c.name, words_column()).where(where, sent)
    return [(id_, words_of(name, text)) for id_, name, text in tx.execute(query)]
