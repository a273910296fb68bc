"""Through the engine, in the precision that people use: company changes no token."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from pico_model import NATIVE, build

from kataribe.base.lm import Sampling
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.load import LoadOptions, LocalModel, load_local
from kataribe.run.inference.native.library import Library
from kataribe.run.inference.native.runner import NativeRunner
from kataribe.run.inference.requests import Ended, GenerationRequest
from tests.e2e.test_engine_parity import make_prompts, run_all

PROMPTS, TOKENS, LONGEST = 60, 10, 60


def open_model(path: Path, *, longest: int, tokens: int, cache_tokens: int) -> LocalModel:
    options = LoadOptions(context=longest + tokens + 1, cache_tokens=cache_tokens, device="cpu")
    model = load_local("under-test", path, options)
    assert isinstance(model.engine._runner, NativeRunner)
    return model


async def one_after_the_other(
    engine: Engine, prompts: list[list[int]], tokens: int
) -> list[tuple[int, ...]]:
    sampling = Sampling(temperature=0.0, max_tokens=tokens, ignore_eos=True)
    found = []
    for prompt in prompts:
        async with aclosing(engine.submit(GenerationRequest(tuple(prompt), sampling))) as events:
            found += [event.ids async for event in events if isinstance(event, Ended)]
    return found


def compare(path: Path, *, prompts: int, longest: int, tokens: int, cache_tokens: int) -> None:
    asked = make_prompts(open_checkpoint(path).config.vocab_size, longest, seed=9)[:prompts]
    alone = open_model(path, longest=longest, tokens=tokens, cache_tokens=cache_tokens)
    try:
        expected = asyncio.run(one_after_the_other(alone.engine, asked, tokens))
    finally:
        alone.close(0.0)
    together = open_model(path, longest=longest, tokens=tokens, cache_tokens=cache_tokens)
    try:
        found = asyncio.run(run_all(together.engine, asked, tokens, seed=9, within=0.1))
        metrics = together.engine.metrics
    finally:
        together.close(0.0)
    assert len(expected) == len(found) == prompts
    wrong = [at for at in range(prompts) if found[at] != expected[at]]
    assert not wrong, f"{len(wrong)} of {prompts} replies differ: {wrong[:10]}"
    assert len(set(expected)) > prompts // 2, "the same answer to everything proves nothing"
    assert metrics.steps < prompts * tokens, "replies were computed together"
    assert metrics.cached_tokens > 0, "prefixes were reused"


def test_replies_in_company_are_those_alone(library: Library, tmp_path: Path) -> None:
    path = build(tmp_path / "wide", changes=NATIVE)
    compare(path, prompts=PROMPTS, longest=LONGEST, tokens=TOKENS, cache_tokens=512)


@pytest.mark.slow
def test_so_are_those_of_the_default_model(library: Library, smollm2_path: Path) -> None:
    compare(smollm2_path, prompts=40, longest=96, tokens=24, cache_tokens=4096)
