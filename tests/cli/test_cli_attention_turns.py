"""Attention passes take turns in one thread of their own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from kataribe.base.inside import AttentionShape
from kataribe.cli.inside_here import MOST_PARAMETERS, MOST_TOKENS, AttentionHere, LoadedView

LOOKERS = 40
"""More than the threads that an event loop shares out on any machine."""


class Views:
    """Shelf and residents of one view, whose passes wait for a gate."""

    def __init__(self):
        self.gate = threading.Event()
        self.seen: list[tuple[int, str]] = []

    def resolve(self, name):
        return name

    @asynccontextmanager
    async def loaded(self, name):
        yield LoadedView(self)

    def unload(self, name):
        pass

    def weights(self, ids, layer, head, looking):
        self.seen.append((ids[0], threading.current_thread().name))
        assert self.gate.wait(20)
        return (1.0,)


async def test_passes_take_turns_and_leave_the_shared_threads_to_others(monkeypatch):
    views = Views()
    attention = AttentionHere(views, views)
    shape = AttentionShape(1, 1, 1, MOST_PARAMETERS, MOST_TOKENS)
    monkeypatch.setattr(AttentionHere, "_shape", lambda self, model: shape)
    looks = [
        asyncio.create_task(attention.weights("m", (number,), 0, 0, 0)) for number in range(LOOKERS)
    ]
    try:
        async with asyncio.timeout(10):
            while not views.seen:  # noqa: ASYNC110  threads tell nobody
                await asyncio.sleep(0.01)
            for _ in range(LOOKERS):
                assert await asyncio.to_thread(lambda: "free") == "free"
        assert len(views.seen) == 1
        waiting = [number for number in range(LOOKERS) if number != views.seen[0][0]]
        looks[waiting[3]].cancel()
        with pytest.raises(asyncio.CancelledError):
            await looks[waiting[3]]
    finally:
        views.gate.set()
    done = [look for number, look in enumerate(looks) if number != waiting[3]]
    assert await asyncio.gather(*done) == [(1.0,)] * (LOOKERS - 1)
    assert {number for number, _ in views.seen} == set(range(LOOKERS)) - {waiting[3]}
    assert {thread for _, thread in views.seen} == {"attention_0"}
    for timer in attention._timers.values():
        timer.cancel()
