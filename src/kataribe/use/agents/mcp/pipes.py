"""A server that is a program of this machine, spoken to over its standard streams.

The SDK's own transport holds a message of any length in memory and lets what the program says to
its standard error go to ours. Here a message has a bound, and the last words of a program that
ends are kept, because they say why.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import deque
from types import TracebackType

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)

from kataribe.base.errors import ProviderError
from kataribe.use.agents.mcp.limits import ServerLimits
from kataribe.use.agents.mcp.lines import Lines, TooLong
from kataribe.use.agents.mcp.variables import Target

TOO_LONG = -32010
"""JSON-RPC code, of those left to implementations, for an answer that was not read."""
MOST_RUBBISH = 10_000
"""Lines that are no messages, after which nobody listens any more."""
_CHUNK = 1 << 16
_LAST_WORDS = 4096
_SHOWN = 400
_POLL = 0.01
_ID = re.compile(rb'"id"\s*:\s*(\d{1,15}|"[^"\\]{1,100}")')

_Incoming = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[_Incoming], MemoryObjectSendStream[SessionMessage]]


class Pipe:
    """A transport of the SDK: the program runs as long as the block lasts."""

    def __init__(self, target: Target, limits: ServerLimits) -> None:
        self._target = target
        self._limits = limits
        self.gone = asyncio.Event()
        self._why = ""
        self._rubbish: list[str] = []
        self._rubbish_lines = 0
        self._stderr: deque[bytes] = deque()
        self._waiting: set[RequestId] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Streams:
        """Starts the program; `ProviderError` where that cannot be."""
        self._to_us, self._from_server = anyio.create_memory_object_stream[_Incoming](0)
        self._to_server, self._from_us = anyio.create_memory_object_stream[SessionMessage](0)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._target.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**get_default_environment(), **self._target.env},
                cwd=self._target.cwd,
                start_new_session=True,  # so that what it starts ends with it
            )
        except BaseException as error:  # also where nobody waits any more
            self._close_streams()
            if isinstance(error, OSError | ValueError):
                raise ProviderError(self._not_started(error)) from error
            raise
        self._tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._write()),
            asyncio.create_task(self._listen()),
        ]
        return self._from_server, self._to_server

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Ends it: its input closes, then it is asked to end, then it is ended."""
        with anyio.CancelScope(shield=True):
            self._close_streams()
            await self._stop()
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    @property
    def has_started(self) -> bool:
        """Whether there is, or was, a process."""
        return bool(self._tasks)

    async def last_words(self) -> str:
        """How it ended, or what it said instead of messages; empty where there is nothing."""
        if self.gone.is_set():
            await self._ended_within(0.5)
        told = [self._why] if self._why else []
        code = self._process.returncode
        if code is not None and not self._why:
            told.append(f"it ended with code {code}" if code >= 0 else f"signal {-code} ended it")
        if self._rubbish:
            told.append(f"its standard output had {self._rubbish[0]!r}, which is no MCP message")
        words = " ".join(b"".join(self._stderr).decode("utf-8", "replace").split())
        if words:
            told.append(f"its last words were {words[-_SHOWN:]!r}")
        return "; ".join(told)

    def _not_started(self, error: Exception) -> str:
        program = self._target.command[0]
        if not self._target.cwd.is_dir():
            return f"its folder {self._target.cwd} is not there"
        if isinstance(error, FileNotFoundError):
            return f"there is no program {program!r}. Install it, or write its whole path"
        return f"{program!r} does not start: {getattr(error, 'strerror', None) or error}"

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        lines = Lines(self._limits.message)
        deaf = False
        try:
            async with self._to_us:
                while not self._why and (chunk := await stdout.read(_CHUNK)):
                    for message in map(self._understood, lines.push(chunk)):
                        # Whoever ends is read to the end: else it hangs on a full pipe.
                        deaf = deaf or not await self._handed_over(message)
        except OSError:
            pass  # the pipe broke: it is over
        finally:
            self.gone.set()

    async def _handed_over(self, message: SessionMessage | None) -> bool:
        if message is not None:
            try:
                await self._to_us.send(message)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return False
        return True

    def _understood(self, line: bytes | TooLong) -> SessionMessage | None:
        if isinstance(line, TooLong):
            return self._too_long(line)
        if not line.strip():
            return None
        message = _parsed(line)
        if message is None:
            self._note_rubbish(line)
            return None
        if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            self._waiting.discard(message.id)
        return SessionMessage(message)

    def _note_rubbish(self, line: bytes) -> None:
        self._rubbish_lines += 1
        if not self._rubbish:
            self._rubbish.append(line[:120].decode("utf-8", "replace"))
        if self._rubbish_lines > MOST_RUBBISH:
            self._why = f"it wrote more than {MOST_RUBBISH} lines that are no MCP messages"

    def _too_long(self, line: TooLong) -> SessionMessage | None:
        """The error that answers whoever waited for it, as far as that can be known."""
        told = f"an answer has {line.size:,} bytes, but at most {self._limits.message:,} are read"
        is_answer = b'"result"' in line.head or b'"error"' in line.head
        if not is_answer and b'"method"' in line.head:
            self._note_rubbish(line.head)
            return None
        named = {_id(found) for found in _ID.findall(line.head + b" " + line.tail)}
        meant = self._waiting if len(self._waiting) == 1 else self._waiting & named
        if len(meant) != 1:
            self._why = f"{told}, and whose answer it is cannot be seen"
            return None
        (request,) = meant
        self._waiting.discard(request)
        error = ErrorData(code=TOO_LONG, message=f"{told}. Ask for less at once")
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request, error=error))

    async def _write(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            async with self._from_us:
                async for item in self._from_us:
                    if isinstance(item.message, JSONRPCRequest):
                        self._waiting.add(item.message.id)
                    text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                    stdin.write(text.encode() + b"\n")
                    await stdin.drain()
        except OSError:
            await self._to_us.aclose()  # so that nobody waits for an answer

    async def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while chunk := await stderr.read(_CHUNK):
            self._stderr.append(chunk[-_LAST_WORDS:])
            while sum(map(len, self._stderr)) - len(self._stderr[0]) >= _LAST_WORDS:
                self._stderr.popleft()

    async def _stop(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()
        # Nothing public closes pipes that somebody else holds open.
        transport = getattr(self._process, "_transport", None)
        try:
            ended = await self._ended_within(self._limits.close)
            for number in (signal.SIGTERM, signal.SIGKILL):
                self._signal(number)  # also what it started and left behind
                ended = ended or await self._ended_within(self._limits.close)
                if ended:
                    break
        except asyncio.CancelledError:  # the loop itself ends, and leaves no time to ask
            self._signal(signal.SIGKILL)
            popen = None if transport is None else transport.get_extra_info("subprocess")
            if popen is not None:
                popen.wait(self._limits.close)
            raise
        finally:
            if transport is not None:
                transport.close()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    async def _ended_within(self, seconds: float) -> bool:
        """Whether it ends in that time. `wait` would also wait for whoever has its pipes."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while self._process.returncode is None and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)
        return self._process.returncode is not None

    def _close_streams(self) -> None:
        for stream in (self._to_us, self._from_server, self._to_server, self._from_us):
            stream.close()


def _parsed(line: bytes) -> JSONRPCMessage | None:
    """The message of a line, halves of characters in it replaced; None for what is none."""
    try:
        return jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        pass
    try:
        value = json.loads(line.decode("utf-8", "replace"))
        sound = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return jsonrpc_message_adapter.validate_json(sound, by_name=False)
    except (ValueError, RecursionError):
        return None


def _id(found: bytes) -> RequestId:
    return found[1:-1].decode("utf-8", "replace") if found.startswith(b'"') else int(found)
