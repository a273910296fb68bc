"""The server's state, from loading to stopping, and how many replies run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Literal, TypeAlias

from kataribe.base.errors import UnavailableError

State: TypeAlias = Literal["loading", "ready", "stopping"]


class Lifecycle:
    """What `/health` says. Starts ready; whoever loads first sets `loading` before it serves.

    `loading` and `ready` may be called from any thread.

    Attributes:
        state: loading, ready or stopping.
        detail: One line about it.
        running: Requests that are being answered now.
    """

    def __init__(self) -> None:
        self.state: State = "ready"
        self.detail = ""
        self.running = 0
        self._at_stop: list[Callable[[], None]] = []
        self._lock = threading.Lock()  # so that no load that ends just then undoes a stop
        self._halted = asyncio.Event()

    def loading(self, detail: str = "") -> None:
        """`/health` says 503 until `ready`; requests wait for the model they ask for."""
        self._change("loading", detail)

    def ready(self, detail: str = "") -> None:
        """Requests are answered at once; `detail` tells what is not as it should be."""
        self._change("ready", detail)

    def at_stop(self, call: Callable[[], None]) -> None:
        """Has `call` called once, when the server begins to stop."""
        self._at_stop.append(call)

    def stop(self) -> None:
        """New requests get 503; running ones go on until they end or `halt`."""
        with self._lock:
            self.state, self.detail = "stopping", "the server is stopping"
        calls, self._at_stop = self._at_stop, []
        for call in calls:
            call()

    def halt(self) -> None:
        """The grace is over: running replies end with an error now."""
        self.stop()
        self._halted.set()

    async def halted(self) -> None:
        """Returns when running replies have to end."""
        await self._halted.wait()

    def check(self) -> None:
        """Raises `UnavailableError` when the server takes no new requests."""
        if self.state == "stopping":
            raise UnavailableError(
                "The server is stopping and takes no new requests. Try again when it is back.",
                retry_after=10,
            )

    def _change(self, state: State, detail: str) -> None:
        with self._lock:
            if self.state != "stopping":
                self.state, self.detail = state, detail
