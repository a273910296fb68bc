"""Drives the engine's core step by step, without its thread, and says what should come out."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
from fake_runner import EOS, FakeRunner, FakeTokenizer, logits_of

from kataribe.base.lm import Sampling
from kataribe.make.tokens.stream import StreamDecoder
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.generation import Generation
from kataribe.run.inference.mailbox import Mailbox
from kataribe.run.inference.requests import Ended, EngineLimits, Generated, GenerationRequest
from kataribe.run.inference.sampler import TokenSampler


class ImmediateLoop:
    """Stands for an event loop: what is called soon is called now."""

    def call_soon_threadsafe(self, call, *arguments):
        call(*arguments)


class Harness:
    """An engine whose thread never starts."""

    def __init__(self, runner: FakeRunner, **limits) -> None:
        self.runner = runner
        self.engine = Engine(runner, FakeTokenizer(), EngineLimits(**limits))
        self.core = self.engine._core

    def submit(self, request: GenerationRequest) -> Generation:
        generation = self.engine._generation(request, Mailbox(ImmediateLoop()))
        self.engine._unstarted += 1
        self.core.accept(generation)
        return generation

    def run(self, most: int = 100_000) -> None:
        for _ in range(most):
            if not self.core.step() and self.core.is_idle:
                return
            check_pool(self.core)
        raise AssertionError("the engine does not come to an end")


def check_pool(core) -> None:
    """Every block is counted exactly as often as tables name it; nothing is lost or doubled."""
    pool, scheduler = core.pool, core.scheduler
    counts = Counter()
    for sequence in scheduler._running:
        assert len(set(sequence.table.blocks)) == len(sequence.table.blocks)
        counts.update(sequence.table.blocks)
        assert sequence.is_running
        assert len(sequence.table.blocks) * pool.block_size >= sequence.computed
    for sequence in scheduler._waiting:
        assert not sequence.table.blocks
        assert not sequence.is_running
    check_counts(pool, counts)


def check_counts(pool, counts: Counter) -> None:
    for block in range(pool.capacity):
        assert pool._references[block] == counts[block], f"block {block}"
    assert pool.free == pool.capacity - len(counts)
    for digest, block in pool._index.items():
        assert pool._contents[block] == digest
    kept = [block for block, digest in enumerate(pool._contents) if digest is not None]
    assert len(kept) == len(pool._index)
    assert not pool._holders[pool._references > 0].any(), "a used block is held for somebody"


def reference_reply(
    request: GenerationRequest, index: int, context: int
) -> tuple[list[int], str, str]:
    """Ids, text and finish reason: one sequence, no cache, whole history every time."""
    sampler = TokenSampler(
        request.sampling,
        np.array(request.ids),
        seed=request.seed or 0,
        index=index,
        end_ids=request.stop_ids | {EOS},
    )
    most = request.sampling.max_tokens or context
    end = min(context, len(request.ids) + most)
    history, ids = list(request.ids), []
    while True:
        token = sampler.draw(logits_of(np.array(history)))
        history.append(token)
        ids.append(token)
        if token in request.stop_ids or token == EOS:
            return ids, _text(ids[:-1], final=True), "stop"
        text = _text(ids, final=False)
        for place in range(1, len(text) + 1):  # the first stop string to be complete
            found = [stop for stop in request.stop if text[:place].endswith(stop)]
            if found:
                return ids, text[: place - max(map(len, found))], "stop"
        if len(history) >= end:
            return ids, _text(ids, final=False), "length"


def _text(ids: list[int], *, final: bool) -> str:
    decoder = StreamDecoder(FakeTokenizer(), skip_special=True)
    text = "".join(decoder.push(token) for token in ids)
    return text + decoder.finish() if final else text


def random_request(rng: random.Random, longest: int) -> GenerationRequest:
    """Prompts that share beginnings, of every length, with every kind of sampling."""
    family = random.Random(rng.randrange(3))
    shared = [family.randrange(EOS) for _ in range(longest)]
    keep = rng.randrange(0, longest)
    own = [rng.randrange(EOS) for _ in range(rng.randrange(1, 6))]
    ids = tuple((shared[:keep] + own)[:longest])
    kind = rng.randrange(4)
    sampling = Sampling(
        temperature=0.0 if kind == 0 else rng.choice([0.7, 1.0, 1.5]),
        top_k=rng.choice([0, 5]) if kind == 2 else 0,
        top_p=rng.choice([0.5, 0.9, 1.0]),
        repetition_penalty=1.3 if kind == 3 else 1.0,
        frequency_penalty=0.5 if kind == 3 else 0.0,
        max_tokens=rng.randrange(1, 20),
        min_tokens=rng.choice([0, 0, 5]),
    )
    return GenerationRequest(
        ids,
        sampling,
        stop=rng.choice([(), ("A", "BC"), ("ab", "b", "\N{GRINNING FACE}")]),
        stop_ids=frozenset(rng.choice([(), (3, 17)])),
        seed=rng.randrange(2**40),
        n=rng.choice([1, 1, 1, 2, 4]),
    )


def check_reply(generation: Generation, context: int, *, whole: bool = True) -> None:
    """What the mailbox holds is what the reference says; a beginning of it if not `whole`."""
    request, events = generation.request, generation.mailbox.events
    for index in range(request.n):
        ids, text, reason = reference_reply(request, index, context)
        mine = [e for e in events if isinstance(e, Generated) and e.index == index]
        got = [token for event in mine for token in event.ids]
        got_text = "".join(event.text for event in mine)
        if not whole:
            assert got == ids[: len(got)]
            assert text.startswith(got_text)
            continue
        assert got == ids
        assert got_text == text
        (end,) = [e for e in events if isinstance(e, Ended) and e.index == index]
        assert (list(end.ids), end.text, end.reason) == (ids, text, reason)
        assert events.index(end) > max(events.index(event) for event in mine)
