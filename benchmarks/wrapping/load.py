"""An open loop: calls begin when they are due, however many still run."""

from __future__ import annotations

import asyncio
import random
import time

from benchmarks.wrapping.asked import Ask, Took

MOST = 500
"""Calls that may run at once: with more of them the rate is not held, and files run out."""


class OverloadedError(Exception):
    """Calls came faster than they were answered."""


async def open_loop(
    ask: Ask, rate: float, seconds: float, seed: int, most: int = MOST
) -> list[Took]:
    """Calls at random moments (a Poisson process), each timed from when it was due.

    Time that a call waits because others hold up the loop counts, so nothing is left out just
    where it is slowest (Tene 2015, "How not to measure latency"). Raises `OverloadedError` as soon
    as `most` of them run at once; they are broken off.
    """
    draw = random.Random(seed)
    begun = time.perf_counter() + 0.05
    due, calls = begun, []
    running: set[asyncio.Task[Took]] = set()
    while True:
        due += draw.expovariate(rate)
        if due - begun > seconds:
            break
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        if len(running) >= most:
            for call in running:
                call.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            raise OverloadedError(f"{most} calls ran at once at {rate:g} a second")
        call = asyncio.create_task(ask(due))
        running.add(call)
        call.add_done_callback(running.discard)
        calls.append(call)
    return list(await asyncio.gather(*calls))


async def closed_loop(ask: Ask, calls: int, at_once: int) -> None:
    """So many calls, some at a time, as fast as they go."""
    left = calls

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await ask(time.perf_counter())

    await asyncio.gather(*(work() for _ in range(at_once)))
