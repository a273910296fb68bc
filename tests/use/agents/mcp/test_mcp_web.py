"""MCP servers elsewhere: over streamable HTTP and SSE, and what HTTP can do wrong."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from mcp_entries import free_port

from kataribe.base.errors import ProviderError
from kataribe.use.agents.mcp.servers import Servers

Make = Callable[..., Servers]


@pytest.mark.parametrize(("how", "kind"), [("--http", "http"), ("--sse", "sse")])
async def test_tools_of_a_server_elsewhere(
    how: str, kind: str, servers_of: Make, over_http: Any
) -> None:
    url, _ = over_http(how)
    servers = servers_of(t={"url": url, "type": kind})
    found = {tool.listed.name: tool for tool in await servers.tools("t")}
    assert await found["add"].call({"a": 2, "b": 3}) == "5"
    heard: list[str | None] = []

    async def hear(done: float, total: float | None, words: str | None) -> None:
        heard.append(words)

    await servers.call("t", "steps", {"n": 2}, hear)
    assert heard == ["step 1", "step 2"]
    (state,) = servers.states()
    assert (state.kind, state.state, state.place) == (kind, "open", url)
    await servers.close()


async def test_a_server_that_comes_back_is_found_again(servers_of: Make, over_http: Any) -> None:
    port = free_port()
    url, process = over_http(port=port)
    servers = servers_of(t={"url": url})
    found = {tool.listed.name: tool for tool in await servers.tools("t")}
    process.kill()
    process.wait()
    with pytest.raises(ProviderError) as raised:
        await found["count"].call({})
    assert "'t' went away during count" in raised.value.message
    with pytest.raises(ProviderError, match="it cannot be reached"):
        await found["count"].call({})
    over_http(port=port)
    assert await found["count"].call({}) == "1"
    await servers.close()


async def test_too_long_an_answer_over_http_is_refused(servers_of: Make, over_http: Any) -> None:
    url, _ = over_http()
    servers = servers_of(t={"url": url})
    found = {tool.listed.name: tool for tool in await servers.tools("t")}
    with pytest.raises(ProviderError, match="'t' could not answer large"):
        await found["large"].call({"megabytes": 50})
    assert await found["add"].call({"a": 2, "b": 3}) == "5"
    await servers.close()


class Plain(BaseHTTPRequestHandler):
    """Answers every POST with what the server holds for it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((dict(self.headers.items()), json.loads(body)))
        status, headers, answer = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def plain() -> Iterator[Callable[..., ThreadingHTTPServer]]:
    """A plain HTTP server that always answers the same."""
    begun: list[ThreadingHTTPServer] = []

    def start(status: int, headers: dict[str, str], answer: bytes) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
        server.daemon_threads = True
        server.seen = []
        server.answer = (status, headers, answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        begun.append(server)
        return server

    yield start
    for server in begun:
        server.shutdown()
        server.server_close()


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("status", "headers", "answer", "words"),
    [
        (401, JSON, b'{"error": "no"}', "it answered 401 Unauthorized"),
        (500, {"content-type": "text/html"}, b"<p>", "it answered 500 Internal Server Error"),
        (200, {"content-type": "text/html"}, b"<p>Hello</p>", "Unexpected content type: text/html"),
        (200, JSON, b"{", "Failed to parse JSON response"),
        (200, JSON, b" " * 20_000_000, "more than the 16,777,216 bytes that are read"),
        (
            200,
            {**JSON, "content-encoding": "gzip"},
            gzip.compress(b"{}", mtime=0),
            "sends packed answers",
        ),
        (302, {"location": "http://192.0.2.1/"}, b"", "not followed"),
    ],
)
async def test_what_http_does_wrong_is_said(
    status: int, headers: dict[str, str], answer: bytes, words: str, plain: Any, servers_of: Make
) -> None:
    server = plain(status, headers, answer)
    token = "s3cret-token"
    url = f"http://127.0.0.1:{server.server_port}/mcp?key={token}"
    servers = servers_of(t={"url": url, "headers": {"Authorization": f"Bearer {token}"}})
    with pytest.raises(ProviderError) as raised:
        await servers.tools("t")
    assert words in raised.value.message
    assert token not in raised.value.message
    assert all(sent["Authorization"] == f"Bearer {token}" for sent, _ in server.seen)
    assert server.seen
    (state,) = servers.states()
    assert state.place == f"http://127.0.0.1:{server.server_port}/mcp"
    await servers.close()


async def test_nobody_there_is_said(servers_of: Make) -> None:
    servers = servers_of(t={"url": f"http://127.0.0.1:{free_port()}/mcp"})
    with pytest.raises(ProviderError, match="'t' cannot be used: it cannot be reached"):
        await servers.tools("t")
    await servers.close()
