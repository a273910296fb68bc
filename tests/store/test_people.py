"""Accounts, passwords, sessions and keys as rows."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import api_keys, jobs, people, purge, queue, search, sessions, tables
from kataribe.store.attachments import keep
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.store.passwords import LONGEST, check_password, hashed, is_right
from kataribe.store.tables import LOCAL
from tests.store.conftest import talk


def _add(store: Store, name: str) -> people.Person:
    with store.writing() as tx:
        return people.add(tx, name, "kept", 1.0)[0]


def test_the_first_account_takes_over_what_was_there(store: Store):
    with store.writing() as tx:
        talk(tx, "wasabi", "mochi", title="sweets")
        assert not people.have_accounts(tx)
        taro, taken = people.add(tx, "Taro", "kept", 1.0)
        hanako, nothing = people.add(tx, "花子", "kept", 2.0)
        assert people.have_accounts(tx)
        assert (taken, nothing) == (people.Owned(1, 2, 0, 0, 0), None)
        assert people.owned(tx, taro.id).conversations == 1
        assert people.owned(tx, hanako.id).conversations == 0
        assert len(search.find(tx, taro.id, "wasabi", kinds=["message"], limit=5)) == 1
        assert [person.shown for person in people.list_people(tx)] == ["Taro", "花子"]


@pytest.mark.parametrize("name", ["taro", "TARO", " Ｔａｒｏ ", "Taro"])
def test_a_name_is_taken_in_whatever_letters(store: Store, name: str):
    _add(store, "Taro")
    with store.writing() as tx:
        assert people.find(tx, name).shown == "Taro"
        with pytest.raises(InputError, match="already"):
            people.add(tx, name, "kept", 2.0)


@pytest.mark.parametrize(
    "name", ["", " ", "local", "LOCAL", "a b", "-a", "x" * 65, "a\x00", "a/b", "<b>", "a\u202eb"]
)
def test_names_that_cannot_be(store: Store, name: str):
    with pytest.raises(InputError), store.writing() as tx:
        people.add(tx, name, "kept", 1.0)


@pytest.mark.parametrize("name", ["太郎", "o.brien", "taro@example.org", "x" * 64, "7"])
def test_names_that_can(store: Store, name: str):
    assert _add(store, name).shown == name


def test_deleting_really_deletes_and_leaves_others_alone(store: Store):
    taro, hanako = _add(store, "taro"), _add(store, "hanako")
    with store.writing() as tx:
        talk(tx, "wasabimochi", "reply", owner=taro.id, title="sweets")
        talk(tx, "sakuramochi", "reply", owner=hanako.id, title="sweets")
        api_keys.make(tx, taro.id, "laptop", 1.0)
        sessions.begin(tx, taro.id, "ptoken", "Lynx", 1.0)
    assert purge.empty_account(store, taro.id) == people.Owned(1, 2, 0, 0, 1)
    purge.remove_account(store, taro.id)
    with store.writing() as tx:
        assert len(search.find(tx, hanako.id, "sakuramochi", kinds=["message"], limit=5)) == 1
        assert search.find(tx, LOCAL, "wasabimochi", kinds=["message"], limit=5) == []
        # Consistent, says the index itself, and nothing is in it that no row stands for.
        tx.exec_driver_sql("INSERT INTO words(words) VALUES ('integrity-check')")
        words = {row[0] for row in tx.exec_driver_sql("SELECT rowid FROM words")}
        assert words == set(tx.execute(sa.select(tables.passages.c.key)).scalars())
        assert [person.name for person in people.list_people(tx)] == ["hanako"]
        assert people.have_accounts(tx)
    purge.empty_account(store, hanako.id)
    purge.remove_account(store, hanako.id)
    with store.writing() as tx:
        assert not people.have_accounts(tx)
        talk(tx, "anko")  # whoever comes now is LOCAL again
        for table in (tables.sessions, tables.api_keys):
            assert tx.execute(sa.select(table)).all() == []


def _much(store: Store, owner: str) -> None:
    with store.writing() as tx:
        for number in range(3):
            words = [f"wasabi {number} " * 30_000, f"mochi {number}"] * 2
            id_, said = talk(tx, *words, owner=owner, title=f"sweets {number}")
            kept = keep(tx, owner, "a.txt", b"zirkonfile")
            row = tables.attachments.c.id == kept.id
            tx.execute(sa.update(tables.attachments).where(row).values(message=said[0]))
            queue.put(tx, id_, queue.Item(new_id(), "waits"))
        keep(tx, owner, "loose.txt", b"zirkonfile")


def test_deleting_somebody_with_much_lets_others_write_in_between(store: Store, monkeypatch):
    taro = _add(store, "taro")
    _much(store, taro.id)
    portions: list[int] = []
    delete = purge._delete_messages

    def counted(tx, ids):
        query = sa.select(sa.func.sum(tables.messages.c.length))
        portions.append(tx.scalar(query.where(tables.messages.c.id.in_(ids))) or 0)
        return delete(tx, ids)

    monkeypatch.setattr(purge, "_delete_messages", counted)
    monkeypatch.setattr(purge, "PORTION_LENGTH", 300_000)
    purge.empty_account(store, taro.id)
    assert len(portions) == 6
    assert max(portions) <= 300_000
    purge.remove_account(store, taro.id)
    with store.writing() as tx:
        for table in ("conversations", "messages", "attachments", "queued", "passages"):
            assert tx.execute(sa.select(tables.METADATA.tables[table])).all() == []
        assert tx.exec_driver_sql("SELECT count(*) FROM words").scalar() == 0


def test_a_writer_in_another_process_gets_its_turn_while_much_is_deleted(store: Store, monkeypatch):
    taro = _add(store, "taro")
    _much(store, taro.id)
    delete, took = purge._delete_messages, []

    def slow(tx, ids):
        time.sleep(0.6)
        return delete(tx, ids)

    def write(other: Store) -> None:
        while not done.is_set():
            began = time.monotonic()
            with other.writing() as tx:
                people.set_disabled(tx, LOCAL, disabled=False)
            took.append(time.monotonic() - began)
            time.sleep(0.01)

    monkeypatch.setattr(purge, "_delete_messages", slow)
    monkeypatch.setattr(purge, "PORTION_LENGTH", 1)
    done, other = threading.Event(), Store(store.path)
    writer = threading.Thread(target=write, args=(other,))
    writer.start()
    purge.empty_account(store, taro.id)
    done.set()
    writer.join()
    other.close()
    # Twelve portions: whoever is not let in waits for several of them, or for all.
    assert len([one for one in took if one > 0.3]) >= 9


def test_deleting_that_was_interrupted_locks_out_and_goes_on(store: Store, monkeypatch):
    taro = _add(store, "taro")
    _much(store, taro.id)
    empty, seen = purge._empty, []

    def killed(store, id_):
        if seen:
            raise KeyboardInterrupt
        seen.append(id_)
        return empty(store, id_)

    with monkeypatch.context() as broken:
        broken.setattr(purge, "_empty", killed)
        with pytest.raises(KeyboardInterrupt):
            purge.empty_account(store, taro.id)
    with store.reading() as tx:
        assert people.find(tx, "taro").disabled
        deleted = tx.execute(sa.select(tables.conversations.c.deleted_at)).scalars().all()
        assert deleted == [tables.GOING] * 3
    assert purge.sweep(store).conversations == 3  # what is marked goes, whoever goes on with it
    purge.empty_account(store, taro.id)
    purge.remove_account(store, taro.id)
    with store.reading() as tx:
        assert not people.have_accounts(tx)
        assert tx.exec_driver_sql("SELECT count(*) FROM words").scalar() == 0


def test_what_is_written_while_somebody_is_deleted_goes_too(store: Store):
    taro = _add(store, "taro")
    purge.empty_account(store, taro.id)
    with store.writing() as tx:
        talk(tx, "wasabi", owner=taro.id)
    purge.remove_account(store, taro.id)
    with store.reading() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM words").scalar() == 0
        assert not people.have_accounts(tx)


def test_jobs_of_somebody_who_is_deleted_are_to_be_cancelled(store: Store):
    taro, hanako = _add(store, "taro"), _add(store, "hanako")
    with store.writing() as tx:
        waits, pauses, failed, done, other = (
            jobs.add_job(tx, owner, jobs.NewJob("download", name, {"name": name})).id
            for owner, name in (*((taro.id, one) for one in "abcd"), (hanako.id, "e"))
        )
        jobs.ask(tx, taro.id, pauses, "pause")
        for job, failure in ((failed, jobs.Failure("x", "y")), (done, None)):
            jobs.claim(tx, job)
            jobs.end_job(tx, job, result={}, failure=failure)
    purge.empty_account(store, taro.id)
    with store.reading() as tx:
        states = {id_: found.state for id_ in (waits, pauses, failed, done, other)
                  if (found := jobs.find_job(tx, id_))}  # fmt: skip
    assert states == {
        waits: "cancelling",
        pauses: "cancelling",
        failed: "cancelling",
        done: "done",
        other: "waiting",
    }


def test_whoever_is_not_there(store: Store):
    _add(store, "taro")
    with store.writing() as tx:
        with pytest.raises(NotFoundError, match="taro"):
            people.find(tx, "hanako")
        with pytest.raises(NotFoundError):
            people.find(tx, "local")
        with pytest.raises(NotFoundError):
            people.get(tx, "nobody")
        assert people.password_of(tx, "local") is None


def test_passwords_are_kept_as_scrypt_with_salt():
    first, second = hashed("correct horse battery"), hashed("correct horse battery")
    assert first != second
    assert first.startswith("scrypt$32768$8$3$")
    assert "horse" not in first
    assert is_right("correct horse battery", first)
    assert not is_right("correct horse batterz", first)
    assert not is_right("correct horse battery", None)
    assert not is_right("correct horse battery", "none")
    assert not is_right("correct horse battery", "scrypt$a$b$c$d$e")
    # Written with combining signs or without, it is the same password.
    assert is_right("ガギグゲゴガギグゲゴ", hashed("ガギグゲゴガギグゲゴ"))


@pytest.mark.parametrize("wrong", ["", "short", "x" * 9, "x" * (LONGEST + 1), "0123456789\x00"])
def test_passwords_that_cannot_be(wrong: str):
    with pytest.raises(InputError):
        check_password(wrong)


def test_a_disabled_person_has_no_session_and_no_key(store: Store):
    taro = _add(store, "taro")
    with store.writing() as tx:
        _, words = api_keys.make(tx, taro.id, "laptop", 1.0)
        sessions.begin(tx, taro.id, "ptoken", "Lynx", 1.0)
        assert sessions.find(tx, "ptoken", 2.0) is not None
        assert api_keys.find(tx, words) is not None
        people.set_disabled(tx, taro.id, disabled=True)
        assert sessions.find(tx, "ptoken", 2.0) is None
        assert api_keys.find(tx, words) is None
        people.set_disabled(tx, taro.id, disabled=False)
        assert sessions.find(tx, "ptoken", 2.0) is None  # it ended
        assert api_keys.find(tx, words) is not None


def test_sessions_and_keys_are_bounded(store: Store):
    taro = _add(store, "taro")
    with store.writing() as tx:
        for number in range(sessions.MOST + 5):
            sessions.begin(tx, taro.id, f"p{number}", "Lynx", float(number))
        left = sessions.list_sessions(tx, taro.id)
        assert len(left) == sessions.MOST
        assert sessions.find(tx, "p0", 60.0) is None
        for number in range(api_keys.MOST):
            api_keys.make(tx, taro.id, f"key {number}", 1.0)
        with pytest.raises(InputError, match="100"):
            api_keys.make(tx, taro.id, "one more", 1.0)
