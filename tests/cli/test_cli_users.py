"""`kataribe users`: accounts made, changed and deleted at the terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from kataribe.base.workspace import Workspace
from kataribe.cli.metering import trace_store
from kataribe.cli.users import leftovers
from kataribe.prove.ops.ledger import Span
from kataribe.prove.ops.spent import Spent
from kataribe.store import api_keys, jobs, people, sessions
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.passwords import is_right
from kataribe.store.serving import holding
from kataribe.store.upgrade import form_of, upgrade
from kataribe.store.workers import Workers

PASSWORD = "correct horse battery"
GIVEN = PASSWORD.encode() + b"\n"


@pytest.fixture
def store(kataribe_home: Path):
    opened = Store(kataribe_home / "kataribe.db")
    yield opened
    opened.close()


@pytest.fixture
def add(cli) -> Callable:
    def call(name: str):
        return cli("users", "add", name, "--password-stdin", given=GIVEN)

    return call


def _kept(store: Store, name: str) -> str:
    with store.reading() as tx:
        found = people.password_of(tx, name)
    assert found is not None
    return found[1]


def test_add_and_list(cli, add, store):
    assert "Nobody has an account" in cli("users", "list").err
    first = add("Taro")
    assert first.code == 0
    assert "takes over" in first.out
    second = add("花子")
    assert second.code == 0
    assert "takes over" not in second.out
    assert is_right(PASSWORD, _kept(store, "taro"))
    rows = [line.split("\t") for line in cli("users", "list").out.splitlines()]
    assert [(row[0], row[1]) for row in rows] == [("Taro", "enabled"), ("花子", "enabled")]
    shown = cli("users", "list", "--json").out
    assert [one["name"] for one in json.loads(shown)] == ["Taro", "花子"]
    assert "scrypt" not in shown


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"short\n", "at least 10"),
        (b"", "at least 10"),
        (b"two lines here\nand here\n", "several lines"),
        (b"\xff\xfe 0123456789\n", "UTF-8"),
        (b"0123456789\x07\n", "control character"),
    ],
)
def test_passwords_that_are_refused(cli, store, given, words):
    done = cli("users", "add", "taro", "--password-stdin", given=given)
    assert done.code == 2
    assert words in done.err
    with store.reading() as tx:
        assert not people.have_accounts(tx)


def test_names_that_are_refused(cli, add):
    assert add("taro").code == 0
    again = add("TARO")
    assert again.code == 2
    assert "already" in again.err
    for name in ("local", "a b", "x" * 65):
        assert add(name).code == 2
    assert cli("users", "password", "jiro", "--password-stdin", given=GIVEN).code == 3


def test_a_terminal_is_asked_twice(cli, store, monkeypatch):
    assert "--password-stdin" in cli("users", "add", "taro").err
    said = iter([PASSWORD, "something else", PASSWORD, PASSWORD])
    monkeypatch.setattr("typer.prompt", lambda *words, **options: next(said))
    wrong = _at_terminal(cli, monkeypatch)
    assert wrong.code == 2
    assert "differ" in wrong.err
    assert _at_terminal(cli, monkeypatch).code == 0
    assert is_right(PASSWORD, _kept(store, "taro"))


def _at_terminal(cli, monkeypatch):
    monkeypatch.setattr("kataribe.cli.users.opened.sys", _Terminal())
    return cli("users", "add", "taro")


class _Terminal:
    """`sys` of a process that sits at a terminal."""

    class _Input:
        def isatty(self) -> bool:
            return True

    stdin = _Input()

    def __getattr__(self, name: str):
        return getattr(sys, name)


def test_a_new_password_ends_sessions(cli, add, store):
    add("taro")
    with store.writing() as tx:
        taro = people.find(tx, "taro")
        sessions.begin(tx, taro.id, "ptoken", "Lynx", now())
    new = b"another long password"
    done = cli("users", "password", "Taro", "--password-stdin", given=new)
    assert "1 sessions ended" in done.out
    assert is_right(new.decode(), _kept(store, "taro"))
    with store.reading() as tx:
        assert sessions.list_sessions(tx, taro.id) == []


def test_disable_and_enable(cli, add, store):
    add("taro")
    done = cli("users", "disable", "taro")
    assert "Nobody can sign in now" in done.err
    with store.reading() as tx:
        assert people.password_of(tx, "taro") is None
    assert "disabled" in cli("users", "list").out
    assert cli("users", "enable", "taro").code == 0
    assert is_right(PASSWORD, _kept(store, "taro"))


def test_deleting_says_what_goes_and_asks(cli, add, store):
    add("taro")
    unasked = cli("users", "rm", "taro")
    assert unasked.code == 2
    assert "0 conversations" in unasked.err
    assert "last account" in unasked.err
    done = cli("users", "rm", "TARO", "--yes")
    assert done.code == 0
    with store.reading() as tx:
        assert not people.have_accounts(tx)
    assert cli("users", "rm", "taro", "--yes").code == 3


def test_deleting_takes_traces_along(cli, add, store, kataribe_home):
    add("taro")
    with store.reading() as tx:
        person = people.find(tx, "taro").id
    traces = trace_store(Workspace(kataribe_home))
    used = Spent(3, 0, 4, 1, 0.5, 0)
    span = Span(
        "1" * 16, None, "2" * 32, "pico", "lm", person, None, 1.7e9, 0.0, None, 1.0, used, used,
        "stop",
    )  # fmt: skip
    traces.write([span])
    assert cli("users", "rm", "taro", "--yes").code == 0
    assert traces.traces() == ()
    (cost,) = traces.costs(by=("user",))
    assert (cost.user, cost.used) == ("", used)


def test_deleting_names_the_backups_that_still_have_the_words(cli, add, store, kataribe_home):
    add("taro")
    add("hanako")
    assert "backup" not in cli("users", "rm", "taro", "--yes").err
    backup = kataribe_home / "kataribe.db.backup-0001"
    backup.write_bytes(b"words")
    made = time.mktime((2026, 1, 2, 12, 0, 0, 0, 0, -1))
    os.utime(backup, (made, made))
    told = cli("users", "rm", "hanako", "--yes").err
    assert f"may still be in {backup}" in told
    assert "after 2026-01-16" in told
    assert "delete that file" in told


def _download(store: Store, kataribe_home: Path) -> tuple[jobs.Job, Path]:
    """A download of taro's that is paused, and what arrived of it."""
    with store.writing() as tx:
        taro = people.find(tx, "taro")
        job = jobs.add_job(tx, taro.id, jobs.NewJob("download", "Fetch", {"name": "mochi"}))
        jobs.ask(tx, taro.id, job.id, "pause")
    arrived = kataribe_home / "downloads" / "mochi" / "part"
    arrived.parent.mkdir(parents=True)
    arrived.write_bytes(b"half")
    return job, arrived


def test_what_downloads_left_goes_with_their_owner(cli, add, store, kataribe_home):
    add("taro")
    _, arrived = _download(store, kataribe_home)
    done = cli("users", "rm", "taro", "--yes")
    assert (done.code, arrived.exists()) == (0, False)
    assert "job left" not in done.err
    with store.reading() as tx:
        assert not people.have_accounts(tx)


def test_a_server_that_runs_discards_downloads_before_their_owner_goes(
    cli, add, store, kataribe_home
):
    add("taro")
    job, _ = _download(store, kataribe_home)
    discarded = []

    class Work:
        def discard(self, job: jobs.Job) -> None:
            with store.reading() as tx:
                assert people.find(tx, "taro").disabled
            discarded.append(job.id)

    with holding(Workspace(kataribe_home)), Workers(store, {"download": Work()}):
        done = cli("users", "rm", "taro", "--yes")
    assert done.code == 0
    assert discarded == [job.id]
    assert "job left" not in done.err


def test_a_server_that_does_not_end_jobs_is_said(cli, add, store, kataribe_home, monkeypatch):
    monkeypatch.setattr(leftovers, "SERVER_SECONDS", 0.0)
    add("taro")
    _download(store, kataribe_home)
    with holding(Workspace(kataribe_home)):
        done = cli("users", "rm", "taro", "--yes")
    assert done.code == 0
    assert "may still be here. Fetch: the server has not ended it" in done.err


def test_no_upgrade_under_a_server_that_runs(cli, kataribe_home, caplog):
    path = kataribe_home / "kataribe.db"
    kataribe_home.mkdir(exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}")
    upgrade(engine, path, to="0001")
    with holding(Workspace(kataribe_home)):
        refused = cli("users", "list")
        assert refused.code != 0
        assert f"number {os.getpid()}" in refused.err
        assert "Stop it first" in refused.err
        with engine.connect() as connection:
            assert form_of(connection) == "0001"
    engine.dispose()
    done = cli("users", "list")
    assert done.code == 0
    assert "backup-0001" in caplog.text
    with holding(Workspace(kataribe_home)):  # freed again; today's form needs nobody to stop
        assert cli("users", "list").code == 0


def test_keys_are_printed_once(cli, add, store):
    add("taro")
    made = cli("users", "keys", "taro", "--new", "laptop")
    words = made.out.strip()
    assert words.startswith("sk-kataribe-")
    with store.reading() as tx:
        key = api_keys.find(tx, words)
    assert key is not None
    listed = cli("users", "keys", "taro").out
    assert "laptop" in listed
    assert words not in listed
    assert cli("users", "keys", "taro", "--rm", key.id, "--new", "x").code == 2
    assert cli("users", "keys", "taro", "--rm", key.id).code == 0
    assert cli("users", "keys", "taro", "--rm", key.id).code == 3
    assert cli("users", "keys", "taro", "--new", " ").code == 2
