"""A session with one MCP server, in a task of its own, opened when it is first needed.

The SDK's contexts must be entered and left in one task; calls come from any. Whatever the SDK or a
transport raises is that task's error, so it is a value here and nothing else has to be caught.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.client import ConnectMode
from mcp.shared.dispatcher import ProgressFnT
from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT, CallToolResult, Implementation, Tool
from pydantic import ValidationError

import kataribe
from kataribe.base.errors import KataribeError, ProviderError
from kataribe.use.agents.mcp.limits import ServerLimits
from kataribe.use.agents.mcp.pipes import Pipe
from kataribe.use.agents.mcp.variables import Target
from kataribe.use.agents.mcp.web import Refusal, web

_GRACE = 1.0
_LONGEST_REASON = 2000
_ALIVE = 5.0
"""Seconds that a server which was late may take to list its tools, before it is opened anew."""
_MODE: ConnectMode = "auto"


class Link:
    """See above. Belongs to the event loop in which it was made."""

    def __init__(self, target: Target, limits: ServerLimits, is_held: Callable[[], bool]) -> None:
        """Starts nothing.

        Args:
            target: The server.
            limits: What it may take.
            is_held: Whether somebody wants the session kept, however long nobody calls.
        """
        self.target = target
        self.listed: tuple[Tool, ...] = ()
        self.last_used = time.monotonic()
        self._limits = limits
        self._is_held = is_held
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._ready: asyncio.Future[Client] = self._loop.create_future()
        self._pipe: Pipe | None = None
        self._refusal = Refusal()
        self._running = 0
        self._was_late = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether it can still be opened or is open, here."""
        over = self._task is not None and self._task.done()
        here = self._loop is asyncio.get_running_loop()
        return here and not over and not self._stopping.is_set()

    @property
    def is_open(self) -> bool:
        """Whether the server has said what it has, and is still there."""
        over = self._task is None or self._task.done() or self._loop.is_closed()
        return self._ready.done() and not over and not self._stopping.is_set()

    async def open(self) -> Client:
        """The open session. Raises `ProviderError` that says why there is none."""
        if self._task is None:
            self._task = asyncio.create_task(self._live(), name=f"mcp-{self.target.name}")
            self._task.add_done_callback(_seen)
        await _first(self._task, self._ready, seconds=self._limits.start)
        if self._ready.done():
            return self._ready.result()
        if not self._task.done():
            said = await self._last_words()
            self._task.cancel()
            await asyncio.wait([self._task], timeout=4 * self._limits.close)
            raise self._failure(f"did not start within {self._limits.start:g} s", said)
        raise self._failure("cannot be used", await self._last_words())

    async def refresh(self) -> None:
        """Has an open session list its tools anew. Raises `ProviderError`, and ends it then."""
        client = await self.open()
        assert self._task is not None
        asking = asyncio.ensure_future(self._tools_of(client))
        await _first(asking, self._task, seconds=self._limits.call)
        if asking.done() and not asking.cancelled() and asking.exception() is None:
            self.listed = asking.result()
            self.last_used = time.monotonic()
            return
        late = not asking.done() and not self._task.done()
        self.leave()
        if not asking.done():
            asking.cancel()
            await asyncio.wait([asking], timeout=_GRACE)
        error = None if asking.cancelled() or not asking.done() else asking.exception()
        why = f"not within {self._limits.call:g} s" if late else reason(error)
        raise self._failure("does not list its tools", self._with_refusal(why))

    async def call(
        self, tool: str, arguments: Mapping[str, Any], progress: ProgressFnT | None = None
    ) -> CallToolResult:
        """What a tool answers. Raises `ProviderError` that says what went wrong."""
        client = await self._sound_client()
        seconds = self.target.seconds or self._limits.call
        self._running += 1
        self._quiet.clear()
        self._refusal.words = ""
        work = asyncio.ensure_future(
            client.call_tool(
                tool, dict(arguments), read_timeout_seconds=seconds, progress_callback=progress
            )
        )
        assert self._task is not None
        try:
            await _first(work, self._task, seconds=seconds + _GRACE)
            if not work.done() and self._task.done():
                await asyncio.wait([work], timeout=_GRACE)  # it hears of the end, too
        finally:
            self._running -= 1
            if not self._running:
                self._quiet.set()
            self.last_used = time.monotonic()
            if not work.done():
                work.cancel()
                await asyncio.wait([work], timeout=_GRACE)
        return await self._answer(work, tool, seconds)

    async def _answer(
        self, work: asyncio.Future[CallToolResult], tool: str, seconds: float
    ) -> CallToolResult:
        over = work.cancelled() or not work.done()
        error = None if over else work.exception()
        if not over and error is None:
            return work.result()
        late = isinstance(error, MCPError) and error.code == REQUEST_TIMEOUT
        if late or (over and self.is_open):
            self._was_late = True
            raise self._failure(
                f"did not answer {tool} within {seconds:g} s and was not waited for any longer",
                "whether it has done anything is not known. Ask for less, or set its timeout",
            )
        gone = over or (isinstance(error, MCPError) and error.code == CONNECTION_CLOSED)
        if gone or (isinstance(error, MCPError) and error.message == "Session terminated"):
            self.leave()
            said = await self._last_words()
            unknown = "whether it has done anything is not known; the next call opens it anew"
            raise self._failure(f"went away during {tool}", f"{said or reason(error)}; {unknown}")
        raise self._failure(f"could not answer {tool}", self._with_refusal(reason(error)))

    async def close(self) -> None:
        """Ends the session, after the calls that run."""
        self.leave()
        if self._task is not None and self._loop is asyncio.get_running_loop():
            if not self._ready.done():
                self._task.cancel()  # it is being opened still, and may hang in that
            await asyncio.wait([self._task], timeout=self._limits.call + 4 * self._limits.close)

    def leave(self) -> None:
        """Has the session end as soon as no call runs; it takes no new ones."""
        if not self._loop.is_closed():
            self._stopping.set()

    async def _sound_client(self) -> Client:
        """The session; of a server that was late, only when it still answers."""
        client = await self.open()
        if self._was_late and not self._running:
            asking = asyncio.ensure_future(client.list_tools(cache_mode="bypass"))
            await asyncio.wait([asking], timeout=_ALIVE)
            if not asking.done() or asking.cancelled() or asking.exception() is not None:
                asking.cancel()
                self.leave()
                raise self._failure(
                    "hangs", f"it has not listed its tools within {_ALIVE:g} s either; the next "
                    "call opens it anew",
                )  # fmt: skip
        self._was_late = False
        return client

    async def _live(self) -> None:
        transport: Any = web(self.target, self._limits, self._refusal)
        if self.target.kind == "stdio":
            transport = self._pipe = Pipe(self.target, self._limits)
        async with Client(
            transport,
            mode=_MODE,
            cache=None,
            read_timeout_seconds=self._limits.start,
            client_info=Implementation(name="kataribe", version=kataribe.__version__),
        ) as client:
            self.listed = await self._tools_of(client)
            self._ready.set_result(client)
            await self._until_unused()

    async def _tools_of(self, client: Client) -> tuple[Tool, ...]:
        if client.server_capabilities.tools is None:
            return ()
        found: list[Tool] = []
        cursor = None
        while len(found) <= self._limits.tools:
            page = await client.list_tools(cursor=cursor)
            found += page.tools
            if page.next_cursor is None or page.next_cursor == cursor:
                return tuple(found)
            cursor = page.next_cursor
        raise ProviderError(f"it has more than {self._limits.tools} tools, which no model can read")

    async def _until_unused(self) -> None:
        gone = asyncio.ensure_future((self._pipe.gone if self._pipe else asyncio.Event()).wait())
        stop = asyncio.ensure_future(self._stopping.wait())
        quiet: asyncio.Future[Any] = self._loop.create_future()
        try:
            while not gone.done() and not stop.done():
                await _first(gone, stop, seconds=self._limits.idle)
                idle = time.monotonic() - self.last_used >= self._limits.idle
                if idle and not self._running and not self._is_held():
                    self._stopping.set()
                    return
            self._stopping.set()
            quiet = asyncio.ensure_future(self._quiet.wait())
            await _first(gone, quiet, seconds=self._limits.call)
        finally:
            for waiting in (gone, stop, quiet):
                waiting.cancel()

    async def _last_words(self) -> str:
        said = await self._pipe.last_words() if self._pipe and self._pipe.has_started else ""
        task = self._task
        error = task.exception() if task and task.done() and not task.cancelled() else None
        why = reason(error) if error is not None else ""
        return self._with_refusal("; ".join(part for part in (why, said) if part))

    def _with_refusal(self, words: str) -> str:
        refused = self._refusal.words
        return f"it answered {refused}; {words}" if refused else words

    def _failure(self, what: str, why: str) -> ProviderError:
        told = f"The MCP server {self.target.name!r} {what}" + (f": {why}" if why else "")
        told = self.target.hide(told)
        if len(told) > _LONGEST_REASON:
            told = f"{told[: _LONGEST_REASON - 1]}…"
        return ProviderError(f"{told.rstrip('.')}.", param="server")


def _seen(task: asyncio.Task[None]) -> None:
    """Takes the error of a session that ended while nobody called, so that nobody warns of it."""
    if not task.cancelled():
        task.exception()


async def _first(*work: asyncio.Future[Any], seconds: float) -> None:
    await asyncio.wait(work, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def reason(error: BaseException | None) -> str:
    """An error of the SDK or of a transport in words."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(dict.fromkeys(reason(each) for each in error.exceptions))
    if isinstance(error, KataribeError):
        return error.message
    if isinstance(error, MCPError):
        return error.message
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"it answered what the protocol does not know ({where}: {first['msg']})"
    if isinstance(error, httpx2.ConnectError):
        return f"it cannot be reached ({error})"
    if isinstance(error, anyio.ClosedResourceError | anyio.BrokenResourceError):
        return "its connection is closed"
    return f"{type(error).__name__}: {error}" if error is not None else "it went away"
