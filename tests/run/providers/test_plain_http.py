"""The transport for local servers gives what `httpx`'s own gives, in whatever pieces it comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from kataribe.run.providers.connections import Connections, Patience
from kataribe.run.providers.plain_http import PlainTransport

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """Answers each request with the next bytes, in the pieces that `cut` makes of them."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.cut: Callable[[bytes], list[bytes]] = lambda data: [data]
        self.closes = False
        self.asked: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.asked.append(head + await reader.readexactly(int(length or 0)))
                answer = self.answers.pop(0)
                if answer is None:
                    await asyncio.sleep(60)
                for piece in self.cut(answer or b""):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def server_and_client(
    transport: Callable[[], httpx.AsyncBaseTransport] = lambda: PlainTransport(10),
    patience: float = 20.0,
) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    base = f"http://127.0.0.1:{server.port}"
    try:
        async with httpx.AsyncClient(
            transport=transport(), base_url=base, timeout=patience, trust_env=False
        ) as client:
            yield server, client
    finally:
        listening.close()


def chunked(*pieces: bytes, trailer: bytes = b"") -> bytes:
    return (
        CHUNKED
        + b"".join(b"%x;a=b\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        + b"0\r\n"
        + trailer
        + b"\r\n"
    )


def randomly(draw: random.Random) -> Callable[[bytes], list[bytes]]:
    def cut(data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = draw.choice((1, 2, 3, 7, 40, 1000))
            pieces.append(data[:size])
            data = data[size:]
        return pieces

    return cut


ANSWERS = {
    "chunked": chunked(b"data: one\n\n", "データ".encode() * 50, b"data: [DONE]\n\n"),
    "trailers": chunked(b"hello", trailer=b"x-checksum: 1\r\nx-more: 2\r\n"),
    "length": OK + b"Content-Length: 11\r\n\r\nhello\r\nhell",
    "nothing": OK + b"content-length: 0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "first a hint": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + chunked(b"late"),
    "an error": b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_the_same_as_the_usual_transport_in_whatever_pieces(name):
    seed = random.randrange(10**6)
    print("seed", seed)
    found = []
    for transport in (lambda: PlainTransport(10), httpx.AsyncHTTPTransport):
        draw = random.Random(seed)
        async with server_and_client(transport) as (server, client):
            for _ in range(4):
                server.answers.append(ANSWERS[name])
                server.cut = randomly(draw)
                answer = await client.post("/v1/x?y=1", json={"a": "日本"})
                found.append((answer.status_code, answer.content, sorted(answer.headers.items())))
            assert server.connections == 1, "it is kept"
            asked = {each.partition(b"\r\n\r\n")[2] for each in server.asked}
            assert asked == {'{"a":"日本"}'.encode()}
            assert server.asked[0].startswith(b"POST /v1/x?y=1 HTTP/1.1\r\n")
    assert found[:4] == found[4:]


async def test_a_body_without_a_length_ends_with_its_connection():
    async with server_and_client() as (server, client):
        server.answers = [OK + b"\r\nto the end", OK + b"\r\nagain"]
        server.closes = True
        assert (await client.post("/")).content == b"to the end"
        assert (await client.post("/")).content == b"again"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent", "without an answer"),
        (chunked(b"hello")[:-9], "in the middle"),
        (CHUNKED + b"5\r\nhel", "in the middle"),
        (OK + b"Content-Length: 9\r\n\r\nhell", "in the middle"),
        (CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n", "longer than its size"),
        (CHUNKED + b"zz\r\nhello\r\n", "no size"),
        (CHUNKED + b"-5\r\nhello\r\n", "no size"),
        (CHUNKED + b"f" * 17 + b"\r\n", "no size"),
        (CHUNKED + b"1" * 300_000, "goes on and on"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 300_000, "go on and on"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no answer in HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "no answer in HTTP"),
        (OK + b"no header\r\n\r\n", "no header"),
        (OK + b"Content-Length: many\r\n\r\n", "no number"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "not chunked"),
    ],
)
async def test_what_is_no_answer_or_half_of_one_is_an_error(answer, words):
    async with server_and_client() as (server, client):
        server.answers, server.closes = [answer, ANSWERS["length"]], True
        with pytest.raises(httpx.RemoteProtocolError, match=words):
            await client.post("/")
        assert (await client.post("/")).content == b"hello\r\nhell"


async def test_silence_is_a_timeout_and_its_connection_is_not_used_again():
    async with server_and_client(patience=0.1) as (server, client):
        server.answers = [None, ANSWERS["length"]]
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/")
        assert (await client.post("/")).status_code == 200
        assert server.connections == 2


async def test_silence_in_the_middle_is_a_timeout_too():
    async with server_and_client(patience=0.1) as (server, client):
        server.answers = [CHUNKED + b"5\r\nhello\r\n", None]
        async with client.stream("POST", "/") as answer:
            pieces = answer.aiter_bytes()
            assert await anext(pieces) == b"hello"
            with pytest.raises(httpx.ReadTimeout):
                await anext(pieces)


async def test_slow_pieces_are_no_silence():
    async def pieces(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        for _ in range(8):
            writer.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")

    listening = await asyncio.start_server(pieces, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(transport=PlainTransport(1), timeout=0.2) as client:
        assert (await client.post(f"http://127.0.0.1:{port}/")).content == b"x" * 8
    listening.close()


async def test_nobody_there_is_a_connect_error():
    async with server_and_client() as (server, client):
        port = server.port
    async with httpx.AsyncClient(transport=PlainTransport(1)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.post(f"http://127.0.0.1:{port}/")


async def test_a_reply_that_is_left_closes_its_connection():
    async with server_and_client() as (server, client):
        server.answers = [chunked(*[b"x" * 1000] * 500), ANSWERS["length"]]
        async with client.stream("POST", "/") as answer:
            async for _ in answer.aiter_bytes():
                break
        assert (await client.post("/")).status_code == 200
        assert server.connections == 2


async def test_a_connection_that_the_server_closed_while_it_waited_is_not_used():
    async with server_and_client() as (server, client):
        server.answers, server.closes = [ANSWERS["length"]] * 3, True
        for _ in range(3):
            assert (await client.post("/")).status_code == 200
            await asyncio.sleep(0.02)
        assert server.connections == 3


async def test_a_server_that_says_close_is_believed():
    async with server_and_client() as (server, client):
        answer = OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"
        server.answers = [answer, answer]
        for _ in range(2):
            assert (await client.post("/")).content == b"ok"
        assert server.connections == 2


async def test_a_long_request_arrives_whole():
    async with server_and_client() as (server, client):
        server.answers = [ANSWERS["length"]]
        body = random.Random(1).randbytes(3_000_000)
        assert (await client.post("/", content=body)).status_code == 200
        assert server.asked[0].endswith(body)


async def test_many_at_once_and_few_are_kept():
    async with server_and_client(lambda: PlainTransport(2)) as (server, client):
        server.answers = [ANSWERS["chunked"]] * 24
        await asyncio.gather(*(client.post("/") for _ in range(12)))
        at_once = server.connections
        assert at_once > 2
        for _ in range(6):
            await client.post("/")
        assert server.connections == at_once


async def test_local_addresses_take_it_and_others_do_not():
    connections = Connections()
    for address, plain in (
        ("http://127.0.0.1:8000/v1", True),
        ("https://localhost:8000/v1", False),
        ("http://192.0.2.1/v1", False),
    ):
        async with connections.client(address, Patience()) as client:
            assert isinstance(client._transport, PlainTransport) == plain
    await connections.close()
