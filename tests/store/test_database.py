"""The file: older and newer forms, a full disk, processes that are killed, clocks that jump."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from kataribe.base.errors import StorageError
from kataribe.store import conversations, ids, messages, search
from kataribe.store.database import BUSY_SECONDS, READERS, Store, _engine, needs_upgrade
from kataribe.store.hits import hits
from kataribe.store.ids import new_id
from kataribe.store.tables import LOCAL, METADATA
from kataribe.store.upgrade import form_of, newest, upgrade
from tests.store.conftest import talk

APPEND = """
import sys
from pathlib import Path
import sqlalchemy as sa
from kataribe.store.database import Store
from kataribe.store.tables import job_log, jobs

store = Store(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    with store.writing() as tx:
        for part in ("a", "b"):
            tx.execute(sa.insert(job_log).values(job="j", at=0, level=sys.argv[2],
                                                 line=f"{number} {part} " + "x" * 3000))
    print(number, flush=True)
"""


def with_job(path: Path) -> Store:
    store = Store(path)
    with store.writing() as tx:
        job = {"id": "j", "owner": LOCAL, "kind": "t", "title": "t", "state": "running"}
        tx.execute(sa.insert(METADATA.tables["jobs"]).values(**job, created_at=0))
    return store


def lines(store: Store, who: str) -> list[str]:
    log = METADATA.tables["job_log"]
    with store.reading() as tx:
        rows = tx.execute(sa.select(log.c.line).where(log.c.level == who).order_by(log.c.key))
        return [line.rpartition(" ")[0] for line in rows.scalars()]


def messages_of(store: Store, id_: str) -> str:
    """What was said in a conversation."""
    with store.reading() as tx:
        every = messages.read(tx, id_, [node.id for node in messages.nodes(tx, id_)])
    return " ".join(message.text for message in every)


def writer(path: Path, who: str, many: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPEND, str(path), who, str(many)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def of_form(path: Path, form: str) -> None:
    """A database as an earlier Kataribe left it, with rows."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    engine = _engine(path)
    upgrade(engine, path, to=form)
    with engine.begin() as connection:
        row = "'c123456789abcdefghij', 'local', '昔の会話', '旅行', 0, '敬語で', '{}', 0, 1, 1, 1"
        connection.exec_driver_sql(
            "INSERT INTO conversations (id, owner, title, folder, pinned, system, sampling, "
            f"version, created_at, updated_at, touched) VALUES ({row})"
        )
        for name, state in (("m1", "done"), ("m2", "writing")):
            row = f"'{name}', 'c123456789abcdefghij', 'assistant', '{state}', 0, '', '熟考 {name}'"
            connection.exec_driver_sql(
                "INSERT INTO messages (id, conversation, role, state, length, text, reasoning, "
                f"asked, detail, rating, remark, created_at) VALUES ({row}, '{{}}', '', 0, '', 1)"
            )
    engine.dispose()


def test_tables_are_those_of_the_migrations(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.reading() as tx:
        ours = [
            change
            for change in compare_metadata(MigrationContext.configure(tx), METADATA)
            if not (change[0] == "remove_table" and change[1].name.startswith("words"))
        ]
        assert ours == []
        assert form_of(tx) == newest()


def test_an_older_database_is_brought_up_to_date_with_a_backup(tmp_path, caplog):
    path = tmp_path / "k.db"
    assert not needs_upgrade(path)
    of_form(path, "0001")
    assert needs_upgrade(path)
    store = Store(path)
    assert not needs_upgrade(path)
    told = [record.getMessage() for record in caplog.records if record.name == "kataribe.store"]
    assert len(told) == 1
    assert f"kept for 14 days in {path}.backup-0001" in told[0]
    with store.writing() as tx:
        assert form_of(tx) == newest()
        (one,) = conversations.listed(tx, LOCAL).conversations
        assert one.title == "昔の会話"
        for words, found in (
            ("敬語", ("system", one.id, None, "敬語で")),
            ("旅行", ("folder", one.id, None, "旅行")),
            ("熟考", ("thought", one.id, "m1", "熟考 m1")),  # the other is not at its end
        ):
            ((hit,), _) = hits(tx, LOCAL, words, limit=5)
            assert (hit.kind, hit.conversation, hit.message, hit.snippet) == found
        assert tx.execute(sa.select(METADATA.tables["jobs"])).all() == []
    backup = tmp_path / "k.db.backup-0001"
    with contextlib.closing(sqlite3.connect(backup)) as old:
        assert old.execute("SELECT title FROM conversations").fetchall() == [("昔の会話",)]
        assert old.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert old.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()
    Store(path).close()  # today's form needs no further one
    assert [file.name for file in tmp_path.glob("*backup*")] == ["k.db.backup-0001"]


def test_a_backup_is_never_overwritten(tmp_path):
    path = tmp_path / "k.db"
    of_form(path, "0001")
    (tmp_path / "k.db.backup-0001").write_text("mine")
    Store(path).close()
    assert (tmp_path / "k.db.backup-0001").read_text() == "mine"
    assert (tmp_path / "k.db.backup-0001-2").stat().st_size > 1000


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "k.db"
    of_form(path, "0001")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE votes (x)")  # the last one that the step makes
        connection.commit()
    with pytest.raises(StorageError, match="Nothing of this change"):
        Store(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        assert "jobs" not in tables
        form = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        assert form == ("0001",)
        assert connection.execute("SELECT title FROM conversations").fetchone() == ("昔の会話",)


def test_a_newer_database_is_refused(tmp_path):
    path = tmp_path / "k.db"
    Store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    assert not needs_upgrade(path)
    with pytest.raises(StorageError, match=r"9999.*KATARIBE_HOME"):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "rubbish", [b"no database at all " * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_file_that_is_no_database_is_refused(tmp_path, rubbish):
    path = tmp_path / "k.db"
    path.write_bytes(rubbish)
    with pytest.raises(StorageError, match="damaged or no database"):
        Store(path)
    assert path.read_bytes() == rubbish


def test_a_folder_in_its_place_is_refused(tmp_path):
    (tmp_path / "k.db").mkdir()
    with pytest.raises(StorageError, match=r"k\.db"):
        Store(tmp_path / "k.db")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "home").write_text("x")
    with pytest.raises(StorageError, match="KATARIBE_HOME"):
        Store(tmp_path / "home" / "k.db")


def test_a_full_disk_loses_nothing_and_says_so(store):
    with store.writing() as tx:
        id_, _ = talk(tx, "kept 前から")
    with store.writing() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")

    def fill() -> None:
        with store.writing() as tx:
            tx.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")
            conversations.change(tx, LOCAL, id_, title="half 途中")
            for _ in range(100):
                talk(tx, "溢れる " * 2000)

    with pytest.raises(StorageError, match=r"full; nothing of this change was kept.*models rm"):
        fill()
    with store.writing() as tx:
        (one,) = conversations.listed(tx, LOCAL).conversations
        assert (one.id, one.title) == (id_, "")
        assert search.find(tx, LOCAL, "溢れる", kinds=["message"], limit=9) == []
        assert search.find(tx, LOCAL, "途中", kinds=["title"], limit=9) == []
        assert len(search.find(tx, LOCAL, "前から", kinds=["message"], limit=9)) == 1
        tx.exec_driver_sql("INSERT INTO words(words) VALUES ('integrity-check')")
        assert tx.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        tx.exec_driver_sql("PRAGMA max_page_count = 1000000")
        talk(tx, "room again")


def test_a_transaction_that_breaks_off_leaves_nothing(store):
    def break_off() -> None:
        with store.writing() as tx:
            talk(tx, "途中 half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    with store.reading() as tx:
        assert conversations.listed(tx, LOCAL).conversations == ()
        assert search.find(tx, LOCAL, "途中", kinds=["message"], limit=9) == []


def test_two_processes_lose_no_write(tmp_path):
    store = with_job(tmp_path / "k.db")
    both = [writer(store.path, who, 60) for who in ("one", "two")]
    read = 0
    while any(process.poll() is None for process in both):
        seen = len(lines(store, "one"))
        assert seen >= read
        assert seen % 2 == 0  # never half of a transaction
        read = seen
    assert [process.wait() for process in both] == [0, 0]
    for process in both:
        assert process.stdout is not None
        process.stdout.close()
    for who in ("one", "two"):
        assert lines(store, who) == [f"{n} {part}" for n in range(60) for part in ("a", "b")]
    store.close()


def test_killed_writers_lose_nothing_that_was_kept(tmp_path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    store = with_job(tmp_path / "k.db")
    for turn in range(8):
        process = writer(store.path, f"w{turn}", 100_000)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read().split()
        process.stdout.close()
        process.wait()
        kept = lines(store, f"w{turn}")
        assert kept == [f"{n} {part}" for n in range(len(kept) // 2) for part in ("a", "b")]
        assert len(kept) // 2 > (int(told[-1]) if told else 0)
    with store.reading() as tx:
        assert tx.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    store.close()


def test_threads_write_in_turn(store):
    def work(number: int) -> None:
        for _ in range(5):
            with store.writing() as tx:
                talk(tx, f"from {number}", "answer")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as tx:
        assert len(conversations.listed(tx, LOCAL, limit=100).conversations) == 30


def test_a_reader_sees_one_moment(store):
    with store.writing() as tx:
        id_, _ = talk(tx, "one")
    with store.reading() as tx:
        before = messages.nodes(tx, id_)
        with store.writing() as other:
            other.execute(sa.delete(METADATA.tables["messages"]))
        assert messages.nodes(tx, id_) == before
    with store.reading() as tx:
        assert messages.nodes(tx, id_) == ()


async def test_a_cancelled_write_is_kept_before_it_is_reported(store):
    began = threading.Event()

    def work(tx: sa.Connection) -> None:
        began.set()
        time.sleep(0.1)
        talk(tx, "kept though cancelled")

    task = asyncio.create_task(store.write(work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await store.read(lambda tx: conversations.listed(tx, LOCAL))
    assert len(found.conversations) == 1


async def test_readers_wait_for_no_writer(store):
    came = []

    async def write(number: int) -> None:
        await store.write(lambda tx: talk(tx, f"write {number}"))
        came.append("write")

    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        # More of them than the threads that an event loop shares out on any machine.
        writes = [asyncio.create_task(write(number)) for number in range(40)]
        await asyncio.sleep(0.05)
        try:
            async with asyncio.timeout(BUSY_SECONDS / 2):  # else the writers give up
                for _ in range(3 * READERS):
                    found = await store.read(lambda tx: conversations.listed(tx, LOCAL))
                    assert found.conversations == ()
                    came.append("read")
        finally:
            other.execute("ROLLBACK")
            await asyncio.gather(*writes)
    assert came == ["read"] * 3 * READERS + ["write"] * 40
    found = await store.read(lambda tx: conversations.listed(tx, LOCAL, limit=100))
    said = [messages_of(store, one.id) for one in found.conversations[::-1]]
    assert said == [f"write {number}" for number in range(40)]  # in the order of their asking


async def test_a_read_that_is_cancelled_before_its_turn_is_not_made(store):
    gate, looked = threading.Event(), []
    held = [asyncio.create_task(store.read(lambda _: gate.wait(10))) for _ in range(READERS)]
    await asyncio.sleep(0.05)
    late = asyncio.create_task(store.read(looked.append))
    await asyncio.sleep(0.05)
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    gate.set()
    assert await asyncio.gather(*held) == [True] * READERS
    await store.read(lambda _: None)
    assert looked == []


async def test_closing_finishes_what_waits_and_takes_nothing_more(tmp_path):
    store = Store(tmp_path / "k.db")
    writes = [
        asyncio.create_task(store.write(lambda tx, n=n: talk(tx, f"write {n}"))) for n in range(9)
    ]
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)
    await asyncio.gather(*writes)
    for ask in (store.read, store.write):
        with pytest.raises(StorageError, match=r"k\.db is closed"):
            await ask(lambda _: None)
    names = {thread.name.partition("_")[0] for thread in threading.enumerate()}
    assert not names & {"store-read", "store-write"}
    again = Store(tmp_path / "k.db")
    found = await again.read(lambda tx: conversations.listed(tx, LOCAL))
    assert len(found.conversations) == 9
    again.close()


def test_a_clock_that_jumps_back_reorders_nothing(store, monkeypatch):
    clock = iter(range(2_000_000_000, 0, -1_000_000))
    for module in (ids, conversations, messages):
        monkeypatch.setattr(module, "now", lambda: float(next(clock)))
    with store.writing() as tx:
        talks = [talk(tx, f"語り {number}", "答え", "続き")[0] for number in range(5)]
    with store.writing() as tx:
        listed = [one.id for one in conversations.listed(tx, LOCAL).conversations]
        assert listed == talks[::-1]
        nodes = messages.nodes(tx, talks[0])
        above = [node.parent for node in nodes]
        assert above == [None, *[node.id for node in nodes[:-1]]]
        assert messages.newest_below(nodes, nodes[0].id) == nodes[-1].id
        found = search.find(tx, LOCAL, "語り", kinds=["message"], limit=9)
        assert [one.within for one in found] == talks[::-1]
        conversations.touch(tx, talks[2], None)
        again = [one.id for one in conversations.listed(tx, LOCAL).conversations]
        assert again[0] == talks[2]


def test_ids_never_meet():
    made = {new_id() for _ in range(10_000)}
    assert len(made) == 10_000
    assert all(ids.check_id(one, "id") == one for one in list(made)[:100])
