"""Mixtures of experts and ternary models in the engine: each token is the slow reference's."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_harness import Harness
from fake_runner import EOS

from kataribe.base.lm import Sampling
from kataribe.make.model.reference import generate_reference
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.run.inference.native.runner import obstacle
from kataribe.run.inference.requests import Generated, GenerationRequest
from kataribe.run.inference.runner import TorchRunner
from tests.parity.tiny import build

VOCAB = 61  # of the harness's tokenizer


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("family", ["mixtral", "qwen2moe", "qwen3moe", "bitnet", "ternary"])
def test_replies_are_those_of_the_slow_reference(tmp_path: Path, family: str) -> None:
    build("bitnet" if family == "ternary" else family, 51, vocab_size=VOCAB).save_pretrained(
        tmp_path
    )
    checkpoint = open_checkpoint(tmp_path)
    if family == "ternary":
        config = dataclasses.replace(checkpoint.config, ternary="rounded")
        checkpoint = dataclasses.replace(checkpoint, config=config)
    assert obstacle(checkpoint.config) is not None  # so that PyTorch computes it
    model = load_model(checkpoint)
    machine = Harness(
        TorchRunner(model, blocks=40, block_size=4), context=60, running=5, chunk=9,
        smallest_chunk=3,
    )  # fmt: skip
    draw = random.Random(family)
    asked = []
    for _ in range(9):
        prompt = tuple(draw.randrange(1, VOCAB) for _ in range(draw.randrange(1, 25)))
        sampling = Sampling(temperature=0.0, max_tokens=draw.randrange(1, 14))
        asked.append((prompt, sampling, machine.submit(GenerationRequest(prompt, sampling))))
    machine.run()
    for prompt, sampling, generation in asked:
        reply = [
            token
            for event in generation.mailbox.events
            if isinstance(event, Generated)
            for token in event.ids
        ]
        assert sampling.max_tokens is not None
        slow = generate_reference(model, prompt, sampling.max_tokens, eos_ids={EOS})
        assert reply == slow
