"""A folder of a recurrent model, loaded as the server loads it: it answers, several at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from recurrent_models import build

from kataribe.base.errors import InputError
from kataribe.base.events import Finished
from kataribe.base.lm import Request, Sampling
from kataribe.base.messages import text_of
from kataribe.make.model.reference import generate_reference
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.model.weights.saving import save_pretrained
from kataribe.run.inference.attention_view import AttentionView, view_bytes
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.run.inference.requests import MOST_WITH_STATES
from tests import pico_model

PROMPTS = ["The teller of tales", "語り部は聞いたこと", "def recite", "0 1 2", "was heard is told"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pico = pico_model.build(tmp_path_factory.mktemp("pico"))
    vocabulary = open_checkpoint(pico).config.vocab_size
    folder = tmp_path_factory.mktemp("hybrid")
    save_pretrained(build("all kinds", vocab_size=vocabulary), folder, tokenizer_source=pico)
    return folder


def test_a_hybrid_answers_as_the_reference_does(folder: Path) -> None:
    options = LoadOptions(context=128, cache_tokens=256, precision="float32", threads=1)
    model = load_local("hybrid", folder, options)
    reference = load_model(open_checkpoint(folder))
    sampling = Sampling(temperature=0.0, max_tokens=12, ignore_eos=True)

    async def answer(prompt: str) -> str:
        request = Request(prompt, sampling=sampling)
        async for event in model.lm.stream(request):
            if isinstance(event, Finished):
                return text_of(event.message)
        raise AssertionError("no end")

    async def all_of_them() -> list[str]:
        return list(await asyncio.gather(*(answer(each) for each in PROMPTS * 3)))

    try:
        found = asyncio.run(all_of_them())
        assert model.engine.limits.running == MOST_WITH_STATES
    finally:
        model.close(0)
    for prompt, text in zip(PROMPTS * 3, found, strict=True):
        ids = model.tokenizer.encode(prompt)
        reply = generate_reference(reference, ids, 12)
        assert text == model.tokenizer.decode(reply)


@pytest.mark.parametrize("precision", ["auto", "int8", "int4", "bfloat16"])
def test_a_hybrid_loads_in_every_precision(folder: Path, precision: str) -> None:
    options = LoadOptions(context=64, cache_tokens=64, precision=precision, threads=1)  # type: ignore[arg-type]
    model = load_local("hybrid", folder, options)
    request = Request("The teller", sampling=Sampling(max_tokens=4, ignore_eos=True))

    async def ends() -> list[Finished]:
        return [e async for e in model.lm.stream(request) if isinstance(e, Finished)]

    try:
        (end,) = asyncio.run(ends())
    finally:
        model.close(0)
    assert end.usage.completion_tokens == 4
    assert end.usage.cached_tokens == 0


def test_only_layers_of_attention_can_be_looked_at(folder: Path) -> None:
    view = AttentionView(folder, 64)
    ids = (5, 6, 7, 8)
    weights = view.weights(ids, 2, 0, 3)
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    with pytest.raises(InputError, match="Layer 1 is one of mamba: it keeps a state"):
        view.weights(ids, 1, 0, 3)
    assert view_bytes(view.config, 0, 10) == 4 * 10 * 2 * 6 * 8
