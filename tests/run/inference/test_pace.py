"""The pace on machines of every speed, simulated: no clock is read."""

from __future__ import annotations

import random

import pytest

from kataribe.run.inference.pace import Pace
from kataribe.run.inference.requests import EngineLimits

LIMITS = EngineLimits()


def read_beside(streams, seconds_for, prompt, rng):
    """Gaps of running replies while a prompt is read, and the steps that it takes."""
    pace = Pace(LIMITS)
    for _ in range(3):
        pace.observe(0, 512, seconds_for(0, 512))
    for _ in range(20):
        pace.observe(streams, 0, seconds_for(streams, 0) * rng.uniform(0.9, 1.1))
    gaps = []
    while prompt > 0:
        chunk = min(prompt, pace.budget(streams))
        assert LIMITS.smallest_chunk <= chunk <= LIMITS.chunk or chunk == prompt
        seconds = seconds_for(streams, chunk) * rng.uniform(0.9, 1.2)
        pace.observe(streams, chunk, seconds)
        gaps.append(seconds)
        prompt -= chunk
    return gaps


@pytest.mark.parametrize("reading", [400, 1500, 20_000], ids=lambda rate: f"{rate}tok/s")
@pytest.mark.parametrize("reply", [0.0002, 0.0006, 0.0012], ids=lambda s: f"{s * 1000}ms")
@pytest.mark.parametrize("growing", [0.0, 2.0], ids=["even", "slower with length"])
def test_gaps_stay_small_while_4000_tokens_are_read(reading, reply, growing):
    read = 0

    def seconds_for(streams, chunk):
        nonlocal read
        if streams:
            read += chunk
        return 0.002 + reply * streams + chunk / reading * (1 + growing * read / 4000)

    gaps = read_beside(64, seconds_for, 4000, random.Random(1))
    assert sorted(gaps)[int(0.99 * len(gaps))] <= 0.25, max(gaps)
    # Nor does the prompt wait for longer than it must: most of the time that is left is used.
    assert sum(gaps) / len(gaps) > 0.6 * LIMITS.step_seconds or len(gaps) < 20


def test_the_first_prompt_beside_replies_is_read_with_care():
    assert Pace(LIMITS).budget(64) <= LIMITS.chunk // 8


def test_alone_a_prompt_is_read_in_whole_chunks():
    assert Pace(LIMITS).budget(0) == LIMITS.chunk


def test_a_machine_that_is_too_slow_still_reads():
    pace = Pace(LIMITS)
    pace.observe(0, 16, 10.0)
    for _ in range(50):
        pace.observe(64, pace.budget(64), 30.0)
    assert pace.budget(64) == LIMITS.smallest_chunk
    for _ in range(50):  # and gets over it
        pace.observe(64, pace.budget(64), 0.01)
    assert pace.budget(64) > 4 * LIMITS.smallest_chunk


def test_reading_goes_on_where_replies_alone_take_longer_than_a_step_should():
    rng = random.Random(2)
    gaps = read_beside(64, lambda streams, chunk: streams * 0.01 + chunk / 1000, 4000, rng)
    assert len(gaps) < 40  # of 160 ms for 160 tokens each, beside 640 ms for the replies
    assert sorted(gaps)[len(gaps) // 2] < 0.64 * 1.5


def test_retry_is_later_the_longer_the_queue_and_the_slower_the_machine():
    fast, slow = Pace(LIMITS), Pace(LIMITS)
    for place in range(50):
        fast.finished(place * 0.5)
        slow.finished(place * 20.0)
    assert fast.retry_after(4) == 1.0
    assert fast.retry_after(40) == pytest.approx(5.0, rel=0.1)
    assert slow.retry_after(40) == pytest.approx(200.0, rel=0.1)
    assert slow.retry_after(10_000) == 300.0
    assert Pace(LIMITS).retry_after(256) == 64.0
