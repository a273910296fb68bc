"""The server as a process: its port, its end, and what it makes of bad HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from kataribe.base.errors import PortInUseError, SettingsError
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.serve import wire
from kataribe.serve.app import create_app
from kataribe.serve.ports import address_of, holder_of, listen
from kataribe.serve.server import serve
from kataribe.serve.settings import ServerSettings
from tests.serve.conftest import hello, source_of

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import logging, sys
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.server import serve
from kataribe.serve.settings import ServerSettings
from tests.serve.conftest import source_of

logging.basicConfig(level="INFO", stream=sys.stderr)
lm = ScriptedLM(Reply("word " * int(sys.argv[1]), pace=0.05))
app = create_app(source_of(lm), ServerSettings())
serve(app, "127.0.0.1", 0, float(sys.argv[2]), ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


class Process:
    """The server in a process of its own, and one reply that streams from it."""

    def __init__(self, words: int, grace: float):
        self.child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(words), str(grace)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"src{os.pathsep}."},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self.child.stdout.readline().strip()
        self.text = ""
        self.began = threading.Event()
        self.thread = threading.Thread(target=self._read)
        self.thread.start()
        assert self.began.wait(10)

    def _read(self):
        url = f"{self.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=hello(stream=True), timeout=30) as answer:
            for line in answer.iter_lines():
                self.text += line + "\n"
                self.began.set()

    def stopping(self) -> httpx.Response:
        """What `/health` says once the server has heard that it shall stop."""
        until = time.monotonic() + 20
        while (health := httpx.get(f"{self.url}/health", timeout=60)).status_code != 503:
            assert time.monotonic() < until
            time.sleep(0.05)
        return health

    def end(self) -> tuple[int, str]:
        out, log = self.child.communicate(timeout=30)
        self.thread.join(10)
        assert "ended" in out
        return self.child.returncode, log


def test_sigterm_lets_a_running_reply_finish_and_refuses_new_ones():
    process = Process(words=120, grace=60)
    process.child.send_signal(signal.SIGTERM)
    health = process.stopping()
    assert (health.status_code, health.json()["status"]) == (503, "stopping")
    refused = httpx.post(f"{process.url}/v1/chat/completions", json=hello(), timeout=60)
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    code, log = process.end()
    assert code == 0
    assert process.text.count("word") == 120
    assert process.text.endswith("data: [DONE]\n\n")
    assert "waiting up to 60 s for" in log


def test_when_the_grace_is_over_a_reply_ends_with_an_error():
    process = Process(words=2000, grace=0.3)
    process.child.send_signal(signal.SIGINT)
    code, _ = process.end()
    assert code == 0
    last = json.loads(process.text.strip().splitlines()[-1].removeprefix("data: "))
    assert last["error"]["code"] == "unavailable"
    assert "stopped before" in last["error"]["message"]


def test_a_second_signal_ends_at_once():
    process = Process(words=2000, grace=600)
    process.child.send_signal(signal.SIGTERM)
    process.stopping()  # a second signal beside an unheard first would be one
    assert process.child.poll() is None
    process.child.send_signal(signal.SIGTERM)
    assert process.end()[0] == 0


def test_port_in_use_says_by_what_and_how_to_choose_another():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert address_of(taken) == f"http://127.0.0.1:{port}"
        holder = holder_of(port)
        with pytest.raises(PortInUseError) as error:
            listen("127.0.0.1", port)
        message = error.value.message
        assert f"Port {port}" in message
        assert f"process {os.getpid()}" in message
        assert holder in message
        assert f"--port {port + 1}" in message
        with pytest.raises(PortInUseError):
            serve(create_app(source_of(), ServerSettings()), "127.0.0.1", port)
    listen("127.0.0.1", port).close()  # and it is free again at once


def test_address_that_is_not_ours(monkeypatch):
    found = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("203.0.113.7", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [found])
    with pytest.raises(SettingsError, match="--host"):
        listen("elsewhere", 0)

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SettingsError, match="--host"):
        listen("nowhere", 0)


def test_others_are_kept_out_before_anything_is_served():
    app = create_app(source_of(), ServerSettings(host="0.0.0.0"))
    with pytest.raises(SettingsError, match="no key"):
        serve(app, "127.0.0.1", 0)


def test_six_is_an_address_too(live):
    if not socket.has_ipv6:
        pytest.skip("This machine has no IPv6.")
    try:
        with listen("::1", 0) as six:
            assert address_of(six) == f"http://[::1]:{six.getsockname()[1]}"
    except SettingsError:
        pytest.skip("This machine has no IPv6 loopback.")


def raw(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """What the server answers to bytes, until it closes or is silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(pause)
        answer = b""
        try:
            while more := client.recv(65536):
                answer += more
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def error_in(answer: bytes) -> dict:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head
    return json.loads(body)["error"]


def test_headers_over_the_limit(live):
    server = live(ScriptedLM())
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(100))
    answer = raw(server.port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n", lines)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert error_in(answer)["code"] == "headers_too_long"


@pytest.mark.parametrize(
    "lines",
    [
        b"X: %s\r\n" % (b"x" * 100_000),
        b"".join(b"X-%d: %s\r\n" % (number, b"x" * 100) for number in range(400)),
    ],
    ids=["one long", "many short"],
)
def test_long_headers_that_arrive_whole_are_refused_too(live, lines):
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n"
    answer = raw(live(ScriptedLM()).port, whole)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert error_in(answer)["code"] == "headers_too_long"


def test_headers_within_the_limit_are_read(live):
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 100) for number in range(250))
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + lines + b"\r\n"
    assert raw(live(ScriptedLM()).port, whole).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "bytes_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_bad_http_is_answered_in_the_shape_of_errors(live, bytes_):
    answer = raw(live(ScriptedLM()).port, bytes_)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert error_in(answer)["code"] == "invalid_http"


def test_dripping_headers_are_cut_off(live, monkeypatch):
    monkeypatch.setattr(wire, "HEADER_SECONDS", 0.3)
    server = live(ScriptedLM())
    answer = raw(server.port, b"GET /health HTTP/1.1\r\n", b"Host: localhost\r\n", pause=0.1)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert error_in(answer)["code"] == "header_timeout"
    assert raw(server.port) == b"" or b"408" in raw(server.port)  # who says nothing at all, too


def test_a_dripped_second_request_is_cut_off_too(live, monkeypatch):
    monkeypatch.setattr(wire, "HEADER_SECONDS", 0.3)
    server = live(ScriptedLM())
    first = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(server.port, first, b"GET /hea", pause=0.1)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"408" in answer


def test_a_body_that_stops_coming_is_cut_off(live, monkeypatch):
    from kataribe.serve import gate

    monkeypatch.setattr(gate, "BODY_SECONDS", 0.3)
    answer = raw(
        live(ScriptedLM()).port,
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"model"',
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert error_in(answer)["code"] == "body_timeout"


def test_an_unread_body_does_not_hold_the_connection(live, monkeypatch):
    monkeypatch.setattr(wire, "LINGER_SECONDS", 0.3)
    server = live(ScriptedLM(), max_body_bytes=10)
    answer = raw(
        server.port,
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{",
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_long_body_is_refused_before_any_of_it_comes(live):
    answer = raw(
        live(ScriptedLM()).port,
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 200000000\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"33554432 bytes" in answer


def test_connections_are_kept_and_requests_can_queue_on_them(live):
    server = live(ScriptedLM(Reply("hi")))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    for _ in range(3):
        connection.request("GET", "/health", headers={"Host": "localhost"})
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
    connection.close()
    get = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = get.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert raw(server.port, get * 3 + last).count(b"HTTP/1.1 200") == 4
