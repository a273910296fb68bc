"""A host for the tests: an HTTP server of this machine that answers as it is told.

It speaks HTTP/1.1 with chunks, keeps what it was sent, and can do what real hosts do on bad days:
wait, cut the connection, stop in the middle of a character.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Cut:
    """The connection ends here, in the middle of the answer."""


@dataclass(frozen=True)
class Hang:
    """Nothing more comes; the connection stays open until the client leaves."""


@dataclass(frozen=True)
class Wait:
    """A pause, in seconds."""

    seconds: float


Piece: TypeAlias = bytes | Cut | Hang | Wait


@dataclass(frozen=True)
class Answer:
    """What one request is answered with."""

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: dict(STREAM))
    before: float = 0.0  # seconds before the status
    drop: bool = False  # the connection ends before a word


STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


def refusal(status: int, body: Any, **headers: str) -> Answer:
    """An answer that is an error; underscores of header names are hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer([json.dumps(body).encode()], status, {**JSON, **named})


@dataclass
class Received:
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: Any
    connection: int


@dataclass
class HostServer:
    """The running server."""

    url: str
    answers: list[Answer | Callable[[Any], Answer]]
    received: list[Received] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_answer(self, request: Received) -> Answer:
        """The answer in turn; the last one again and again."""
        with self.lock:
            turn = len(self.received)
            self.received.append(request)
            answer = self.answers[min(turn, len(self.answers) - 1)]
        return answer(request.body) if callable(answer) else answer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host: HostServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        port = self.client_address[1]
        received = Received(self.path, headers, json.loads(body or b"null"), port)
        answer = self.host.next_answer(received)
        self.host.stopping.wait(answer.before)
        if answer.drop:
            self.close_connection = True
            return
        try:
            self._send(answer)
        except (BrokenPipeError, ConnectionResetError):
            self.host.left.set()
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in answer.pieces:
            match piece:
                case bytes():
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
                case Wait(seconds):
                    self.host.stopping.wait(seconds)
                case Hang():
                    self._hang()
                    return
                case Cut():
                    self.close_connection = True
                    return
        self.wfile.write(b"0\r\n\r\n")

    def _hang(self) -> None:
        self.close_connection = True
        self.connection.settimeout(0.02)
        while not self.host.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    self.host.left.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                self.host.left.set()
                return

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is what some tests are about."""


@contextlib.contextmanager
def host(*answers: Answer | Callable[[Any], Answer]) -> Iterator[HostServer]:
    """A server that gives these answers in turn (the last one for ever), until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    state = HostServer(f"http://127.0.0.1:{server.server_port}", list(answers))
    server.RequestHandlerClass = type("Handler", (_Handler,), {"host": state})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
