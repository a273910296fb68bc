"""Running the application: one process, one socket, and a polite end."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from kataribe.base.freeing import set_aside
from kataribe.serve.desk import Desk
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.ports import address_of, listen
from kataribe.serve.settings import check_bind
from kataribe.serve.wire import HEADER_BYTES, Wire

log = logging.getLogger("kataribe.serve")

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than the 60 s after which usual proxies and
clients drop theirs, so that they never write into one that is just closing."""


def serve(
    app: FastAPI,
    host: str,
    port: int,
    grace: float | None = None,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; then running replies have `grace` seconds to finish.

    `ready` is called with the address once requests are accepted; port 0 shows the real one.
    Raises `PortInUseError`, and `SettingsError` when others could reach the address without a key.
    """
    serve_on(app, listen(host, port), grace, ready=ready)


def serve_on(
    app: FastAPI,
    listening: socket.socket,
    grace: float | None = None,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """`serve` on a socket that `listen` made; it is closed at the end."""
    with set_aside():  # what is there now stays to the end
        asyncio.run(serve_async(app, listening, grace, ready=ready))


async def serve_async(
    app: FastAPI,
    listening: socket.socket,
    grace: float | None = None,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """`serve_on` inside a running event loop; ends early when the lifecycle is stopped."""
    desk: Desk = app.state.desk
    try:
        check_bind(desk.settings)
        limit = desk.settings.grace if grace is None else grace
        server = PoliteServer(_config(app), desk.lifecycle, limit)
        if ready is not None:
            server.ready = lambda: ready(address_of(listening))
        await server.serve(sockets=[listening])
    finally:
        listening.close()


class PoliteServer(uvicorn.Server):
    """A server that lets running replies finish.

    At the first signal new requests get 503 while the running ones go on; when none is left, or
    after `grace` seconds, or at a second signal, it ends. What still runs then ends with an error.
    """

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle, grace: float) -> None:
        super().__init__(config)
        self.ready: Callable[[], None] | None = None
        self._lifecycle = lifecycle
        self._grace = grace
        self._signals = 0
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Counts signals only: what follows belongs into the event loop."""
        del sig, frame
        self._signals += 1

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts requests and says so."""
        await super().startup(sockets)
        if self.started and self.ready is not None:
            self.ready()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to end."""
        ended = await super().on_tick(counter)
        if self._signals and self._lifecycle.state != "stopping":
            self._lifecycle.stop()
        if self._lifecycle.state != "stopping":
            return ended
        running = self._lifecycle.running
        if self._until is None:
            self._until = time.monotonic() + self._grace
            if running:
                log.info("Stopping: waiting up to %g s for %d replies.", self._grace, running)
        if running and self._signals < 2 and time.monotonic() < self._until:
            return ended
        self._lifecycle.halt()
        if running:
            log.warning("Stopping now: %d replies end unfinished.", running)
        return True


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Wire,
        ws="none",
        loop="asyncio",
        log_config=None,  # whoever starts the server decides how its log looks
        access_log=False,
        server_header=False,
        proxy_headers=False,  # a forwarded address would be anyone's word
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=HEADER_BYTES,
        backlog=512,
    )
