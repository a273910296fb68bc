"""The slow reference generates what `transformers` generates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from kataribe.base.errors import ContextLengthError, InputError
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.reference import generate_reference, greedy
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from tests.parity.tiny import CLASSES, build, random_ids


def pair(folder: Path, family: str, **changes: Any) -> tuple[Any, Decoder]:
    theirs = build(family, 81, **changes)
    theirs.save_pretrained(folder)
    return theirs, load_model(open_checkpoint(folder))


@pytest.mark.parametrize("family", CLASSES)
def test_greedy_tokens_equal_those_of_transformers(tmp_path: Path, family: str) -> None:
    # With a cache, transformers' Mamba-2 leaves the limits of its steps out.
    changes = {"time_step_limit": (0.0, float("inf"))} if family == "mamba2" else {}
    theirs, ours = pair(tmp_path, family, **changes)
    prompt = random_ids(82, 1, 9)
    wanted = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False,
        eos_token_id=None, pad_token_id=0,
    )[0, 9:].tolist()  # fmt: skip
    assert generate_reference(ours, prompt[0].tolist(), 20) == wanted


def test_an_end_token_ends_and_is_kept(tmp_path: Path) -> None:
    _, ours = pair(tmp_path, "llama")
    prompt = random_ids(83, 1, 5)[0].tolist()
    free = generate_reference(ours, prompt, 12)
    end = free[5]
    assert generate_reference(ours, prompt, 12, eos_ids={end}) == free[: free.index(end) + 1]
    assert generate_reference(ours, prompt, 0) == []


def test_a_sampler_sees_all_ids_and_chooses(tmp_path: Path) -> None:
    _, ours = pair(tmp_path, "gemma2")
    prompt = random_ids(84, 1, 5)[0].tolist()
    lengths = []

    def second(logits: torch.Tensor, ids: Sequence[int]) -> int:
        assert logits.shape == (ours.config.vocab_size,)
        assert list(ids[:5]) == prompt
        lengths.append(len(ids))
        return int(logits.topk(2).indices[1])

    reply = generate_reference(ours, prompt, 4, sampler=second)
    assert lengths == [5, 6, 7, 8]
    assert reply[0] != generate_reference(ours, prompt, 1, sampler=greedy)[0]


def test_what_does_not_fit_is_an_error_with_both_counts(tmp_path: Path) -> None:
    _, ours = pair(tmp_path, "llama")
    with pytest.raises(ContextLengthError, match=r"60 tokens .* 5 more .* 64 tokens"):
        generate_reference(ours, [1] * 60, 5)
    assert len(generate_reference(ours, [1] * 60, 4)) == 4
    for ids in ([], [-1], [96]):
        with pytest.raises(InputError, match="0 to 95"):
            generate_reference(ours, ids, 1)
