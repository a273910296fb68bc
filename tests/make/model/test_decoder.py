"""What the decoder promises beside its logits: free shapes, caches, types, padding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kataribe.base.errors import ContextLengthError
from kataribe.make.model.configs.config import AttentionSpec
from kataribe.make.model.decoder import QKV, Decoder, GateUp
from kataribe.make.model.layers.attention import (
    CachedAttend,
    CausalAttend,
    attend_dense,
    causal_mask,
)
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model, load_tensor
from tests.parity.tiny import CLASSES, LENGTH, build, padding, random_ids

LONG = {
    "rope_type": "longrope", "original_max_position_embeddings": 16, "factor": 4.0,
    "short_factor": [1.0, 1.1, 1.2, 1.5, 2.0], "long_factor": [1.0, 1.5, 2.5, 4.0, 6.0],
}  # fmt: skip


def tiny(folder: Path, family: str, dtype: torch.dtype = torch.float32, **changes: Any) -> Decoder:
    build(family, 61, **changes).save_pretrained(folder)
    return load_model(open_checkpoint(folder), dtype=dtype)


def full(model: Decoder, ids: Tensor) -> Tensor:
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    with torch.inference_mode():
        return model.logits(model(ids, positions, CausalAttend(model.config)))


@pytest.mark.parametrize("family", CLASSES)
def test_a_cache_filled_in_pieces_gives_the_same_logits(tmp_path: Path, family: str) -> None:
    model = tiny(tmp_path, family)
    ids = random_ids(62)
    attend = CachedAttend(model.config, LENGTH, batch=2)
    parts = []
    with torch.inference_mode():
        for start, end in ((0, 1), (1, 14), (14, 15), (15, LENGTH)):
            positions = torch.arange(start, end).expand(2, -1)
            parts.append(model.logits(model(ids[:, start:end], positions, attend)))
    assert attend.length == LENGTH
    torch.testing.assert_close(torch.cat(parts, 1), full(model, ids), rtol=1e-4, atol=1e-4)


def test_a_full_cache_says_so(tmp_path: Path) -> None:
    model = tiny(tmp_path, "llama")
    ids = random_ids(63)
    positions = torch.arange(LENGTH).expand(2, -1)
    with pytest.raises(ContextLengthError, match=r"40 tokens.*39"):
        model(ids, positions, CachedAttend(model.config, LENGTH - 1, batch=2))


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_sequences_packed_into_one_row_of_tokens(tmp_path: Path, family: str) -> None:
    model = tiny(tmp_path, family)
    one, other = random_ids(64, 1, 11)[0], random_ids(65, 1, 7)[0]

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        assert q.shape == (18, model.config.heads, model.config.head_dim)
        assert k.shape == v.shape == (18, model.config.kv_heads, model.config.head_dim)
        whole = CausalAttend(model.config)
        parts = [
            whole(layer, q[part][None], k[part][None], v[part][None])[0]
            for part in (slice(0, 11), slice(11, 18))
        ]
        return torch.cat(parts)

    positions = torch.cat((torch.arange(11), torch.arange(7)))
    with torch.inference_mode():
        hidden = model(torch.cat((one, other)), positions, attend)
        logits = model.logits(hidden)
    assert hidden.shape == (18, model.config.hidden_size)
    torch.testing.assert_close(logits[:11], full(model, one[None])[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits[11:], full(model, other[None])[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", CLASSES)
def test_padding_is_finite_and_touches_nobody(tmp_path: Path, family: str) -> None:
    model = tiny(tmp_path, family)
    ids = random_ids(66)
    for side in ("left", "right"):
        mask, positions = padding(side, *ids.shape)
        with torch.inference_mode():
            hidden = model(ids, positions, CausalAttend(model.config, mask))
            other = torch.where(mask, ids, 5)
            again = model(other, positions, CausalAttend(model.config, mask))
        assert hidden.isfinite().all()
        if family == "mamba2":  # decays are summed over a chunk, padding too, and then subtracted
            torch.testing.assert_close(hidden[mask], again[mask], rtol=1e-3, atol=3e-4)
        elif model.config.experts is None:
            assert torch.equal(hidden[mask], again[mask])
        else:  # padding is routed, too, and a product of other rows is rounded otherwise
            torch.testing.assert_close(hidden[mask], again[mask], rtol=1e-5, atol=1e-5)
        alone = ids[:1][mask[:1]][None]
        wanted = full(model, alone)[0]
        got = model.logits(hidden[:1][mask[:1]])
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", CLASSES)
def test_bfloat16_stays_near_and_logits_are_float32(tmp_path: Path, family: str) -> None:
    model = tiny(tmp_path, family, torch.bfloat16)
    exact = tiny(tmp_path, family)
    ids = random_ids(67)
    logits = full(model, ids)
    assert logits.dtype == torch.float32
    assert model.embed.weight.dtype == torch.bfloat16
    assert model.norm.weight.dtype == torch.float32
    reference = full(exact, ids)
    assert (logits - reference).std() < 0.15 * reference.std()


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_a_fixed_length_makes_positions_independent_of_neighbours(
    tmp_path: Path, kind: str
) -> None:
    scaling = LONG if kind == "longrope" else {"rope_type": "dynamic", "factor": 2.0}
    model = tiny(tmp_path, "llama", rope_scaling=scaling, max_position_embeddings=16)
    ids = random_ids(68)
    short = ids[:, :10]
    whole, free = full(model, ids), full(model, short)
    assert not torch.allclose(whole[:, :10], free, atol=1e-2)  # as transformers has it
    model.fixed_length = LENGTH
    torch.testing.assert_close(full(model, short), whole[:, :10], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(full(model, ids), whole)


def test_parts_that_others_swap_are_where_they_expect_them(tmp_path: Path) -> None:
    model = tiny(tmp_path, "llama")
    block = model.blocks[0]
    assert type(block.attention.project) is QKV
    assert type(block.mlp.gate_up) is GateUp
    x = torch.randn(3, model.config.hidden_size)
    q, k, v = block.attention.project(x)
    assert q.shape == (3, 6, 10)
    assert k.shape == v.shape == (3, 2, 10)
    gate, up = block.mlp.gate_up(x)
    assert gate.shape == up.shape == (3, 80)


def test_factories_may_replace_matrices(tmp_path: Path) -> None:
    build("gemma3", 69).save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    seen: dict[str, tuple[int, ...]] = {}

    def linear(name: str, source: Any, bias: Tensor | None) -> torch.nn.Module | None:
        seen[name] = source.shape
        if name != "head":
            return None
        module = torch.nn.Linear(*source.shape[::-1], bias=False)
        module.weight = torch.nn.Parameter(2 * load_tensor(source, torch.float32))
        return module

    model = load_model(checkpoint, linear=linear)
    assert seen["head"] == checkpoint.tensors["embed.weight"].shape
    assert len(seen) == 1 + 7 * checkpoint.config.layers
    assert torch.equal(model.head.weight, 2 * model.embed.weight)
    bare = load_model(checkpoint)
    assert bare.head.weight is bare.embed.weight

    def embedding(name: str, source: Any) -> torch.nn.Module | None:
        return torch.nn.Embedding(*source.shape)

    other = load_model(checkpoint, embedding=embedding)
    assert torch.equal(other.head.weight, bare.head.weight)
    assert not torch.equal(other.embed.weight, bare.embed.weight)


def test_softcapped_attention_equals_the_plain_one_where_the_cap_is_far() -> None:
    generator = torch.Generator().manual_seed(70)
    q = torch.randn(2, 9, 4, 8, generator=generator)
    k, v = torch.randn(2, 2, 9, 2, 8, generator=generator)
    mask = causal_mask(9, 9, 3, torch.device("cpu"))
    for visible in (None, mask):
        plain = attend_dense(AttentionSpec(None, 0.3, None), q, k, v, visible)
        capped = attend_dense(AttentionSpec(None, 0.3, 1e5), q, k, v, visible)
        torch.testing.assert_close(capped, plain, rtol=1e-4, atol=1e-5)


def test_a_window_counts_the_token_itself() -> None:
    mask = causal_mask(2, 5, 3, torch.device("cpu"))
    assert mask.int().tolist() == [[0, 1, 1, 1, 0], [0, 0, 1, 1, 1]]
