"""The event stream on a real connection: long frames, pages that stall, pages that go."""

from __future__ import annotations

import json
import socket
import time

import httpx
import pytest

from kataribe.run.providers import ScriptedLM
from kataribe.serve.events import PIECE
from kataribe.serve.rooms import Rooms
from kataribe.store.database import Store
from kataribe.store.ids import new_id
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import live_server, source_of

LONG = "語" * 1_900_000
"""5.7 MB: more than a connection's buffers take from a page that reads nothing."""


@pytest.fixture
def opened(tmp_path):
    """A server, its conversations and a client."""
    store = Store(tmp_path / "kataribe.db")
    source = source_of(ScriptedLM("Tokyo."))
    chats = Chats(store, source, "scripted", titles=False)
    with (
        live_server(source, rooms=Rooms(store, chats), grace=0.5) as live,
        httpx.Client(base_url=f"{live.url}/studio/api", timeout=20) as http,
    ):
        yield live, chats, http
    store.close()


def begin(http: httpx.Client) -> str:
    id_ = new_id()
    assert http.post("/conversations", json={"id": id_}).status_code in (200, 201)
    return id_


def say(http: httpx.Client, talk: str, text: str) -> None:
    said = http.post(f"/conversations/{talk}/messages", json={"id": new_id(), "text": text})
    assert said.is_success, said.text


def connect(port: int, talk: str) -> socket.socket:
    """A page that joined, and reads no further."""
    page = socket.socket()
    page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    page.settimeout(20)
    page.connect(("127.0.0.1", port))
    asked = f"GET /studio/api/events?conversation={talk} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    page.sendall(asked.encode())
    seen = b""
    while b"event: joined" not in seen:
        seen += page.recv(1)
    return page


def until_nobody_listens(chats: Chats) -> None:
    until = time.monotonic() + 20
    while chats.hub._listeners:
        assert time.monotonic() < until
        time.sleep(0.02)


def rest_of(page: socket.socket) -> bytes:
    rest = b""
    while part := page.recv(1 << 20):
        rest += part
    return rest


def test_a_page_that_reads_nothing_is_dropped_and_joins_anew(opened, monkeypatch):
    monkeypatch.setattr("kataribe.serve.events.STALLED_SECONDS", 0.5)
    live, chats, http = opened
    talk = begin(http)
    with connect(live.port, talk) as page:
        assert len(chats.hub._listeners) == 1
        say(http, talk, LONG)
        until_nobody_listens(chats)
        assert len(rest_of(page)) < len(LONG.encode())  # it ends, in the middle of the frame
    with connect(live.port, talk):
        assert len(chats.hub._listeners) == 1
    until_nobody_listens(chats)


def test_a_page_that_reads_slowly_gets_a_long_frame_whole(opened):
    live, _, http = opened
    assert len(LONG) > PIECE
    talk = begin(http)
    with httpx.stream(
        "GET", f"{live.url}/studio/api/events?conversation={talk}", timeout=20
    ) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: joined"
        say(http, talk, LONG)
        for line in lines:
            if line == "event: message":
                time.sleep(0.5)
                assert json.loads(next(lines).removeprefix("data: "))["text"] == LONG
                break


def test_a_page_that_goes_is_told_nothing_more(opened):
    live, chats, http = opened
    talk = begin(http)
    page = connect(live.port, talk)
    assert len(chats.hub._listeners) == 1
    page.close()
    until_nobody_listens(chats)
