"""The engine with its thread, asked from event loops."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from contextlib import aclosing

import pytest
from engine_harness import reference_reply
from fake_runner import EOS, FakeRunner, FakeTokenizer

from kataribe.base.errors import BusyError, KataribeError, UnavailableError
from kataribe.base.lm import JsonFormat, RegexFormat, Sampling
from kataribe.run.inference.constraint import Vocabulary, compile_constraint
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.requests import Ended, EngineLimits, Generated, GenerationRequest

ENDLESS = Sampling(temperature=0.0, max_tokens=150, ignore_eos=True)
SHORT = Sampling(temperature=0.0, max_tokens=5, ignore_eos=True)


@pytest.fixture
def runner():
    return FakeRunner(blocks=256, block_size=4)


@pytest.fixture
def engine(runner):
    engine = Engine(runner, FakeTokenizer(), EngineLimits(context=200, queue=3, running=4))
    yield engine
    engine.shutdown()
    assert runner.is_closed
    assert engine.metrics.blocks_used == 0


async def ends(engine, request):
    async with aclosing(engine.submit(request)) as events:
        return [event async for event in events if isinstance(event, Ended)]


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


async def test_replies_are_those_of_the_reference(engine):
    requests = [
        GenerationRequest((i, 2, 3), Sampling(max_tokens=20), seed=i, stop=("AB", "q"))
        for i in range(4)
    ]
    results = await asyncio.gather(*(ends(engine, request) for request in requests))
    for request, (end,) in zip(requests, results, strict=True):
        ids, text, reason = reference_reply(request, 0, 200)
        assert (list(end.ids), end.text, end.reason) == (ids, text, reason)


def test_several_loops_in_several_threads(engine):
    results = {}

    def ask(first):
        request = GenerationRequest((first, 1), SHORT)
        results[first] = asyncio.run(ends(engine, request))[0].ids

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for first, ids in results.items():
        assert list(ids) == reference_reply(GenerationRequest((first, 1), SHORT), 0, 200)[0]
    assert len(results) == 4


async def test_closing_the_stream_frees_its_blocks(engine, runner):
    runner.seconds = lambda batch: 0.002
    stream = engine.submit(GenerationRequest((1, 2), ENDLESS, n=3))
    async for event in stream:
        if isinstance(event, Generated):
            break
    await stream.aclose()
    await stream.aclose()
    await until(lambda: engine.metrics.cancelled == 1)
    assert engine.metrics.blocks_used == 0
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_cancelling_the_task_that_waits_gives_up(engine, runner):
    runner.seconds = lambda batch: 0.01
    task = asyncio.create_task(ends(engine, GenerationRequest((1, 2), ENDLESS)))
    await until(lambda: engine.metrics.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: engine.metrics.running == 0)
    assert engine.metrics.cancelled == 1


async def test_dropping_the_stream_gives_up(engine, runner):
    runner.seconds = lambda batch: 0.002
    stream = engine.submit(GenerationRequest((1, 2), ENDLESS))
    await anext(stream)
    del stream
    gc.collect()
    await until(lambda: engine.metrics.cancelled == 1)


def test_a_loop_that_is_gone_does_not_keep_the_engine_busy(engine, runner):
    runner.seconds = lambda batch: 0.002
    kept = []

    async def ask():
        stream = engine.submit(GenerationRequest((1, 2), ENDLESS))
        await anext(stream)
        kept.append(stream)

    asyncio.run(ask())
    asyncio.run(until(lambda: engine.metrics.cancelled == 1))
    assert asyncio.run(ends(engine, GenerationRequest((1,), SHORT)))


async def test_a_full_queue_refuses_and_says_when_to_retry(engine, runner):
    runner.seconds = lambda batch: 0.005
    # Four places, and three that wait.
    streams = [engine.submit(GenerationRequest((first,), ENDLESS)) for first in range(7)]
    with pytest.raises(BusyError, match="queue holds 3") as caught:
        engine.submit(GenerationRequest((1,), ENDLESS))
    assert 1.0 <= caught.value.retry_after <= 300
    metrics = engine.metrics
    assert metrics.refused == 1
    await until(lambda: engine.metrics.running == 4)
    assert engine.metrics.waiting == 3
    with pytest.raises(BusyError):
        engine.submit(GenerationRequest((1,), ENDLESS))
    for stream in streams:
        await stream.aclose()
    await until(lambda: engine.metrics.waiting == 0)
    assert await ends(engine, GenerationRequest((1,), SHORT))


async def test_one_wake_up_for_each_step_and_loop(engine, runner, monkeypatch):
    loop = asyncio.get_running_loop()
    calls = []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(
        loop, "call_soon_threadsafe", lambda *args, **kw: (calls.append(args), wake(*args, **kw))[1]
    )
    await asyncio.gather(*(ends(engine, GenerationRequest((i, 1), SHORT)) for i in range(4)))
    assert len(calls) <= len(runner.batches)


async def test_a_dead_runner_fails_everybody_clearly(engine, runner):
    runner.fails = lambda batch: UnavailableError("The device has gone away.")
    with pytest.raises(UnavailableError, match="gone away"):
        await ends(engine, GenerationRequest((1,), SHORT))
    with pytest.raises(UnavailableError, match="gone away"):
        engine.submit(GenerationRequest((1,), SHORT))


async def test_a_request_that_fails_leaves_the_engine_well(engine, runner):
    runner.fails = lambda batch: RuntimeError("once") if len(runner.batches) == 1 else None
    with pytest.raises(KataribeError, match="once"):
        await ends(engine, GenerationRequest((1,), SHORT))
    assert await ends(engine, GenerationRequest((1,), SHORT))


async def test_shutdown_lets_replies_finish_within_the_grace(engine, runner):
    runner.seconds = lambda batch: 0.01
    task = asyncio.create_task(ends(engine, GenerationRequest((1,), SHORT)))
    await until(lambda: engine.metrics.running == 1)
    stopping = asyncio.create_task(asyncio.to_thread(engine.shutdown, 10))
    await asyncio.sleep(0.01)
    with pytest.raises(UnavailableError):
        engine.submit(GenerationRequest((1,), SHORT))
    (end,) = await task
    assert end.reason == "length"
    await stopping


async def test_shutdown_ends_what_is_left_with_a_reason(engine, runner):
    runner.seconds = lambda batch: 0.01
    task = asyncio.create_task(ends(engine, GenerationRequest((1,), ENDLESS, n=2)))
    await until(lambda: engine.metrics.running == 2)
    await asyncio.to_thread(engine.shutdown, 0.05)
    results = await task
    assert [end.reason for end in results] == ["cancelled", "cancelled"]
    assert all("stopping" in end.detail for end in results)
    assert all(0 < len(end.ids) < 150 for end in results)


def test_shutdown_without_a_request_closes_the_runner():
    runner = FakeRunner()
    Engine(runner, FakeTokenizer()).shutdown()
    assert runner.is_closed


async def test_a_constraint_holds_and_the_reply_ends_with_it(engine):
    vocabulary = Vocabulary(FakeTokenizer())
    digits = compile_constraint(RegexFormat("AB[C-F]{4}G"), vocabulary)
    (end,) = await ends(
        engine, GenerationRequest((1, 2), Sampling(temperature=1.5), constraint=digits, seed=1)
    )
    assert end.reason == "stop"
    assert end.text[:2] + end.text[-1] == "ABG"
    assert len(end.text) == 7


async def test_a_form_that_max_tokens_cuts_says_length(engine):
    vocabulary = Vocabulary(FakeTokenizer())
    form = compile_constraint(RegexFormat("A{10}"), vocabulary)
    (end,) = await ends(engine, GenerationRequest((1, 2), Sampling(max_tokens=6), constraint=form))
    assert (end.reason, end.text) == ("length", "AAAAAA")


async def test_an_open_form_ends_with_the_end_token(engine):
    vocabulary = Vocabulary(FakeTokenizer())
    form = compile_constraint(RegexFormat("[A-Z]*"), vocabulary)
    (end,) = await ends(
        engine,
        GenerationRequest(
            (1, 2),
            Sampling(temperature=0.0, logit_bias={EOS: 5.0}, ignore_eos=True),
            constraint=form,
        ),
    )
    assert (end.reason, end.stop) == ("stop", EOS)
    assert end.text.isupper()


async def test_form_and_min_tokens_that_exclude_each_other_are_an_error(engine):
    vocabulary = Vocabulary(FakeTokenizer())
    form = compile_constraint(RegexFormat("A?"), vocabulary)
    (end,) = await ends(
        engine,
        GenerationRequest((1, 2), Sampling(min_tokens=5, logit_bias={EOS: 50.0}), constraint=form),
    )
    assert (end.text, end.reason) == ("A", "stop")  # it came as far as the form lets it
    assert compile_constraint(JsonFormat(), Vocabulary(FakeTokenizer())) is not None


async def test_a_deadline_is_kept(engine, runner):
    runner.seconds = lambda batch: 0.005
    soon = time.monotonic() + 0.1
    (end,) = await ends(engine, GenerationRequest((1,), ENDLESS, deadline=soon))
    assert end.reason == "deadline"
    assert 0 < len(end.ids) < 150


def test_none_of_it_imports_torch():
    text = (
        "step blocks scheduler sequence sampler sampler_reference constraint stopping engine core "
        "generation mailbox pace reply requests expressions"
    )
    code = "; ".join(f"import kataribe.run.inference.{name}" for name in text.split())
    code += "; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class OddTokenizer(FakeTokenizer):
    """Names an end token that no logit stands for."""

    eos_ids = frozenset({EOS, 99_999})


async def test_an_end_token_beyond_the_vocabulary_harms_nobody():
    tokenizer = OddTokenizer()
    engine = Engine(FakeRunner(), tokenizer, EngineLimits(context=200))
    try:
        sampling = Sampling(temperature=0.0, max_tokens=5, min_tokens=3)
        (end,) = await ends(engine, GenerationRequest((1, 2), sampling))
        assert len(end.ids) >= 3
        constraint = compile_constraint(RegexFormat("[A-C]{3}"), Vocabulary(tokenizer))
        (end,) = await ends(engine, GenerationRequest((1, 2), SHORT, constraint=constraint))
        assert end.reason == "stop"
    finally:
        engine.shutdown()


class BrokenState:
    """A constraint that fails as only a mistake in the program can."""

    def start(self):
        return self

    def homeward(self, state):
        return None

    def mask(self):
        raise IndexError("list index out of range")


async def test_whatever_goes_wrong_while_drawing_fails_one_request_only(engine):
    other = asyncio.create_task(ends(engine, GenerationRequest((4, 5), ENDLESS)))
    with pytest.raises(KataribeError, match="IndexError: list index") as caught:
        await ends(engine, GenerationRequest((1, 2), SHORT, n=2, constraint=BrokenState()))
    assert not isinstance(caught.value, UnavailableError)
    (end,) = await other
    assert len(end.ids) == 150
    assert engine.is_open
    await ends(engine, GenerationRequest((1, 2), SHORT))
    assert engine.metrics.failed == 1


async def test_an_engine_whose_runner_is_gone_is_not_open(engine, runner):
    assert engine.is_open
    runner.fails = lambda batch: UnavailableError("The device has gone away.")
    with pytest.raises(UnavailableError):
        await ends(engine, GenerationRequest((1, 2), SHORT))
    await until(lambda: not engine.is_open)
