"""HTTP/1.1 to a server on this machine, with nothing between `httpx` and the socket.

A local server streams a reply in hundreds of small pieces. Through `httpx`'s own transport
(`httpcore`, `h11`, `anyio`) each of them costs 0.1 ms of a processor, more than all that is done
with it afterwards; here it is a tenth of that. It speaks what answers to a POST need (RFC 9112):
no TLS, no proxies, no upgrades. Addresses elsewhere take the usual way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NoReturn

import httpx

_LONGEST_HEAD = 2**18
"""Bytes of a status line with its headers, and of a line with a chunk's size."""
_PIECE = 2**16
_NO_BODY = (204, 304)
_HEX = frozenset(b"0123456789abcdefABCDEF")


class PlainTransport(httpx.AsyncBaseTransport):
    """Requests over connections that are kept for the next one.

    Raises as `httpx`'s own transport does: `ConnectError`, `ConnectTimeout`, `ReadTimeout`,
    `ReadError`, and `RemoteProtocolError` for what is no answer or only half of one.
    """

    def __init__(self, most_idle: int) -> None:
        """`most_idle` is how many connections may wait unused."""
        self._most_idle = most_idle
        self._idle: dict[tuple[str, int], list[_Connection]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, whose body is still to come."""
        times = request.extensions.get("timeout", {})
        place = (request.url.host, request.url.port or 80)
        connection = self._kept(place) or await _connected(place, times.get("connect"))
        try:
            await connection.send(_written(request, await request.aread()))
            status, headers = await connection.head(times.get("read"))
            body = connection.body(status, headers)
        except BaseException:
            connection.close()
            raise
        stream = _Body(self, place, connection, body)
        return httpx.Response(status, headers=headers, stream=stream)

    async def aclose(self) -> None:
        """Closes what waits unused."""
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _kept(self, place: tuple[str, int]) -> _Connection | None:
        kept = self._idle.get(place, [])
        while kept:
            connection = kept.pop()
            if connection.is_usable:
                return connection
            connection.close()
        return None

    def keep(self, place: tuple[str, int], connection: _Connection) -> None:
        """Takes back a connection whose answer has been read to its end."""
        kept = self._idle.setdefault(place, [])
        if connection.is_usable and len(kept) < self._most_idle:
            kept.append(connection)
        else:
            connection.close()


class _Body(httpx.AsyncByteStream):
    """The bytes of an answer as they come; its connection is kept only when all were read."""

    def __init__(
        self,
        transport: PlainTransport,
        place: tuple[str, int],
        connection: _Connection,
        body: _Plan,
    ) -> None:
        self._transport = transport
        self._place = place
        self._connection = connection
        self._body = body
        self._over = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            data = self._body.take(self._connection)
            if data:
                yield data
            if self._body.is_done:
                return
            await self._connection.more(self._body)

    async def aclose(self) -> None:
        if self._over:
            return
        self._over = True
        if self._body.is_done and self._body.keeps:
            self._connection.rest()
            self._transport.keep(self._place, self._connection)
        else:
            self._connection.close()


class _Plan:
    """How long a body is: so many bytes, in chunks, or up to the connection's end."""

    def __init__(self, length: int | None, *, chunked: bool, keeps: bool) -> None:
        self.keeps = keeps and (chunked or length is not None)
        self.is_done = length == 0
        self.is_to_end = length is None and not chunked
        self._chunked = chunked
        self._left = length or 0  # of the body, or of the chunk that is read
        self._after = False  # a chunk's data are over, and its line end is to come
        self._last = False  # the chunk of no bytes was there, and lines may follow

    def take(self, connection: _Connection) -> bytes:
        """What of the body lies ready."""
        buffer = connection.buffer
        if self.is_to_end:
            data = bytes(buffer)
            buffer.clear()
            return data
        if not self._chunked:
            data = bytes(buffer[: self._left])
            del buffer[: len(data)]
            self._left -= len(data)
            self.is_done = self._left == 0
            return data
        pieces: list[bytes] = []
        while not self.is_done and self._step(buffer, pieces):
            pass
        return b"".join(pieces)

    def _step(self, buffer: bytearray, pieces: list[bytes]) -> bool:
        """Goes one step on in the chunks; False where bytes are missing for it."""
        if self._left:
            data = bytes(buffer[: self._left])
            del buffer[: len(data)]
            self._left -= len(data)
            self._after = not self._left
            pieces.append(data)
            return bool(data)
        end = buffer.find(b"\r\n")
        if end < 0:
            if len(buffer) > _LONGEST_HEAD:
                raise httpx.RemoteProtocolError("a chunk's size goes on and on")
            return False
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        if self._after:
            if line:
                raise httpx.RemoteProtocolError("a chunk is longer than its size")
            self._after = False
        elif self._last:
            self.is_done = not line  # what stands before is a trailer
        else:
            self._left = _size(line)
            self._last = not self._left
        return True


class _Connection:
    """A socket, and what has come from it and is not read yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.buffer = bytearray()
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._patience: float | None = None
        self._since: float | None = None  # when it began to wait for bytes
        self._timer: asyncio.TimerHandle | None = None
        self._late = False

    @property
    def is_usable(self) -> bool:
        """Another request may go over it."""
        return not (self.buffer or self._reader.at_eof() or self._writer.is_closing())

    async def send(self, data: bytes) -> None:
        """Writes a request. A server may answer and close before it has read all of it."""
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    async def head(self, patience: float | None) -> tuple[int, list[tuple[bytes, bytes]]]:
        """The status and the headers of the answer, waiting so long for each of its pieces."""
        self._patience = patience
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end >= 0:
                head = bytes(self.buffer[:end])
                del self.buffer[: end + 4]
                status, headers = _parsed(head)
                if status >= 200:  # others say that the answer is still to come
                    return status, headers
                continue
            if len(self.buffer) > _LONGEST_HEAD:
                raise httpx.RemoteProtocolError("the answer's headers go on and on")
            if not await self._read():
                raise httpx.RemoteProtocolError("the server closed without an answer")

    def body(self, status: int, headers: list[tuple[bytes, bytes]]) -> _Plan:
        """How the body of this answer ends."""
        told = {name.lower(): value.strip().lower() for name, value in headers}
        keeps = told.get(b"connection") != b"close"
        if status in _NO_BODY:
            return _Plan(0, chunked=False, keeps=keeps)
        if b"transfer-encoding" in told:
            if told[b"transfer-encoding"] != b"chunked":
                raise httpx.RemoteProtocolError("the answer's transfer coding is not chunked")
            return _Plan(None, chunked=True, keeps=keeps)
        length = told.get(b"content-length")
        if length is not None and not length.isdigit():
            raise httpx.RemoteProtocolError("the answer's length is no number")
        return _Plan(None if length is None else int(length), chunked=False, keeps=keeps)

    async def more(self, body: _Plan) -> None:
        """Reads on in a body."""
        if await self._read():
            return
        if not body.is_to_end:
            raise httpx.RemoteProtocolError("the server closed in the middle of its answer")
        body.is_done = True

    def rest(self) -> None:
        """Nothing is waited for until the next request."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Closes the socket at once."""
        self.rest()
        self._writer.transport.abort()

    async def _read(self) -> bool:
        """Waits for bytes; False at the end of the connection."""
        self._since = self._loop.time()
        if self._timer is None and self._patience is not None:
            self._timer = self._loop.call_later(self._patience, self._look)
        try:
            data = await self._reader.read(_PIECE)
        except OSError as error:
            self._raise_late()
            raise httpx.ReadError(str(error) or type(error).__name__) from error
        finally:
            self._since = None
        if not data:
            self._raise_late()
        self.buffer += data
        return bool(data)

    def _look(self) -> None:
        """One timer watches a whole answer: one for each piece would cost more than the piece."""
        self._timer = None
        if self._patience is None or self._since is None:
            return
        left = self._since + self._patience - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._late = True
            self._writer.transport.abort()

    def _raise_late(self) -> None:
        if self._late:
            raise httpx.ReadTimeout("no bytes came in time")


async def _connected(place: tuple[str, int], patience: float | None) -> _Connection:
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(*place, limit=_LONGEST_HEAD)
    except TimeoutError:
        raise httpx.ConnectTimeout("nobody answered in time") from None
    except OSError as error:
        raise httpx.ConnectError(str(error) or type(error).__name__) from error
    return _Connection(reader, writer)


def _written(request: httpx.Request, content: bytes) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def _parsed(head: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    status = rest[:3]
    if not version.startswith(b"HTTP/1.") or not (len(status) == 3 and status.isdigit()):
        raise httpx.RemoteProtocolError("what came is no answer in HTTP/1.1")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            _refuse(line)
        headers.append((name, value.strip()))
    if version == b"HTTP/1.0":
        headers.append((b"connection", b"close"))
    return int(status), headers


def _refuse(line: bytes) -> NoReturn:
    raise httpx.RemoteProtocolError(f"{line[:80]!r} is no header")


def _size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or len(digits) > 16 or not _HEX.issuperset(digits):
        raise httpx.RemoteProtocolError(f"{line[:80]!r} is no size of a chunk")
    return int(digits, 16)
