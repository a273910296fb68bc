"""Encoder-decoders in the engine: what is paged, batched and chunked changes no reply."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from engine_harness import Harness, check_pool
from fake_runner import EOS

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.lm import Sampling
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig, StackConfig
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.model.layers.source_attention import TargetAttend
from kataribe.make.model.source_reference import generate_from_source
from kataribe.run.inference import source_attention
from kataribe.run.inference.requests import (
    Ended,
    Generated,
    GenerationRequest,
    PromptScored,
)
from kataribe.run.inference.sampler import TokenSampler, log_normalizer
from kataribe.run.inference.source_runner import EncoderDecoderRunner
from kataribe.run.inference.step import Slice, StepBatch

VOCAB = 61
STACK = StackConfig(2, 4, 8, 48, 8.0)
T5 = EncoderDecoderConfig(
    "t5", VOCAB, 32, STACK, StackConfig(3, 4, 8, 48, 8.0), 512, 512, "relative",
    relative_buckets=8, relative_distance=20, norm="rms", norm_first=True, final_norm=True,
    bias=False, gated=True, start_id=3,
)  # fmt: skip
BART = EncoderDecoderConfig(
    "bart", VOCAB, 32, STACK, StackConfig(2, 2, 16, 40, 16.0), 60, 50, "learned",
    position_offset=2, embedding_norm=True, start_id=2,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(config: EncoderDecoderConfig = T5) -> EncoderDecoder:
    torch.manual_seed(5)
    model = EncoderDecoder(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("relative.weight"):
                parameter.normal_()
            elif parameter.ndim == 2:
                parameter.normal_(std=1.5 / parameter.shape[1] ** 0.5)
    return model


def harness(model: EncoderDecoder, blocks: int = 64, block_size: int = 4, **limits) -> Harness:
    return Harness(EncoderDecoderRunner(model, blocks=blocks, block_size=block_size), **limits)


def request(source, sampling: Sampling, start=(3,), **given) -> GenerationRequest:
    return GenerationRequest((*source, *start), sampling, source=len(source), **given)


def slow(model: EncoderDecoder, asked: GenerationRequest, index: int) -> list[int]:
    """The slow reference's reply to a request, drawn as the engine draws."""
    start = asked.ids[asked.source :]
    sampler = TokenSampler(
        asked.sampling,
        np.array(start),
        seed=asked.seed or 0,
        index=index,
        end_ids=asked.stop_ids | {EOS},
    )
    return generate_from_source(
        model,
        asked.ids[: asked.source],
        asked.sampling.max_tokens or 10,
        start=start,
        eos_ids=asked.stop_ids | {EOS},
        sampler=lambda logits, ids: sampler.draw(logits.numpy()),
    )


def drawn(generation, index: int) -> list[int]:
    return [
        token
        for event in generation.mailbox.events
        if isinstance(event, Generated) and event.index == index
        for token in event.ids
    ]


def random_asked(rng: random.Random) -> GenerationRequest:
    source = [rng.randrange(VOCAB) for _ in range(rng.randrange(1, 30))]
    start = (3,) if rng.random() < 0.7 else (3, rng.randrange(VOCAB))
    kind = rng.randrange(3)
    sampling = Sampling(
        temperature=0.0 if kind == 0 else rng.choice([0.7, 1.3]),
        top_k=rng.choice([0, 5]),
        repetition_penalty=1.3 if kind == 2 else 1.0,
        max_tokens=rng.randrange(1, 16),
    )
    return request(
        source, sampling, start, seed=rng.randrange(2**40), n=rng.choice([1, 1, 1, 2, 4]),
        stop_ids=frozenset(rng.choice([(), (7, 17)])),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("config", "seed", "blocks", "block_size"),
    [(T5, 1, 24, 4), (BART, 2, 24, 4), (T5, 3, 100, 4), (BART, 4, 100, 7)],
    ids=["t5 tiny", "bart tiny", "t5 roomy", "bart roomy"],
)
def test_random_arrivals_get_the_replies_of_the_slow_reference(config, seed, blocks, block_size):
    print(f"seed {seed}")
    rng = random.Random(seed)
    model = build(config)
    machine = harness(model, blocks, block_size, context=80, running=8, chunk=11, smallest_chunk=3)
    core = machine.core
    waiting = [random_asked(rng) for _ in range(40)]
    live, done, cut = [], [], []
    while waiting or not core.is_idle:
        for _ in range(rng.choice([0, 0, 1, 3])):
            live += [machine.submit(waiting.pop())] if waiting else []
        core.step()
        check_pool(core)
        if live and rng.random() < 0.04:
            gone = live.pop(rng.randrange(len(live)))
            core.give_up(gone)
            cut.append(gone)
        done += [each for each in live if not each.is_open]
        live = [each for each in live if each.is_open]
    assert len(done) + len(cut) == 40
    for generation in done:
        for index in range(generation.request.n):
            assert drawn(generation, index) == slow(model, generation.request, index)
    for generation in cut:
        for index in range(generation.request.n):
            got = drawn(generation, index)
            assert got == slow(model, generation.request, index)[: len(got)]
    metrics = core.metrics()
    assert core.pool.used == 0
    assert metrics.failed == 0
    assert metrics.cached_tokens == 0, "no block of one source is another's"
    if blocks == 24:
        assert metrics.preempted > 0, "the scenario was meant to run out of blocks"


def test_the_encoder_runs_once_for_each_source():
    model = build()
    calls = []
    encode = model.encode
    model.encode = lambda ids, mask=None: calls.append(ids.shape[1]) or encode(ids, mask)
    machine = harness(model, chunk=5, smallest_chunk=5)
    greedy = Sampling(temperature=0.0, max_tokens=8)
    for length in (23, 4):
        machine.submit(request(range(length), greedy, n=3))
    machine.run()
    assert sorted(calls) == [4, 23]


@pytest.mark.parametrize("config", [T5, BART], ids=["t5", "bart"])
def test_steps_in_any_pieces_give_the_logits_of_whole_targets(config, monkeypatch):
    monkeypatch.setattr(source_attention, "GROUP_TOKENS", 40)
    monkeypatch.setattr(source_attention, "ALONE", 12)
    model = build(config)
    runner = EncoderDecoderRunner(model, blocks=200, block_size=4)
    generator = np.random.default_rng(8)
    free = generator.permutation(runner.blocks)
    sequences = []
    for number in range(6):
        source = generator.integers(0, VOCAB, generator.integers(1, 40))
        target = generator.integers(0, VOCAB, 25)
        need = -(-(len(source) + len(target)) // 4)
        blocks = tuple(int(block) for block in free[:need])
        free = free[need:]
        if number % 2:
            blocks = tuple(sorted(blocks))
        with torch.inference_mode():
            looked_at = model.look_at(model.encode(torch.from_numpy(source)[None]))
            attend = TargetAttend(config, looked_at)
            hidden = model.decode(torch.from_numpy(target)[None], None, attend)
            wanted = model.logits(hidden)[0].numpy()
        sequences.append((np.concatenate([source, target]), len(source), blocks, wanted))
    done = [0] * 6
    while any(at < len(ids) for at, (ids, *_) in zip(done, sequences, strict=True)):
        parts, checks = [], []
        for number in generator.permutation(6):
            ids, source, blocks, wanted = sequences[number]
            start = done[number]
            if start == len(ids) or generator.random() < 0.3:
                continue
            count = 1 if start > source and generator.random() < 0.7 else generator.integers(1, 20)
            end = done[number] = min(start + int(count), len(ids))
            kind = "none" if end <= source else ["none", "last"][generator.integers(2)]
            if start >= source and generator.random() < 0.3:
                kind = "all"
            parts.append(Slice(ids[start:end], start, blocks, kind, source))
            low = {"none": end, "last": end - 1, "all": start}[kind] - source
            checks.append(wanted[max(low, 0) : end - source] if kind != "none" else wanted[:0])
        if not parts:
            continue
        for _ in range(1 + int(generator.integers(2))):  # a step may be repeated
            found = runner.run(StepBatch(tuple(parts)))
        for logits, expected in zip(found, checks, strict=True):
            assert logits.dtype == np.float32
            np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=2e-4)


def test_what_lies_in_other_places_does_not_leak():
    model = build()
    runner = EncoderDecoderRunner(model, blocks=16, block_size=4)
    with torch.inference_mode():
        for keys, values in runner._cache.layers:
            keys.fill_(1e4)
            values.fill_(1e4)
    ids = [5, 6, 7, 8, 9, 3]
    batch = StepBatch((Slice((4, 3), 0, (3,), "last", 1), Slice(ids, 0, (9, 2), "last", 5)))
    alone, longer = runner.run(batch)
    for logits, source in ((alone, [4]), (longer, ids[:5])):
        with torch.inference_mode():
            wanted = model(torch.tensor([source]), torch.tensor([[0]]))[0].numpy()
        np.testing.assert_allclose(logits, wanted, rtol=1e-3, atol=2e-4)


def test_a_given_reply_is_scored():
    model = build()
    machine = harness(model, logits_bytes=3 * 4 * VOCAB)
    source, target = list(range(10, 19)), [3, 20, 21, 22, 23, 24]
    asked = GenerationRequest(
        (*source, *target), logprobs=2, echo=True, score_only=True, source=9, score_from=10
    )
    generation = machine.submit(asked)
    machine.run()
    (scored,) = [e for e in generation.mailbox.events if isinstance(e, PromptScored)]
    with torch.inference_mode():
        rows = model(torch.tensor([source]), torch.tensor([target[1:]]))[0].numpy()
    for token, row, wanted in zip(scored.logprobs, rows, target[1:], strict=True):
        assert token.token_id == wanted
        assert token.logprob == pytest.approx(row[wanted] - log_normalizer(row), abs=1e-3)
    ends = [event for event in generation.mailbox.events if isinstance(event, Ended)]
    assert [end.reason for end in ends] == ["stop"]


def test_limits_of_source_and_target_are_their_own():
    machine = harness(build(BART), blocks=64, context=111, source=60, target=50)
    with pytest.raises(InputError, match=r"source has 61 tokens.*at most 60"):
        machine.submit(request([4] * 61, Sampling()))
    with pytest.raises(InputError, match=r"would have 51 tokens \(1 at its beginning.*most 50"):
        machine.submit(request([4] * 5, Sampling(max_tokens=51)))
    endless = Sampling(temperature=0.0, ignore_eos=True)
    generation = machine.submit(request([4] * 5, endless))
    fitting = machine.submit(request([4] * 60, Sampling(max_tokens=50, ignore_eos=True)))
    machine.run()
    assert len(drawn(generation, 0)) == 50, "as many as the model has positions, and no error"
    assert len(drawn(fitting, 0)) == 50


def test_tokens_of_a_source_have_no_scores():
    with pytest.raises(UnsupportedError, match="predicts none of its tokens"):
        request([4, 5], Sampling(), logprobs=1, echo=True)
    with pytest.raises(InputError, match="at least the last one begins the reply"):
        GenerationRequest((4, 5), source=2)


def test_a_sequence_without_a_source_fails_alone():
    model = build()
    machine = harness(model)
    sick = machine.submit(GenerationRequest((4, 5, 3), Sampling(max_tokens=3)))
    well = machine.submit(request([4, 5], Sampling(temperature=0.0, max_tokens=3)))
    machine.run()
    assert "how much of it is the source" in sick.mailbox.error.message
    assert drawn(well, 0) == slow(model, well.request, 0)
