"""The words of replies that are being written, in small files beside the database.

What a page was told must outlive the process, however it ends, and a transaction for every few
words would cost too much. So before words are told they are appended to the reply's own file, in
one write: the system keeps it when the process is killed. (For a power cut the rows are kept now
and then.) The next start completes the rows from the files; a file goes when the row of its reply
says how it ended, or goes itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kataribe.store.messages import Message

log = logging.getLogger("kataribe.store")


def begin(database: Path, reply: str, model: str) -> None:
    """Makes the file of a reply. Where the disk takes none, the reply goes on without it."""
    try:
        _append(_place(database, reply), os.O_CREAT, ["model", 0, model])
    except OSError as error:
        log.warning("What a running reply says cannot be kept as it is said: %s", error)


LISTS = ("steps", "consents")
"""Columns that are lists: of those, values are appended and not words."""


def add(database: Path, reply: str, kind: str, at: int, words: str | Mapping[str, Any]) -> None:
    """Appends words; `at` counts the UTF-16 units of that field before them.

    Of `LISTS`, a value at its place, which may be told again and counts then as it is told last.

    Nothing happens where the file is gone: whoever took it away did not want it to come back. A
    disk that is full leaves a hole, which the next keeping of the row closes.
    """
    with contextlib.suppress(OSError):
        _append(_place(database, reply), 0, [kind, at, words])


def completed(database: Path, reply: Message) -> dict[str, Any]:
    """The columns of a reply that has not ended, with all that was told of it."""
    said = {
        "text": bytearray(reply.text.encode("utf-16-le")),
        "reasoning": bytearray(reply.reasoning.encode("utf-16-le")),
        "model": bytearray((reply.model or "").encode("utf-16-le")),
    }
    lists = {name: list(getattr(reply, name)) for name in LISTS}
    try:
        lines = _place(database, reply.id).read_bytes().split(b"\n")
    except OSError:
        return {}
    for line in lines:
        try:
            kind, at, words = json.loads(line)
            if kind in lists and isinstance(words, dict):
                if 0 <= at <= len(lists[kind]):
                    lists[kind][at : at + 1] = [words]
                continue
            missing = len(said[kind]) - 2 * at
        # Cut off by the end of the process or by a full disk, damaged, or of a later version.
        except (ValueError, TypeError, KeyError):
            continue
        if missing >= 0:  # else words before these are in no file and in no row
            said[kind] += words.encode("utf-16-le")[missing:]
    told = {kind: words.decode("utf-16-le", "replace") for kind, words in said.items() if words}
    return told | {name: values for name, values in lists.items() if values}


def remove(database: Path, replies: Iterable[str]) -> None:
    """Removes the files of replies; those that have none are passed over."""
    for reply in replies:
        _remove(_place(database, reply))


def clear(database: Path) -> None:
    """Removes all of them; the caller holds the workspace, so that nothing is being written."""
    for file in database.parent.glob(f"{database.name}-reply-*"):
        _remove(file)


def _place(database: Path, reply: str) -> Path:
    return database.with_name(f"{database.name}-reply-{reply}")


def _append(file: Path, flags: int, record: list[object]) -> None:
    # The line's end comes first: what a full disk has cut off does not spoil what comes after it.
    line = b"\n" + json.dumps(record).encode()
    opened = os.open(file, os.O_WRONLY | os.O_APPEND | flags, 0o600)
    try:
        os.write(opened, line)
    finally:
        os.close(opened)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s has words of a reply and cannot be removed: %s", file, error)
