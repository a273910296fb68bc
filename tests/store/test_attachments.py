"""Files beside messages are what their bytes are; preferences are what they were set to."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from kataribe.base.errors import InputError, NotFoundError
from kataribe.store import attachments, preferences, queue
from kataribe.store.ids import new_id
from kataribe.store.tables import LOCAL, METADATA
from tests.store.conftest import person, talk

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 10


@pytest.mark.parametrize(
    ("data", "claimed", "kind"),
    [
        (PNG, "text/plain", "image/png"),
        (b"\xff\xd8\xff\xe0abc", "", "image/jpeg"),
        (b"GIF89a...", "image/png", "image/gif"),
        (b"RIFF\x0a\x00\x00\x00WEBPVP8 ", "", "image/webp"),
        ("日本語の文書".encode(), "", "text/plain"),
        (b"print(1)\n\tif x:\r\n\f", "text/x-python", "text/x-python"),
        (b'{"a": 1}', "application/json; charset=utf-8", "application/json"),
        (b"<svg onload=alert(1)>", "image/svg+xml", "text/plain"),
        (b"<script>", "text/html", "text/html"),  # told as text/plain by the server
        (b"x", "application/octet-stream", "text/plain"),
        (b"\xef\xbb\xbfwith a mark", "", "text/plain"),
        (b"RIFF", "", "text/plain"),
    ],
)
def test_the_bytes_say_what_it_is(store, data, claimed, kind):
    with store.writing() as tx:
        kept = attachments.keep(tx, LOCAL, "name.exe", data, claimed)
        assert kept.media_type == kind
        assert attachments.get(tx, LOCAL, kept.id) == kept
        assert attachments.data_of(tx, LOCAL, kept.id) == data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"%PDF-1.7 text", r"13 bytes\) is a PDF.*can be attached"),
        (b"PK\x03\x04...", "ZIP"),
        (b"MZ\x90", "program"),
        (b"GGUF...", "a model"),
        (b"\x00\x01\x02", "control characters"),
        (b"abc\x00def", "control characters"),
        (b"\xff\xfea\x00", "UTF-16"),
        ("日本語の文です".encode("cp932"), "Shift_JIS"),
        (b"caf\xe9", "no text in UTF-8"),
        (b"x" * (1024**2 + 1), "1,048,577 bytes.*1,048,576"),
        (PNG + b"x" * 10 * 1024**2, "image/png.*10,485,760"),
        (b"\xed\xa0\x80", "UTF-8"),
    ],
)
def test_what_cannot_be_attached(store, data, words):
    with store.writing() as tx, pytest.raises(InputError, match=words) as caught:
        attachments.keep(tx, LOCAL, "絵.txt", data, "text/plain")
    assert caught.value.message.startswith("絵.txt")
    with store.reading() as tx:
        assert tx.execute(sa.select(METADATA.tables["attachments"])).all() == []


def test_the_largest_are_kept(store):
    with store.writing() as tx:
        assert attachments.keep(tx, LOCAL, "a", b"x" * 1024**2).size == 1024**2
        image = PNG + b"x" * (10 * 1024**2 - len(PNG))
        assert attachments.keep(tx, LOCAL, "b", image).size == 10 * 1024**2


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\絵.png", "絵.png"),
        ("a\r\nSet-Cookie: x", "aSet-Cookie: x"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("  .. ", "file"),
        ("", "file"),
        ("\ud800.txt", "?.txt"),
        ("x" * 300 + ".txt", "x" * 196 + ".txt"),
        ("か\u3099.txt", "が.txt"),
    ],
)
def test_names_are_cleaned(name, clean):
    assert attachments.clean_name(name) == clean


@given(st.text(max_size=300))
def test_clean_names_stay_clean(name):
    clean = attachments.clean_name(name)
    assert 0 < len(clean) <= 255
    assert not set(clean) & set("/\\\r\n\0")
    clean.encode()


def test_only_their_owners_and_only_before_sending(store):
    with store.writing() as tx:
        person(tx, "other")
        kept = attachments.keep(tx, LOCAL, "a.txt", b"x")
        for work in (attachments.get, attachments.data_of, attachments.delete):
            with pytest.raises(NotFoundError):
                work(tx, "other", kept.id)
        attachments.delete(tx, LOCAL, kept.id)
        with pytest.raises(NotFoundError):
            attachments.get(tx, LOCAL, kept.id)
        sent, waits = (attachments.keep(tx, LOCAL, name, b"x") for name in ("s.txt", "w.txt"))
        id_, said = talk(tx, "q")
        table = METADATA.tables["attachments"]
        tx.execute(sa.update(table).where(table.c.id == sent.id).values(message=said[0]))
        queue.put(tx, id_, queue.Item(new_id(), "later", {"attachments": [waits.id]}))
        for one in (sent, waits):
            with pytest.raises(InputError, match="was sent with a message"):
                attachments.delete(tx, LOCAL, one.id)
        beside = attachments.of_messages(tx, said)
        assert [file.name for file in beside[said[0]]] == ["s.txt"]


def test_preferences_are_set_changed_and_removed(store):
    with store.writing() as tx:
        person(tx, "other")
        assert preferences.change(tx, LOCAL, {"theme": "dark", "a.b": [1, None]}) == {
            "theme": "dark",
            "a.b": [1, None],
        }
        preferences.change(tx, "other", {"theme": "light"})
        assert preferences.change(tx, LOCAL, {"theme": None, "c": 0}) == {"a.b": [1, None], "c": 0}
    with store.reading() as tx:
        assert preferences.read(tx, LOCAL) == {"a.b": [1, None], "c": 0}
        assert preferences.read(tx, "other") == {"theme": "light"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"Big": 1}, "no name"),
        ({"": 1}, "no name"),
        ({"x" * 65: 1}, "no name"),
        ({"a\n": 1}, "no name"),
        ({"a": "あ" * 30_000}, "90,002 bytes.*65,536"),
        ({f"n{number}": 1 for number in range(201)}, "202 preferences.*200"),
    ],
)
def test_what_cannot_be_set(store, values, words):
    with store.writing() as tx, pytest.raises(InputError, match=words):
        preferences.change(tx, LOCAL, {"good": 1, **values})
    with store.reading() as tx:
        assert preferences.read(tx, LOCAL) == {}


def test_two_hundred_preferences_can_still_be_changed(store):
    with store.writing() as tx:
        preferences.change(tx, LOCAL, {f"n{number}": 1 for number in range(200)})
        assert preferences.change(tx, LOCAL, {"n0": None, "other": 2})["other"] == 2
