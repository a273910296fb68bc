"""`kataribe users`: accounts made, changed and deleted at the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kataribe.store import api_keys, people, sessions
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.passwords import is_right

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
