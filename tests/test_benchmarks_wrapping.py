"""What wrapping costs is measured as it is said: open loop, added percentiles, slope of memory."""

from __future__ import annotations

import asyncio
import time

import pytest

from benchmarks.wrapping import report
from benchmarks.wrapping.__main__ import memory, one_round, upstream
from benchmarks.wrapping.asked import Took, bare, wrapped
from benchmarks.wrapping.figures import added, slope
from benchmarks.wrapping.load import OverloadedError, closed_loop, open_loop
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


async def test_what_comes_faster_than_it_is_answered_is_broken_off_and_said():
    async def never(due: float) -> Took:
        await asyncio.sleep(60)
        return Took(0.0, 0.0)

    with pytest.raises(OverloadedError, match="7 calls ran at once at 500 a second"):
        await open_loop(never, 500.0, 5.0, seed=1, most=7)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def figures(first: float, wrapped_: float, calls: int = 100) -> dict:
    """A round in which each bare call took so long, and each wrapped one."""
    return {
        how: {"first": [took] * calls, "whole": [took * 2] * calls}
        for how, took in (("bare", first), ("wrapped", wrapped_))
    }


def reported(**runs) -> str:
    told = {"rate": 50.0, "first": 0.0, "gap": 0.0, "pieces": 8}
    machine = {"processor": "p", "cores": 2}
    return report.text({"run": told, "begun": "now", "machine": machine, "runs": runs})


def test_the_highest_rate_held_is_told_with_the_one_of_the_latencies():
    fine, slow = [figures(0.02, 0.021)] * 3, [figures(0.02, 0.04)] * 3
    rates = [
        {"rate": 75.0, "rounds": fine, "overloaded": ""},
        {"rate": 100.0, "rounds": slow, "overloaded": ""},
        {"rate": 150.0, "rounds": fine[:1], "overloaded": "500 calls ran at once"},
    ]
    text = reported(latency=fine, rate=rates)
    assert "| p99 to the end | 40.00 | 42.00 | 2.00 (2.00 to 2.00) | 8 | yes |" in text
    assert "| 75 | 1.00 (1.00 to 1.00) | 2.00 (2.00 to 2.00) | yes |" in text
    assert "| 100 | 20.00 (20.00 to 20.00) | 40.00 (40.00 to 40.00) | no |" in text
    assert "| 150 |  |  | no: 500 calls ran at once |" in text
    assert "Highest rate held (at most 8 ms added at p99): 75 calls a second." in text
    assert "at p99): 50 calls a second." in reported(latency=fine, rate=rates[1:])
    assert "No rate was held" in reported(latency=slow, rate=rates[1:])


def test_memory_that_grows_is_told_from_memory_that_does_not():
    calls = list(range(2_200, 20_001, 200))
    level = {"calls": calls, "bytes": [10**8 + call % 1_400 for call in calls]}
    rising = {"calls": calls, "bytes": [10**8 + 3 * call for call in calls]}
    flat, grown = (line for line in reported(memory=[level, rising]).split("\n") if "Mem" in line)
    assert "(95 % interval): it does not grow." in flat
    assert "3.00 (3.00 to 3.00) kB more for 1,000 calls (95 % interval): it grows." in grown


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
            "rate": [{"rate": 40.0, "rounds": found, "overloaded": ""}],
            "memory": [{"calls": grown["calls"], "bytes": grown["bytes"]}],
        },
    }
    text = report.text(data)
    assert "p99 to the end" in text
    assert "Memory over 2,000 calls" in text
    assert "held" in text
