"""The words of a running reply in its file: all are found again, and nothing of them stays."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kataribe.store import journals
from kataribe.store.messages import Message

REPLY = "r" * 20
SAID = '彼は🐘を見た。\n"Yes", he said.'


def row(text: str = "", reasoning: str = "", model: str | None = None) -> Message:
    return Message(
        REPLY, "c", "q", "assistant", "writing", text=text, reasoning=reasoning, model=model
    )


def tell(database: Path, kind: str, words: str) -> None:
    """Adds words one letter at a time, as a page counts their places."""
    at = 0
    for letter in words:
        journals.add(database, REPLY, kind, at, letter)
        at += len(letter.encode("utf-16-le")) // 2


def test_a_row_is_completed_whatever_it_has_already(tmp_path: Path) -> None:
    database = tmp_path / "kataribe.db"
    journals.begin(database, REPLY, "small")
    tell(database, "reasoning", "Hm 🐘.")
    tell(database, "text", SAID)
    whole = {"text": SAID, "reasoning": "Hm 🐘.", "model": "small"}
    for many in range(len(SAID) + 1):
        assert journals.completed(database, row(SAID[:many])) == whole
    assert journals.completed(database, row(SAID, "Hm", "small")) == whole
    further = journals.completed(database, row(f"{SAID} And more", "Hm 🐘. So"))
    assert (further["text"], further["reasoning"]) == (f"{SAID} And more", "Hm 🐘. So")
    assert journals.completed(tmp_path / "other.db", row("kept")) == {}


def test_a_beginning_that_a_person_gave_stands_before_the_words(tmp_path: Path) -> None:
    database = tmp_path / "kataribe.db"
    journals.begin(database, REPLY, "small")
    journals.add(database, REPLY, "text", 6, "there")
    assert journals.completed(database, row("Hello "))["text"] == "Hello there"


def test_a_full_disk_cuts_a_line_and_later_ones_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "kataribe.db"
    journals.begin(database, REPLY, "small")
    journals.add(database, REPLY, "text", 0, "one ")
    write = os.write

    def full(file: int, line: bytes) -> int:
        write(file, line[: len(line) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        journals.add(database, REPLY, "text", 4, "two ")  # nothing is raised: the reply goes on
    journals.add(database, REPLY, "text", 8, "three")
    assert journals.completed(database, row())["text"] == "one "
    assert journals.completed(database, row("one two "))["text"] == "one two three"


def test_what_was_taken_away_does_not_come_back(tmp_path: Path) -> None:
    database = tmp_path / "kataribe.db"
    for reply in (REPLY, "other"):
        journals.begin(database, reply, "small")
    journals.remove(database, [REPLY, "never"])
    journals.add(database, REPLY, "text", 0, "late")
    assert [file.name for file in tmp_path.iterdir()] == ["kataribe.db-reply-other"]
    database.write_bytes(b"")
    journals.clear(database)
    assert list(tmp_path.iterdir()) == [database]
