"""The whole engine against the slow reference: one sequence at a time, nothing shared, float32."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from kataribe.base.lm import Sampling
from kataribe.make.model.reference import generate_reference
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.run.inference.requests import Ended, GenerationRequest

PROMPTS = 200


def make_prompts(vocab: int, longest: int, seed: int) -> list[list[int]]:
    """Random prompts of many lengths; every third shares a beginning with an earlier one."""
    draw = random.Random(seed)
    prompts: list[list[int]] = []
    for at in range(PROMPTS):
        length = draw.randint(1, longest)
        prompt = [draw.randrange(vocab) for _ in range(length)]
        if at % 3 == 2:
            earlier = draw.choice(prompts)
            prompt = earlier[: draw.randint(1, len(earlier))] + prompt[: draw.randint(1, length)]
        prompts.append(prompt[:longest])
    return prompts


async def run_all(
    engine, prompts, tokens: int, seed: int, within: float = 0.3
) -> list[tuple[int, ...]]:
    """Every prompt at a random moment; beside them strangers that go away in the middle.

    All come `within` seconds, which is long only for engines that take longer than that.
    """
    draw = random.Random(seed)
    sampling = Sampling(temperature=0.0, max_tokens=tokens, ignore_eos=True)

    async def one(prompt, delay):
        await asyncio.sleep(delay)
        async with aclosing(engine.submit(GenerationRequest(tuple(prompt), sampling))) as events:
            async for event in events:
                if isinstance(event, Ended):
                    assert event.reason == "length"
                    return event.ids
        raise AssertionError("no end")

    async def stranger(prompt, delay, patience):
        with suppress(TimeoutError):
            await asyncio.wait_for(one([*prompt, 5], delay), delay + patience)

    strangers = [
        asyncio.create_task(
            stranger(draw.choice(prompts), draw.random() * within, draw.random() * 0.2)
        )
        for _ in range(30)
    ]
    found = await asyncio.gather(*(one(prompt, draw.random() * within) for prompt in prompts))
    await asyncio.gather(*strangers)
    return list(found)


def compare(path: Path, *, tokens: int, longest: int, cache_tokens: int, seed: int) -> None:
    print("seed", seed)
    checkpoint = open_checkpoint(path)
    reference = load_model(checkpoint)
    prompts = make_prompts(checkpoint.config.vocab_size, longest, seed)
    options = LoadOptions(
        context=longest + tokens + 1, cache_tokens=cache_tokens, precision="float32", device="cpu"
    )
    local = load_local("under-test", path, options)
    try:
        found = asyncio.run(run_all(local.engine, prompts, tokens, seed))
        metrics = local.engine.metrics
    finally:
        local.close(0.0)
    wrong = [
        at
        for at, prompt in enumerate(prompts)
        if list(found[at]) != generate_reference(reference, prompt, tokens)
    ]
    assert not wrong, f"{len(wrong)} of {len(prompts)} replies differ: {wrong[:10]}"
    assert metrics.cached_tokens > 0, "prefixes were reused"
    assert metrics.steps < PROMPTS * tokens, "replies were computed together"


def test_a_tiny_model_answers_the_same_whatever_runs_beside_it(pico_path):
    compare(pico_path, tokens=8, longest=40, cache_tokens=512, seed=512)


@pytest.mark.slow
def test_so_it_does_with_room_to_spare(pico_path):
    compare(pico_path, tokens=12, longest=60, cache_tokens=4096, seed=4096)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # 288 s alone on two quiet cores: 3,200 tokens one after the other
def test_the_default_model_answers_the_same_whatever_runs_beside_it(smollm2_path):
    compare(smollm2_path, tokens=16, longest=96, cache_tokens=8192, seed=7)
