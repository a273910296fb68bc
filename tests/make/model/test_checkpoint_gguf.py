"""GGUF files give the model that the folder gives; hostile ones give an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files import metadata_of, tensors_of, write, write_model

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model, load_tensor
from kataribe.make.model.weights.saving import save_pretrained
from tests.parity.tiny import (
    TOLERANCE,
    build,
    our_logits,
    padding,
    random_ids,
    reference_logits,
    relative_error,
)

Q = gguf.GGMLQuantizationType
# What a GGUF file has no key for is left as llama.cpp has it: 6 layers for Gemma 3's pattern.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {}),
    "gpt2_untied": ("gpt2", {"tie_word_embeddings": False}),
    "llama": ("llama", {}),
    "llama_biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama_tied": ("llama", {"tie_word_embeddings": True}),
    "mistral": ("mistral", {}),
    "qwen2": ("qwen2", {"use_sliding_window": False}),
    "qwen3": ("qwen3", {}),
    "gemma2": ("gemma2", {"query_pre_attn_scalar": 10}),
    "mixtral": ("mixtral", {}),
    "qwen2moe": ("qwen2moe", {}),
    "qwen3moe": ("qwen3moe", {"norm_topk_prob": True}),
    "gemma3": (
        "gemma3",
        {"query_pre_attn_scalar": 10, "sliding_window_pattern": 6, "num_hidden_layers": 6},
    ),
}


def assert_same(path: Path, model: Any) -> None:
    ids = random_ids(41)
    mask, positions = padding("left", *ids.shape)
    reference = reference_logits(model, ids, mask, positions)
    assert relative_error(our_logits(path, ids, mask, positions), reference, mask) <= TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_a_gguf_file_is_the_model_that_it_was_made_from(tmp_path: Path, name: str) -> None:
    family, changes = CASES[name]
    model = build(family, 42, **changes)
    assert_same(write_model(tmp_path / "m.gguf", model, family), model)


ROPES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "linear": (
        {"rope_type": "linear", "factor": 3.0},
        {"rope.scaling.type": "linear", "rope.scaling.factor": 3.0},
    ),
    "linear_old_key": ({"rope_type": "linear", "factor": 3.0}, {"rope.scale_linear": 3.0}),
    "none": ({"rope_type": "default"}, {"rope.scaling.type": "none"}),
    "yarn": (
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 16,
        },
    ),
}


@pytest.mark.parametrize("name", ROPES)
def test_rope_scaling_keys(tmp_path: Path, name: str) -> None:
    settings, keys = ROPES[name]
    model = build("llama", 43, rope_scaling=settings)
    assert_same(write_model(tmp_path / "m.gguf", model, "llama", **keys), model)


def test_the_frequency_tensor_of_llama_3(tmp_path: Path) -> None:
    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }  # fmt: skip
    model = build("llama", 44, rope_scaling=scaling, rope_theta=100.0)
    plain = 100.0 ** -(torch.arange(0, 10, 2) / 10)
    tensors = tensors_of(model, "llama")
    tensors["rope_freqs.weight"] = (plain / model.model.rotary_emb.inv_freq).numpy()
    path = write(tmp_path / "m.gguf", "llama", metadata_of(model, "llama"), tensors)
    assert_same(path, model)
    tensors["rope_freqs.weight"] = tensors["rope_freqs.weight"][:-1]
    with pytest.raises(FormatError, match="4 values"):
        open_checkpoint(write(path, "llama", metadata_of(model, "llama"), tensors))


def test_packed_rows_move_whole(tmp_path: Path) -> None:
    model = build("llama", 45, hidden_size=64, head_dim=8, num_attention_heads=8)
    tensors = tensors_of(model, "llama")
    kinds = {"blk.0.attn_q.weight": Q.Q4_0, "blk.0.attn_k.weight": Q.Q8_0}
    metadata = metadata_of(model, "llama")
    path = write(tmp_path / "m.gguf", "llama", metadata, tensors, kinds)
    source = open_checkpoint(path).tensors["blocks.0.attention.project.q.weight"]
    straight = model.model.layers[0].self_attn.q_proj.weight.detach().numpy()
    assert (source.kind, source.raw().shape) == ("Q4_0", (64, 2 * 18))
    assert np.array_equal(source.raw(), gguf.quants.quantize(straight, Q.Q4_0))
    assert source.size_bytes == source.raw().nbytes
    values = gguf.quants.dequantize(source.raw(), Q.Q4_0)
    assert np.array_equal(source.values(), values)
    in_bfloat16 = torch.from_numpy(values).to(torch.bfloat16)
    assert torch.equal(load_tensor(source, torch.bfloat16), in_bfloat16)


@pytest.mark.parametrize("kind", [Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1])
def test_kinds_load_as_the_gguf_library_unpacks_them(tmp_path: Path, kind: Q) -> None:
    model = build("llama", 46, hidden_size=64, num_attention_heads=8)
    name = "blk.1.ffn_gate.weight"
    tensors = tensors_of(model, "llama")
    path = write(tmp_path / "m.gguf", "llama", metadata_of(model, "llama"), tensors, {name: kind})
    loaded = load_model(open_checkpoint(path)).get_parameter("blocks.1.mlp.gate_up.gate.weight")
    wanted = gguf.quants.dequantize(gguf.quants.quantize(tensors[name], kind), kind)
    assert np.array_equal(loaded.detach().numpy(), wanted)


def test_gemma3_keys_of_newer_converters(tmp_path: Path) -> None:
    model = build("gemma3", 47, query_pre_attn_scalar=10, rope_local_base_freq=50.0)
    pattern = [True, True, False, True]
    keys = {"attention.sliding_window_pattern": pattern, "rope.freq_base_swa": 50.0}
    assert_same(write_model(tmp_path / "a.gguf", model, "gemma3", **keys), model)
    keys["attention.sliding_window_pattern"] = 3
    assert_same(write_model(tmp_path / "b.gguf", model, "gemma3", **keys), model)
    keys["attention.sliding_window_pattern"] = pattern[:3]
    path = write_model(tmp_path / "c.gguf", model, "gemma3", **keys)
    with pytest.raises(FormatError, match="3 entries for 4 layers"):
        open_checkpoint(path)


def test_the_largest_gemma3_scales_its_queries_otherwise(tmp_path: Path) -> None:
    sizes = {"num_hidden_layers": 62, "hidden_size": 16, "num_attention_heads": 2}
    sizes |= {"head_dim": 4, "intermediate_size": 8, "query_pre_attn_scalar": 8}
    model = build("gemma3", 48, **sizes, sliding_window_pattern=6)
    config = open_checkpoint(write_model(tmp_path / "m.gguf", model, "gemma3")).config
    assert config.query_scalar == 8


@pytest.mark.parametrize(
    ("changes", "error", "word"),
    [
        ({"expert_count": 8}, FormatError, "expert_used_count"),
        ({"expert_count": 8, "expert_used_count": 2}, FormatError, "No layer has experts"),
        ({"expert_used_count": 2}, FormatError, "expert_used_count"),
        ({"logit_scale": 2.0}, FormatError, "logit_scale"),
        ({"rope.scaling.type": "ntk"}, FormatError, "ntk"),
        ({"rope.dimension_count": 4}, FormatError, "rope.dimension_count"),
        ({"attention.value_length": 4}, FormatError, "attention.value_length"),
        ({"attention.causal": False}, FormatError, "attention.causal"),
        ({"block_count": 4_000_000_000}, FormatError, "4000000000 layers"),
        ({"block_count": 3}, FormatError, "no place for"),
        ({"block_count": 5}, FormatError, "blk.4"),
        ({"block_count": None}, FormatError, "block_count"),
        ({"embedding_length": 47}, FormatError, "shape"),
        ({"attention.head_count": 0}, FormatError, "0 heads"),
        ({"attention.head_count": [6, 6, 6, 6]}, FormatError, "head_count"),
        ({"feed_forward_length": 81}, FormatError, "ffn_"),
        ({"attention.layer_norm_rms_epsilon": 0.0}, FormatError, "norm_eps"),
        ({"context_length": 0}, FormatError, "context_length"),
        ({"rope.freq_base_swa": 5.0}, FormatError, "rope.freq_base_swa"),
    ],
)
def test_what_a_file_claims_is_checked(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], word: str
) -> None:
    path = write_model(tmp_path / "m.gguf", build("llama", 49), "llama", **changes)
    with pytest.raises(error, match=word):
        open_checkpoint(path)


def test_unknown_architectures_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", "mamba", {"block_count": 1}, {"a": np.zeros(4, np.float32)})
    with pytest.raises(ArchitectureError, match=r"'mamba'.*gemma3"):
        open_checkpoint(path)


def test_missing_and_extra_tensors_are_named(tmp_path: Path) -> None:
    model = build("llama", 50)
    metadata, tensors = metadata_of(model, "llama"), tensors_of(model, "llama")
    for name in ("token_embd.weight", "blk.2.ffn_up.weight", "output_norm.weight"):
        fewer = {key: value for key, value in tensors.items() if key != name}
        with pytest.raises(FormatError, match=name):
            open_checkpoint(write(tmp_path / "m.gguf", "llama", metadata, fewer))
    more = {**tensors, "blk.0.attn_q_norm.weight": np.ones(10, np.float32)}
    with pytest.raises(FormatError, match="attn_q_norm"):
        open_checkpoint(write(tmp_path / "m.gguf", "llama", metadata, more))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\0" * 64)
    with pytest.raises(FormatError, match="GGUF"):
        open_checkpoint(path)


def test_experts_in_blocks_are_taken_out_of_their_stack(tmp_path: Path) -> None:
    model = build("mixtral", 48, hidden_size=64, intermediate_size=96)
    tensors = tensors_of(model, "mixtral")
    kinds = {name: Q.Q4_0 for name in tensors if "_exps" in name}
    path = write(tmp_path / "m.gguf", "llama", metadata_of(model, "mixtral"), tensors, kinds)
    checkpoint = open_checkpoint(path)
    for part, ours in (("gate", "gate_up.gate"), ("up", "gate_up.up"), ("down", "down")):
        stack = tensors[f"blk.2.ffn_{part}_exps.weight"]
        whole = gguf.quants.dequantize(gguf.quants.quantize(stack, Q.Q4_0), Q.Q4_0)
        for expert in range(5):
            source = checkpoint.tensors[f"blocks.2.mlp.experts.{expert}.{ours}.weight"]
            assert source.kind == "Q4_0"
            assert np.array_equal(source.values(), whole[expert])
    packed = sum(
        tensor.size_bytes for name, tensor in checkpoint.tensors.items() if "experts" in name
    )
    assert packed == 4 * 5 * 3 * 64 * 96 // 32 * 18
    save_pretrained(checkpoint, tmp_path / "ours")
    again = open_checkpoint(tmp_path / "ours")
    assert again.config == checkpoint.config
    ids = random_ids(49)
    mask, positions = padding("", *ids.shape)
    ours_logits = our_logits(path, ids, mask, positions)
    assert torch.equal(our_logits(tmp_path / "ours", ids, mask, positions), ours_logits)
