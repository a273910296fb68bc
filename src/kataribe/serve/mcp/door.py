"""`/mcp`: the MCP server over streamable HTTP, behind the same gate as all other routes.

Each call is a POST for itself and nothing is kept between two (the protocol's stateless form), so
every one is checked for its own key, and no session can be taken over. The SDK is imported by the
first call: most servers never have one.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kataribe.base.errors import UnavailableError
from kataribe.base.events import Event
from kataribe.serve.desk import Desk
from kataribe.serve.metrics import Meter
from kataribe.serve.record import record_of
from kataribe.serve.who import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from kataribe.serve.mcp.offer import Caller
    from kataribe.serve.mcp.server import RequestContext
    from kataribe.use.prompts.retrieval import Search

PATH = "/mcp"


class McpDoor:
    """ASGI application; `close` ends what its calls began."""

    def __init__(self, desk: Desk, search: Search | None = None) -> None:
        self._desk = desk
        self._search = search
        self._ready: asyncio.Future[StreamableHTTPSessionManager] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        # There is nothing to GET: a server without sessions tells no news.
        self.route = Route(PATH, endpoint=self, methods=["POST"], include_in_schema=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one POST."""
        scope["route"] = self.route  # for the figures; only the API's own routes say it themselves
        await (await self._manager()).handle_request(scope, receive, send)

    async def close(self) -> None:
        """Ends it; calls that still run are cancelled."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _manager(self) -> StreamableHTTPSessionManager:
        if self._stopping.is_set():
            raise UnavailableError("The server is stopping. Try again when it is back.")
        if self._ready is None or self._task is None or self._task.done():
            self._ready = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(self._ready))
        waited: list[asyncio.Future[Any]] = [self._ready, self._task]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            self._task.result()  # raises why it could not begin
            raise UnavailableError("The server is stopping. Try again when it is back.")
        return self._ready.result()

    async def _run(self, ready: asyncio.Future[StreamableHTTPSessionManager]) -> None:
        # In a task of its own: whoever enters the SDK's group of tasks has to leave it, too.
        manager = await asyncio.to_thread(self._built)
        async with manager.run():
            ready.set_result(manager)
            await self._stopping.wait()

    def _built(self) -> StreamableHTTPSessionManager:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from kataribe.serve.mcp.offer import Offer
        from kataribe.serve.mcp.server import build_server

        desk = self._desk
        offer = Offer(desk.models, desk.settings.default_model, self._search)
        return StreamableHTTPSessionManager(
            build_server(offer, self._caller),
            stateless=True,
            max_request_body_size=desk.settings.max_body_bytes,
        )

    def _caller(self, context: RequestContext) -> Caller:
        from kataribe.serve.mcp.offer import Caller
        from kataribe.serve.mcp.server import reporter

        request: Any = context.request  # the SDK hands on what came in
        scope: Scope = request.scope
        return Caller(
            user=scope.get(OWNER),
            report=reporter(context),
            halted=self._desk.lifecycle.halted,
            watching=functools.partial(self._watching, scope),
        )

    def _watching(self, scope: Scope, model: str) -> Callable[[Event], Any]:
        return functools.partial(Meter(self._desk.metrics, record_of(scope), model).saw, 0)
