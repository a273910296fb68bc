"""What wrapping costs is measured as it is said: open loop, added percentiles, slope of memory."""

from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.wrapping import report
from benchmarks.wrapping.__main__ import memory, one_round, upstream
from benchmarks.wrapping.asked import Took, bare, wrapped
from benchmarks.wrapping.figures import added, slope
from benchmarks.wrapping.load import closed_loop, open_loop
from kataribe.prove.ops.trace_store import TraceStore


def rounds(bare_: list[float], ours: list[float], count: int = 3) -> list[dict]:
    return [{"bare": {"first": bare_}, "wrapped": {"first": ours}} for _ in range(count)]


def test_what_is_added_is_the_difference_of_percentiles():
    found = added(rounds([0.010] * 99 + [0.020], [0.012] * 98 + [0.030] * 2), "first", 50.0)
    assert found.value == pytest.approx(2.0)
    assert found.low <= found.value <= found.high
    late = added(rounds([0.010] * 100, [0.010] * 97 + [0.030] * 3), "first", 99.0)
    assert late.value == pytest.approx(20.0)


def test_a_slope_is_found_and_noise_is_none():
    calls = list(range(2_000, 20_001, 200))
    growing = slope(calls, [100_000_000 + 3 * call for call in calls])
    assert growing.value == pytest.approx(3.0)
    assert growing.low > 2.9
    flat = slope(calls, [100_000_000 + (call % 1_400) for call in calls])
    assert flat.low < 0 < flat.high


async def test_calls_begin_when_they_are_due_however_slow_others_are():
    running = most = 0

    async def slow(due: float) -> Took:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.2)
        running -= 1
        return Took(0.1, time.perf_counter() - due)

    took = await open_loop(slow, 100.0, 0.5, seed=1)
    assert 20 < len(took) < 90
    assert most > 5
    assert all(each.whole >= 0.2 for each in took)


async def test_both_ways_read_the_same_reply_and_spans_are_written(tmp_path):
    with upstream(0.0, 0.0, 12) as port:
        async with bare(port) as plain, wrapped(port, tmp_path) as ours:
            for ask in (plain, ours):
                took = await ask(time.perf_counter())
                assert 0 < took.first <= took.whole
            await closed_loop(ours, 5, 2)
        (cost,) = TraceStore(tmp_path / "traces.db").costs(by=("model",))
        assert cost.model == "local:upstream"
        assert (cost.used.steps, cost.used.completion_tokens) == (6, 72)
        (mine,) = TraceStore(tmp_path / "traces.db").costs(by=("user",))
        assert mine.user == "somebody"


async def test_a_small_run_gives_a_report():
    told = {"rate": 40.0, "first": 0.0, "gap": 0.0, "pieces": 8}
    with upstream(0.0, 0.0, 8) as port:
        found = [await one_round(port, 40.0, 0.3, number) for number in range(2)]
        grown = await memory(port, 2_000)
    assert grown["calls"][-1] == 2_000
    data = {
        "run": told,
        "begun": "now",
        "machine": {"processor": "p", "cores": 2},
        "runs": {
            "latency": found,
            "rate": [{"rate": 40.0, "rounds": found}],
            "memory": [{"calls": grown["calls"], "bytes": grown["bytes"]}],
        },
    }
    text = report.text(data)
    assert "p99 to the end" in text
    assert "Memory over 2,000 calls" in text
    assert "held" in text
