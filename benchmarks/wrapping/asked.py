"""The two ways of asking: the bare upstream, and through everything that wraps a hosted model."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from kataribe.base.events import Finished, TextDelta
from kataribe.base.limits import Limits
from kataribe.base.lm import Context, Request
from kataribe.base.messages import text_message
from kataribe.cli.metering import Meters, writing
from kataribe.prove.ops.trace_store import TraceStore
from kataribe.run.providers import Connections, Host, HostedLM
from kataribe.use.guards.guarded import Guarded
from kataribe.use.guards.settings import STANDARD, guards_of

QUESTION = (
    "Our ferry leaves at nine and the trip takes fifty minutes. When should we be at the next "
    "harbour, and is there time for lunch before the bus?"
)


def question(number: int) -> str:
    """What is asked: another one each time, so that no guard knows it already."""
    return f"{QUESTION} We are {number} people."


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds from when a call was due to its first word and to its end."""

    first: float
    whole: float


class Ask(Protocol):
    """One call; `due` is in `time.perf_counter()` seconds."""

    async def __call__(self, due: float) -> Took:
        """Asks, and reads the reply to its end."""
        ...


@asynccontextmanager
async def bare(port: int) -> AsyncIterator[Ask]:
    """An HTTP client with kept connections that reads the bytes and looks at none of them."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    numbers = itertools.count()
    address = f"http://127.0.0.1:{port}/v1/chat/completions"
    async with httpx.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

        async def ask(due: float) -> Took:
            first = None
            body = {
                "model": "upstream",
                "messages": [{"role": "user", "content": question(next(numbers))}],
                "stream": True,
                "stream_options": {"include_usage": True},
            }
            async with client.stream("POST", address, json=body) as answer:
                async for _ in answer.aiter_bytes():
                    if first is None:
                        first = time.perf_counter() - due
            assert first is not None
            return Took(first, time.perf_counter() - due)

        yield ask


@asynccontextmanager
async def wrapped(port: int, folder: Path) -> AsyncIterator[Ask]:
    """Provider, meter, limits, the standard guards, and meter and limits around it all.

    That is what the server puts around a hosted model and around an assistant. Spans are written.
    """
    host = Host("local", "chat", f"http://127.0.0.1:{port}/v1")
    connections, meters = Connections(most_idle=1000), Meters()
    hosted = HostedLM(host, "upstream", connections=connections)
    inner = meters.lm(hosted, hosted.price)
    guards, policy = guards_of(STANDARD)
    guarded = Guarded(inner, guards, policy, name="guarded")
    lm = meters.lm(guarded)
    numbers, limits = itertools.count(), Limits(steps=20, tokens=100_000, seconds=60.0)

    async def ask(due: float) -> Took:
        first = None
        end: Finished | None = None
        context = limits.within(Context(user="somebody"))
        request = Request((text_message("user", question(next(numbers))),), context=context)
        async for event in lm.stream(request):
            if first is None and isinstance(event, TextDelta):
                first = time.perf_counter() - due
            elif isinstance(event, Finished):
                end = event
        assert first is not None
        assert end is not None
        if end.reason != "stop":
            raise SystemExit(f"A reply ended with {end.reason}: {end.detail}")
        return Took(first, time.perf_counter() - due)

    try:
        with writing(meters, TraceStore(folder / "traces.db")):
            yield ask
    finally:
        await connections.close()
