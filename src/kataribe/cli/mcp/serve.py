"""`kataribe mcp serve`: this Kataribe as an MCP server over standard input and output."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.base.lm import LM
    from kataribe.base.settings import Settings
    from kataribe.base.workspace import Workspace
    from kataribe.serve.mcp.offer import Lender
    from kataribe.serve.models import ModelInfo
    from kataribe.use.assistants.book import Book


def serve(model: options.Model = None, local: options.Local = False) -> None:
    """Be an MCP server for the program that starts this one (Claude, VS Code and others).

    It lists models and assistants and asks them: those of the server of this workspace when one
    runs, else loaded here. Over HTTP that server is one itself, at /mcp.

    Example, in the other program's file: {"mcpServers": {"kataribe": {"command": "kataribe",
    "args": ["mcp", "serve"]}}}
    """
    import asyncio
    import signal

    from kataribe.base.settings import load_settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.logs import start_logs
    from kataribe.serve.mcp.offer import Offer
    from kataribe.serve.mcp.server import serve_stdio

    settings = load_settings(model=model)
    start_logs(settings.log_level)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    with _lender(settings, Workspace.locate(), local=local) as models:
        asyncio.run(serve_stdio(Offer(models, settings.model)))


def _end(number: int, _: object) -> None:
    """Ends at once: the thread that reads standard input would hold up any other end.

    Nothing is lost by it, for nothing is kept; programs that were begun see their input close.
    """
    import os
    import signal

    from kataribe.cli.exits import DONE, INTERRUPTED

    os._exit(INTERRUPTED if number == signal.SIGINT else DONE)


@contextlib.contextmanager
def _lender(settings: Settings, workspace: Workspace, *, local: bool) -> Iterator[Lender]:
    from kataribe.cli.running import find_running
    from kataribe.cli.wiring import open_everything
    from kataribe.use.assistants.book import Book

    running = None if local else find_running(workspace)
    if running is not None:
        yield ServedModels(running.url, settings.key, Book(workspace.assistants))
        return
    with open_everything(settings, workspace) as models:
        yield models


@dataclass(frozen=True, slots=True)
class ServedModels:
    """The models and assistants of the running server."""

    url: str
    key: str | None
    book: Book

    def names(self) -> Sequence[ModelInfo]:
        """As the server lists them."""
        from kataribe.cli.served import call
        from kataribe.serve.models import ModelInfo

        return [
            ModelInfo(
                each["id"],
                each["created"],
                each["owned_by"],
                loaded=each.get("loaded", False),
                context_length=each.get("max_model_len"),
                use=each.get("use", "write"),
            )
            for each in call(self.url, self.key, "GET", "/v1/models")["data"]
        ]

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        """The server's model of that name."""
        from kataribe.cli.served import served_lm

        yield served_lm(name, self.url, self.key)

    def about(self, name: str) -> str:
        """What an assistant is for, as its recipe says."""
        from kataribe.use.assistants.book import about

        return about(self.book, name)
