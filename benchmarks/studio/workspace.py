"""Databases to measure on, made through the store's own functions, the same from the same seed."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import kataribe.store
from benchmarks.studio.content import Author
from benchmarks.studio.server import NAME
from benchmarks.studio.words import APART, RARE_ENGLISH, RARE_JAPANESE
from kataribe.store import conversations, messages
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.messages import Message
from kataribe.store.tables import LOCAL

FILE = "kataribe.db"
STORE = Path(kataribe.store.__file__).parent
MAKERS = ("content.py", "words.py", "workspace.py")

AT_ONCE = 5_000
"""Messages in one transaction."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation that is measured.

    `marker` stands in its newest message and nowhere else; `bytes` of UTF-8 in all of them.
    """

    id: str
    title: str
    marker: str
    messages: int
    bytes: int


def long_texts(author: Author, count: int, size: int, marker: str) -> Iterator[str]:
    """Questions and replies in turn, about `size` bytes together; the last one ends in `marker`.

    The replies have what the questions leave of the size, each as much of it as the others.
    """
    left = size
    for place in range(count):
        if place % 2 == 0:
            text = author.question()
        else:
            replies = (count - place + 1) // 2
            # A reply ends with a whole block: half of one more is what it has too much on average.
            text = author.reply(max(1, left // replies - 350 - 150))
        left -= len(text.encode())
        yield f"{text}\n\n{marker}" if place == count - 1 else text


def fill(store: Store, title: str, texts: Iterable[str], marker: str = "") -> Talk:
    """A conversation of these texts, questions and replies in turn."""
    id_, parent, count, size = new_id(), None, 0, 0
    with store.writing() as tx:
        conversations.create(tx, LOCAL, id_, title=title, titled_by="person")
    waiting = iter(texts)
    while part := list(itertools.islice(waiting, AT_ONCE)):
        with store.writing() as tx:
            for text in part:
                parent = messages.add(tx, LOCAL, _message(id_, parent, count, text)).id
                count, size = count + 1, size + len(text.encode())
            conversations.touch(tx, id_, parent)
    return Talk(id_, title, marker, count, size)


def _message(conversation: str, parent: str | None, place: int, text: str) -> Message:
    if place % 2 == 0:
        return Message(new_id(), conversation, parent, "user", "sent", text)
    return Message(
        new_id(), conversation, parent, "assistant", "done", text, model=NAME, finish="stop",
        prompt_tokens=0, completion_tokens=len(text) // 3, first_after=0.1, took=2.0,
    )  # fmt: skip


def chats(
    folder: Path, sizes: Sequence[tuple[str, int, int]], others: int, seed: int
) -> dict[str, Talk]:
    """A database of `others` small conversations and one of each (name, messages, bytes)."""
    author = Author(seed)
    folder.mkdir(parents=True)
    store = Store(folder / FILE)
    try:
        for place in range(others):
            fill(store, f"Small talk {place}", [author.passage() for _ in range(4)])
        made = {}
        for name, count, size in sizes:
            marker = f"The end of the {name} talk."
            texts = long_texts(author, count, size, marker)
            made[name] = fill(store, f"The {name} talk", texts, marker)
        return made
    finally:
        store.close()


def kept_corpus(folder: Path, cache: Path, count: int, seed: int) -> bool:
    """`corpus`, copied from an earlier run where nothing that makes it has changed since.

    Gives whether it was copied. Only the newest one is kept.
    """
    state = hashlib.sha256(f"{count} {seed}".encode())
    here = Path(__file__).parent
    for source in (*map(here.joinpath, MAKERS), *sorted(STORE.rglob("*.py"))):
        state.update(source.read_bytes())
    kept = cache / f"corpus-{state.hexdigest()[:16]}.db"
    there = kept.exists()
    if not there:
        corpus(folder, count, seed)
        for old in cache.glob("corpus-*.db*"):
            old.unlink()
        fresh = kept.with_suffix(".db.new")
        shutil.copyfile(folder / FILE, fresh)
        fresh.replace(kept)
    else:
        folder.mkdir(parents=True)
        shutil.copyfile(kept, folder / FILE)
    return there


def corpus(folder: Path, count: int, seed: int) -> None:
    """A database of `count` messages in conversations of 200, with words planted in some.

    Every rare word stands in at least three messages, whatever the count; each word of `APART` in
    one of seven.
    """
    author, random = Author(seed), Random(seed)
    rare = (*RARE_JAPANESE, *RARE_ENGLISH)
    planted: dict[int, list[str]] = {}
    for word in rare:
        for place in random.sample(range(count), max(3, count // 10_000)):
            planted.setdefault(place, []).append(word)
    folder.mkdir(parents=True)
    store = Store(folder / FILE)
    try:
        with store.writing() as tx:
            talk, parent = "", None
            for place in range(count):
                if place % 200 == 0:
                    talk, parent = new_id(), None
                    conversations.create(tx, LOCAL, talk, title=f"Talk {place // 200}")
                words = [author.passage(), *planted.get(place, ())]
                if place % 7 < len(APART):
                    words.append(APART[place % 7])
                text = " ".join(words)
                parent = messages.add(tx, LOCAL, _message(talk, parent, place, text)).id
                if place % 200 == 199 or place == count - 1:
                    conversations.touch(tx, talk, parent)
    finally:
        store.close()
