"""Servers for the tests of `serve`: scripted models behind real sockets or right in the process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from fastapi import FastAPI

from kataribe.base.errors import NotFoundError
from kataribe.base.lm import LM
from kataribe.run.providers import ScriptedLM, ScriptedTokenizer
from kataribe.serve.app import create_app
from kataribe.serve.models import ModelInfo, Sample, TextTokenizer
from kataribe.serve.ports import listen
from kataribe.serve.rooms import Rooms
from kataribe.serve.server import serve_async
from kataribe.serve.settings import ServerSettings


@dataclass
class Source:
    """A `ModelSource` of scripted models."""

    lms: dict[str, ScriptedLM] = field(default_factory=dict)
    error: Exception | None = None
    delay: float = 0.0
    leases: int = 0

    def names(self) -> Sequence[ModelInfo]:
        return [
            ModelInfo(
                name,
                1_700_000_000,
                "tests",
                loaded=True,
                context_length=lm.capabilities.context_length,
            )
            for name, lm in self.lms.items()
        ]

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        if self.error is not None:
            raise self.error
        if name not in self.lms:
            raise NotFoundError(f"There is no model {name!r}.", param="model")
        self.leases += 1
        try:
            await asyncio.sleep(self.delay)
            yield self.lms[name]
        finally:
            self.leases -= 1

    @asynccontextmanager
    async def tokenizer(self, name: str) -> AsyncIterator[TextTokenizer]:
        yield ScriptedTokenizer()

    def metrics(self) -> Sequence[Sample]:
        return [
            Sample("queue_waiting", 3, "Requests in the queue."),
            Sample("cache_hits_total", 7, "Blocks reused.", "counter", {"model": "scripted"}),
            Sample("cache_hits_total", 8, "Blocks reused.", "counter", {"model": "other"}),
        ]


@dataclass
class Live:
    """A server on a real socket."""

    url: str
    app: FastAPI
    source: Source

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


def source_of(*lms: ScriptedLM) -> Source:
    return Source({lm.name: lm for lm in lms})


@contextmanager
def live_server(
    source: Source,
    settings: ServerSettings | None = None,
    grace: float = 5.0,
    rooms: Rooms | None = None,
) -> Iterator[Live]:
    """Serves in a thread of its own until the block ends."""
    app = create_app(source, settings or ServerSettings(), rooms=rooms)
    listening = listen("127.0.0.1", 0)
    began = threading.Event()
    urls: list[str] = []

    def ready(url: str) -> None:
        urls.append(url)
        began.set()

    def run() -> None:
        asyncio.run(serve_async(app, listening, grace, ready=ready))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert began.wait(10)
        yield Live(urls[0], app, source)
    finally:
        app.state.desk.lifecycle.stop()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def live() -> Iterator[Callable[..., Live]]:
    """Starts a server over the given scripted models; all end with the test."""
    opened = []

    def start(*lms: ScriptedLM, source: Source | None = None, grace: float = 5.0, **settings):
        context = live_server(source or source_of(*lms), ServerSettings(**settings), grace)
        server = context.__enter__()
        opened.append(context)
        return server

    yield start
    for context in reversed(opened):
        context.__exit__(None, None, None)


@asynccontextmanager
async def inside(
    source: Source, settings: ServerSettings | None = None, **client
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks to the application without a socket."""
    app = create_app(source, settings or ServerSettings())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://localhost:8720", **client
    ) as http:
        yield http


def hello(**fields) -> dict:
    """A small chat request with further fields."""
    return {"model": "scripted", "messages": [{"role": "user", "content": "hi"}], **fields}


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def opened():
    """Closes at a test's end what it is given, and gives it back: clients keep their sockets."""
    with ExitStack() as stack:
        yield stack.enter_context
