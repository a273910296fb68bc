"""Real models: what the native runner makes of their next tokens."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from native_small import blocks_for, one

from kataribe.make.adapt.compare import compare_logits
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.model.weights.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.tokens.load import load_tokenizer
from kataribe.run.inference.native.library import Library
from kataribe.run.inference.native.runner import NativeRunner
from kataribe.run.inference.native.weights import NativePrecision

PROSE = """\
The teller of tales recites what was heard, and what was heard is told again. When winter came the
village gathered around the fire, and the oldest of them began with the words that everyone knew by
heart: once, when the river still ran the other way, a fisherman found a bell in his net.
"""
CODE = """\
def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
"""


# Mean divergence in nats from float32: twice and more what was measured.
BOUNDS: dict[str, dict[NativePrecision, float]] = {
    "smollm2": {"auto": 0.0006, "bfloat16": 0.0006, "int8": 0.0006, "int4": 0.0006},
    "gemma": {"auto": 0.0004, "bfloat16": 0.0004, "int8": 0.0004, "int4": 0.25},
    "qwen": {"auto": 0.0009, "bfloat16": 0.0007, "int8": 0.0009, "int4": 0.01},
}
AGREEMENT = 0.95
"""Least share of equal next tokens, but for what 4 bits make of Gemma's small layers."""


def float32_logits(checkpoint: Checkpoint, ids: list[np.ndarray]) -> torch.Tensor:
    model = load_model(checkpoint)
    found = []
    with torch.inference_mode():
        for sequence in ids:
            positions = torch.arange(len(sequence))[None]
            attend = CausalAttend(checkpoint.config)
            hidden = model(torch.from_numpy(sequence)[None], positions, attend)
            found.append(model.logits(hidden)[0])
    return torch.cat(found)


def native_logits(
    library: Library, checkpoint: Checkpoint, ids: list[np.ndarray], precision: NativePrecision
) -> torch.Tensor:
    runner = NativeRunner(
        library, checkpoint, blocks=32, context=512, precision=precision, threads=2
    )
    with closing(runner):
        each = [runner.run(one(part, 0, range(blocks_for(len(part)))))[0] for part in ids]
    return torch.from_numpy(np.concatenate(each))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("model", BOUNDS)
def test_next_tokens_are_those_of_float32(
    library: Library, request: pytest.FixtureRequest, model: str
) -> None:
    path: Path = request.getfixturevalue(f"{model}_path")
    checkpoint, tokenizer = open_checkpoint(path), load_tokenizer(path)
    ids = [np.array(tokenizer.encode(text), dtype=np.int64) for text in (PROSE, CODE)]
    expected = float32_logits(checkpoint, ids)
    for precision, bound in BOUNDS[model].items():
        found = compare_logits(expected, native_logits(library, checkpoint, ids, precision))
        print(f"{model} {precision}: {found}")
        assert found.divergence <= bound
        assert found.agreement >= AGREEMENT or bound > 0.1
