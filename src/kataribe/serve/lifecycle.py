"""The server's state, from loading to stopping, and how many replies run."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

from kataribe.base.errors import UnavailableError

State: TypeAlias = Literal["loading", "ready", "stopping"]


class Lifecycle:
    """What `/health` says. Starts ready; whoever loads first sets `loading` before it serves.

    Attributes:
        state: loading, ready or stopping.
        detail: One line about it.
        running: Requests that are being answered now.
    """

    def __init__(self) -> None:
        self.state: State = "ready"
        self.detail = ""
        self.running = 0
        self._halted = asyncio.Event()

    def loading(self, detail: str = "") -> None:
        """Requests get 503 until `ready`."""
        if self.state != "stopping":
            self.state, self.detail = "loading", detail

    def ready(self) -> None:
        """Requests are answered."""
        if self.state != "stopping":
            self.state, self.detail = "ready", ""

    def stop(self) -> None:
        """New requests get 503; running ones go on until they end or `halt`."""
        self.state, self.detail = "stopping", "the server is stopping"

    def halt(self) -> None:
        """The grace is over: running replies end with an error now."""
        self.stop()
        self._halted.set()

    async def halted(self) -> None:
        """Returns when running replies have to end."""
        await self._halted.wait()

    def check(self) -> None:
        """Raises `UnavailableError` unless the server is ready."""
        if self.state == "loading":
            what = f" ({self.detail})" if self.detail else ""
            raise UnavailableError(
                f"The server is loading{what}. Try again in a moment.", retry_after=2
            )
        if self.state == "stopping":
            raise UnavailableError(
                "The server is stopping and takes no new requests. Try again when it is back.",
                retry_after=10,
            )
