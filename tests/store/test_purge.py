"""Deleted is deleted: not a byte of the words is left in the files of the database."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from kataribe.base.errors import NotFoundError, StorageError
from kataribe.serve import sweeping
from kataribe.store import conversations, messages, purge, queue, search, tables
from kataribe.store.attachments import keep
from kataribe.store.database import Store
from kataribe.store.ids import new_id, now
from kataribe.store.tables import (
    LOCAL,
    METADATA,
    attachments,
    passages,
)
from tests.store.conftest import talk

SECRET = "xylophonequartz"
HIDDEN = "鳳凰饗宴"
LATER = 700.0


def bytes_of(store: Store) -> bytes:
    files = store.path.parent.glob(f"{store.path.name}*")
    return b"".join(file.read_bytes() for file in files)


def traces(store: Store) -> list[bytes]:
    """Which parts of the secret words are still in the files; pairs as the index holds them."""
    words = [SECRET, HIDDEN, "凰饗", SECRET[3:12], "zirkonfile"]
    raw = bytes_of(store)
    return [word.encode() for word in words if word.encode() in raw]


def other_talk(store: Store, many: int = 40) -> None:
    for number in range(many):
        with store.writing() as tx:
            talk(tx, f"晴れた日の散歩 {number} " * 20, f"A walk, number {number}. " * 20)


def secret_talk(store: Store) -> tuple[str, list[str]]:
    with store.writing() as tx:
        id_, said = talk(tx, f"{SECRET} {HIDDEN} " * 50, f"{HIDDEN}。{SECRET}", title=SECRET)
        kept = keep(tx, LOCAL, "secret.txt", b"zirkonfile " * 2000)
        tx.execute(
            sa.update(attachments).where(attachments.c.id == kept.id).values(message=said[0])
        )
        queue.put(tx, id_, queue.Item(new_id(), f"{SECRET} waits"))
        queue.note(tx, id_, new_id(), said[0])
        messages.update(tx, said[1], group=new_id(), reasoning=f"{SECRET} {HIDDEN}", remark=SECRET)
        group = messages.get(tx, id_, said[1]).group
        tx.execute(
            sa.insert(METADATA.tables["votes"]).values(
                id=new_id(),
                owner=LOCAL,
                conversation=id_,
                group=group,
                winner=said[1],
                shown=said,
                blind=True,
                created_at=0,
            )
        )
    return id_, said


def rows(store: Store) -> dict[str, int]:
    with store.reading() as tx:
        return {
            name: tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for name, table in METADATA.tables.items()
        }


@pytest.mark.parametrize("around", [0, 40])
def test_not_a_byte_is_left(store, around):
    other_talk(store, around)
    before = rows(store)
    id_, _ = secret_talk(store)
    other_talk(store, around)
    assert len(traces(store)) >= 3  # what the test looks for is there
    with store.writing() as tx:
        conversations.delete(tx, LOCAL, id_)
    swept = purge.sweep(store, at=now() + LATER)
    assert (swept.conversations, swept.messages) == (1, 2)
    assert traces(store) == []
    after = rows(store)
    assert {name: after[name] - before[name] for name in ("queued", "seen_sends", "votes")} == {
        "queued": 0,
        "seen_sends": 0,
        "votes": 0,
    }
    assert after["attachments"] == 0
    with store.writing() as tx:
        tx.exec_driver_sql("INSERT INTO words(words) VALUES ('integrity-check')")
        assert search.find(tx, LOCAL, HIDDEN, kinds=["message", "title"], limit=9) == []
        assert len(search.find(tx, LOCAL, "散歩", kinds=["message"], limit=99)) == 2 * around
        assert tx.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_at_once_for_good(store):
    other_talk(store, 5)
    id_, _ = secret_talk(store)
    with pytest.raises(NotFoundError):
        purge.delete_for_good(store, "other", id_)
    assert purge.delete_for_good(store, LOCAL, id_).messages == 2
    assert traces(store) == []
    with store.reading() as tx, pytest.raises(NotFoundError):
        conversations.get(tx, LOCAL, id_, deleted=True)


def test_what_can_still_come_back_stays(store):
    id_, said = secret_talk(store)
    with store.writing() as tx:
        conversations.delete(tx, LOCAL, id_)
    assert purge.sweep(store) == purge.Swept()
    with store.writing() as tx:
        conversations.restore(tx, LOCAL, id_)
    assert purge.sweep(store, at=now() + LATER) == purge.Swept()
    with store.reading() as tx:
        assert [message.id for message in messages.read(tx, id_, said)] == said


def test_single_messages_go_too(store):
    with store.writing() as tx:
        id_, said = talk(tx, "harmless 一", "harmless 二", f"{SECRET} {HIDDEN}", f"{HIDDEN} end")
        messages.delete(tx, id_, said[2])
    assert purge.sweep(store, at=now() + LATER).messages == 2
    assert traces(store) == []
    with store.reading() as tx:
        assert len(search.find(tx, LOCAL, "harmless", kinds=["message"], limit=9)) == 2
        assert [node.id for node in messages.nodes(tx, id_)] == said[:2]


def test_a_long_conversation_goes_in_portions(store):
    with store.writing() as tx:
        id_, _ = talk(tx, *[f"{SECRET} {number}" for number in range(2 * purge.PORTION + 3)])
        conversations.delete(tx, LOCAL, id_)
    assert purge.sweep(store, at=now() + LATER).messages == 2 * purge.PORTION + 3
    assert traces(store) == []
    with store.reading() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(passages)).scalar() == 0


def test_files_that_nobody_sent_go_and_those_in_a_queue_stay(store):
    with store.writing() as tx:
        id_, _ = talk(tx, "a", "b")
        loose, waits = (keep(tx, LOCAL, name, b"text") for name in ("loose.txt", "waits.txt"))
        queue.put(tx, id_, queue.Item(new_id(), "later", {"attachments": [waits.id]}))
    assert purge.sweep(store, at=now() + 3600).files == 0
    assert purge.sweep(store, at=now() + 8 * 24 * 3600).files == 1
    with store.reading() as tx:
        assert tx.execute(sa.select(attachments.c.id)).scalars().all() == [waits.id]
    assert loose.id != waits.id


def due(store: Store, *ids: str) -> None:
    with store.writing() as tx:
        for id_ in ids:
            conversations.delete(tx, LOCAL, id_)


def test_what_came_back_since_it_was_looked_up_stays(store, monkeypatch):
    with store.writing() as tx:
        first, _ = talk(tx, "a", "b")
        second, said = talk(tx, "c", "d", title="二")
    due(store, first, second)
    begin = purge._begin

    def meanwhile(store: Store, id_: str, limit: float) -> bool:
        if id_ == second:
            with store.writing() as tx:
                conversations.restore(tx, LOCAL, second)
        return begin(store, id_, limit)

    monkeypatch.setattr(purge, "_begin", meanwhile)
    assert purge.sweep(store, at=now() + LATER) == purge.Swept(1, 2, 0)
    with store.reading() as tx:
        assert conversations.get(tx, LOCAL, second).title == "二"
        assert [message.id for message in messages.read(tx, second, said)] == said


@pytest.mark.parametrize("forever", [False, True])
def test_from_the_first_portion_on_it_is_marked_as_going(store, monkeypatch, forever):
    with store.writing() as tx:
        id_, _ = talk(tx, *["word"] * (purge.PORTION + 1))
        kept, said = talk(tx, "stays", *["goes"] * (purge.PORTION + 1))
        messages.delete(tx, kept, said[1])
    due(store, id_)
    seen: list[set[float]] = []
    tables = {"conversations": {id_}, "messages": set(said[1:])}
    delete_messages = purge._delete_messages

    def looking(tx, ids):
        name = "conversations" if not set(ids) & tables["messages"] else "messages"
        table = METADATA.tables[name]
        query = sa.select(table.c.deleted_at).where(table.c.id.in_(tables[name]))
        seen.append(set(tx.execute(query).scalars()))
        return delete_messages(tx, ids)

    monkeypatch.setattr(purge, "_delete_messages", looking)
    if forever:
        assert purge.delete_for_good(store, LOCAL, id_).messages == purge.PORTION + 1
        assert seen == [{purge.GOING}] * 2
    else:
        assert purge.sweep(store, at=now() + LATER).messages == 2 * purge.PORTION + 2
        assert seen == [{purge.GOING}] * 5  # the last look finds nothing more to delete


def test_a_sweep_that_was_interrupted_goes_on_and_scrubs(store, monkeypatch):
    id_, _ = secret_talk(store)
    due(store, id_)

    def full(store: Store) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(purge, "_merge", full)
        with pytest.raises(StorageError):
            purge.sweep(store, at=now() + LATER)
    # By now it is marked; no wait is needed any more.
    assert purge.sweep(store).conversations == 1
    assert traces(store) == []


def test_the_log_is_emptied_once_nobody_reads_any_more(store):
    id_, _ = secret_talk(store)
    with closing(sqlite3.connect(store.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchone()
        assert purge.delete_for_good(store, LOCAL, id_).conversations == 1
        assert len(traces(store)) >= 3
        assert purge.empty_log(store) is False
        reader.rollback()
    assert purge.sweep(store) == purge.Swept()
    assert traces(store) == []
    assert purge.empty_log(store) is True


def test_files_that_wait_go_with_their_queue(store):
    with store.writing() as tx:
        id_, _ = talk(tx, "a", "b")
        other, said = talk(tx, "c", "d")
        waits, shared, sent, loose = (keep(tx, LOCAL, f"{n}.txt", b"text") for n in range(4))
        own = {"attachments": [waits.id, shared.id, sent.id]}
        queue.put(tx, id_, queue.Item(new_id(), "later", own))
        queue.put(tx, other, queue.Item(new_id(), "later", {"attachments": [shared.id]}))
        row = attachments.c.id == sent.id
        tx.execute(sa.update(attachments).where(row).values(message=said[0]))
    purge.delete_for_good(store, LOCAL, id_)
    with store.reading() as tx:
        left = set(tx.execute(sa.select(attachments.c.id)).scalars())
    assert left == {shared.id, sent.id, loose.id}


class Broken:
    """A driver whose connections fail at whatever is asked."""

    Error = sqlite3.Error

    @staticmethod
    def connect(path, timeout=5.0):
        def execute(statement):
            raise sqlite3.OperationalError("database or disk is full")

        return SimpleNamespace(execute=execute, close=lambda: None)


async def test_sweeping_goes_on_after_failures(store, monkeypatch, caplog):
    id_, _ = secret_talk(store)
    monkeypatch.setattr(sweeping, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(purge, "sqlite3", Broken)
    with pytest.raises(StorageError, match=r"-wal: database or disk is full\. It is tried again"):
        purge.scrub(store)
    purge.delete_for_good(store, LOCAL, id_)  # it is gone; only traces are left
    real, looks, done = purge.sweep, itertools.count(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def sweep(store: Store) -> purge.Swept:
        look = next(looks)
        if look == 1:
            raise RuntimeError("something unforeseen")
        if look == 2:
            assert len(traces(store)) >= 3
            monkeypatch.setattr(purge, "sqlite3", sqlite3)
        swept = real(store)
        if look == 2:
            loop.call_soon_threadsafe(done.set)
        return swept

    monkeypatch.setattr(sweeping, "sweep", sweep)
    with caplog.at_level(logging.WARNING, "kataribe.serve"):
        task = asyncio.create_task(sweeping.sweep_now_and_then(store))
        await asyncio.wait_for(done.wait(), 60)
    assert traces(store) == []
    assert "disk is full" in caplog.text
    assert "something unforeseen" in caplog.text
    assert not task.done()
    task.cancel()


def test_what_is_going_cannot_come_back(store: Store) -> None:
    with store.writing() as tx:
        id_, said = talk(tx, "first", "second")
        tx.execute(
            sa.update(tables.messages)
            .where(tables.messages.c.id == said[1])
            .values(deleted_at=tables.GOING)
        )
        with pytest.raises(NotFoundError):
            messages.restore(tx, id_, said[1])
        tx.execute(sa.update(tables.conversations).values(deleted_at=tables.GOING))
        with pytest.raises(NotFoundError):
            conversations.restore(tx, LOCAL, id_)
        assert conversations.listed(tx, LOCAL, deleted=True).conversations == ()


def test_what_was_deleted_while_the_clock_stood_ahead_goes_after_ten_minutes(store: Store) -> None:
    ahead = now() + 365 * 24 * 3600
    with store.writing() as tx:
        gone, _ = talk(tx, "a", "b")
        id_, said = talk(tx, "c", "d", "e", "f", "g", "h")
        messages.delete(tx, id_, said[4])
        messages.delete(tx, id_, said[2])
        conversations.delete(tx, LOCAL, gone)
        tx.execute(
            sa.update(tables.conversations)
            .where(tables.conversations.c.id == gone)
            .values(deleted_at=ahead)
        )
        for number, first in enumerate((4, 2)):
            tx.execute(
                sa.update(tables.messages)
                .where(tables.messages.c.id.in_(said[first : first + 2]))
                .values(deleted_at=ahead + 100 * number)
            )
    at = now()
    assert purge.sweep(store, at=at) == purge.Swept()
    with store.writing() as tx:
        found = conversations.get(tx, LOCAL, gone, deleted=True).deleted_at
        assert found is not None
        assert found <= at
        # What was deleted apart still comes back apart.
        assert messages.restore(tx, id_, said[2]) == tuple(said[2:4])
    swept = purge.sweep(store, at=at + LATER)
    assert (swept.conversations, swept.messages) == (1, 4)


def test_what_is_going_is_not_set_right(store: Store) -> None:
    with store.writing() as tx:
        talk(tx, "a", "b")
        tx.execute(sa.update(tables.conversations).values(deleted_at=tables.GOING))
    assert purge.sweep(store).conversations == 1


def test_backups_of_upgrades_go_after_two_weeks(store: Store, caplog) -> None:
    folder, name = store.path.parent, store.path.name
    old, new, unfinished, others = (
        folder / f"{name}.{ending}"
        for ending in ("backup-0001", "backup-0001-2", "backup-0001.part", "backup-mine")
    )
    for file, days in ((old, 15), (new, 13), (unfinished, 15), (others, 15)):
        file.write_bytes(b"words")
        made = now() - days * 24 * 3600
        os.utime(file, (made, made))
    with caplog.at_level(logging.INFO, "kataribe.store"):
        purge.sweep(store)
    assert sorted(folder.glob("*backup*")) == [new, others]
    assert str(old) in caplog.text
    with store.writing() as tx:
        id_, _ = talk(tx, "a", "b")
    caplog.clear()
    purge.delete_for_good(store, LOCAL, id_)
    assert f"may still be in the backup {new}" in caplog.text
