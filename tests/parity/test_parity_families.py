"""The decoder against `transformers`, family by family and setting by setting."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.parity.tiny import (
    LENGTH,
    TOLERANCE,
    build,
    our_logits,
    padding,
    random_ids,
    reference_logits,
    relative_error,
)

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.5, 2.0],
    "long_factor": [1.0, 1.5, 2.5, 4.0, 6.0],
    "original_max_position_embeddings": 16,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
ROPES: dict[str, dict[str, Any]] = {
    "theta": {"rope_theta": 500.0},
    "linear": {"rope_scaling": {"rope_type": "linear", "factor": 3.0}},
    "linear_old_name": {"rope_scaling": {"type": "linear", "factor": 3.0}},
    "dynamic": {
        "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 16
    },
    "dynamic_within": {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
    "yarn": {"rope_scaling": YARN},
    "yarn_attention": {"rope_scaling": {**YARN, "attention_factor": 0.8}},
    "yarn_betas": {"rope_scaling": {**YARN, "beta_fast": 4.0, "beta_slow": 0.5}},
    "yarn_mscale": {"rope_scaling": {**YARN, "mscale": 1.0, "mscale_all_dim": 0.3}},
    "yarn_not_truncated": {"rope_scaling": {**YARN, "truncate": False}, "rope_theta": 100.0},
    "yarn_original_left_out": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
    "longrope": {"rope_scaling": LONG},
    "longrope_factor": {"rope_scaling": {**LONG, "factor": 8.0}},
    "longrope_within": {"rope_scaling": {**LONG, "original_max_position_embeddings": 50}},
    "llama3": {"rope_scaling": LLAMA3, "rope_theta": 100.0},
}  # fmt: skip
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama_tied": ("llama", {"tie_word_embeddings": True}),
    "llama_biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama_one_kv_head": ("llama", {"num_key_value_heads": 1}),
    "llama_all_kv_heads": ("llama", {"num_key_value_heads": 6}),
    "llama_usual_head_dim": ("llama", {"head_dim": None}),
    "llama_gelu": ("llama", {"hidden_act": "gelu"}),
    "llama_relu": ("llama", {"hidden_act": "relu"}),
    "mistral_no_window": ("mistral", {"sliding_window": None}),
    "qwen2_no_window": ("qwen2", {"use_sliding_window": False}),
    "qwen2_layer_types": (
        "qwen2",
        {"layer_types": ["sliding_attention", "full_attention"] * 2},
    ),
    "qwen2_tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2_yarn": ("qwen2", {"rope_scaling": YARN}),
    "qwen3_biases": ("qwen3", {"attention_bias": True}),
    "qwen3_window": (
        "qwen3",
        {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    ),
    "qwen3_tied": ("qwen3", {"tie_word_embeddings": True}),
    "gemma2_no_softcap": (
        "gemma2",
        {"attn_logit_softcapping": None, "final_logit_softcapping": None},
    ),
    "gemma2_biases": ("gemma2", {"attention_bias": True}),
    "gemma3_untied": ("gemma3", {"tie_word_embeddings": False}),
    "gemma3_biases": ("gemma3", {"attention_bias": True}),
    "gemma3_softcap": ("gemma3", {"final_logit_softcapping": 2.0}),
    "gemma3_linear": ("gemma3", {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    "gemma3_thetas": ("gemma3", {"rope_theta": 300.0, "rope_local_base_freq": 50.0}),
    "gemma3_local_scaled": (
        "gemma3",
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 900.0},
                "sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 50.0},
            }
        },
    ),
    "gemma3_layer_types": (
        "gemma3",
        {"layer_types": ["full_attention", "sliding_attention"] * 2},
    ),
    "mixtral_window": ("mixtral", {"sliding_window": 7}),
    "mixtral_one_expert": ("mixtral", {"num_experts_per_tok": 1}),
    "mixtral_all_experts": ("mixtral", {"num_experts_per_tok": 5}),
    "qwen2moe_normalized": ("qwen2moe", {"norm_topk_prob": True}),
    "qwen2moe_steps": ("qwen2moe", {"decoder_sparse_step": 2, "mlp_only_layers": []}),
    "qwen2moe_no_bias": ("qwen2moe", {"qkv_bias": False}),
    "qwen2moe_window": (
        "qwen2moe",
        {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 3},
    ),
    "qwen2moe_layer_types": (
        "qwen2moe",
        {
            "use_sliding_window": True,
            "sliding_window": 5,
            "layer_types": ["full_attention", "sliding_attention"] * 2,
        },
    ),
    "qwen3moe_normalized": ("qwen3moe", {"norm_topk_prob": True}),
    "qwen3moe_window": ("qwen3moe", {"use_sliding_window": True, "sliding_window": 5}),
    "qwen3moe_biases": ("qwen3moe", {"attention_bias": True, "tie_word_embeddings": True}),
    "qwen3moe_dense": ("qwen3moe", {"mlp_only_layers": [0, 1, 2, 3]}),
    "bitnet_biases": ("bitnet", {"attention_bias": True, "tie_word_embeddings": True}),
    "bitnet_silu": ("bitnet", {"hidden_act": "silu"}),
    "gpt2_untied": ("gpt2", {"tie_word_embeddings": False}),
    "gpt2_inner_left_out": ("gpt2", {"n_inner": None}),
    "gpt2_gelu": ("gpt2", {"activation_function": "gelu"}),
    "gpt2_not_scaled": ("gpt2", {"scale_attn_weights": False}),
    "gpt2_scaled_by_layer": ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
}
FAMILIES = (
    "gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "mixtral", "qwen2moe",
    "qwen3moe", "bitnet",
)  # fmt: skip


def check(
    folder: Path, family: str, changes: dict[str, Any], *, seed: int, side: str = "", shift: int = 0
) -> None:
    print(f"family {family} seed {seed} side {side!r} shift {shift} {changes}")
    model = build(family, seed, **changes)
    model.save_pretrained(folder)
    ids = random_ids(seed + 1)
    mask, positions = padding(side, *ids.shape)
    positions = positions + shift
    reference = reference_logits(model, ids, mask, positions)
    error = relative_error(our_logits(folder, ids, mask, positions), reference, mask)
    assert error <= TOLERANCE, f"{family} {changes}: {error:.2e}"


@pytest.mark.parametrize("side", ["", "left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_family(tmp_path: Path, family: str, side: str) -> None:
    check(tmp_path, family, {}, seed=11, side=side)


@pytest.mark.parametrize("name", ROPES)
def test_rope_scaling(tmp_path: Path, name: str) -> None:
    check(tmp_path, "llama", ROPES[name], seed=12)


@pytest.mark.parametrize("name", [name for name in ROPES if not name.startswith("dynamic")])
def test_rope_scaling_at_long_positions(tmp_path: Path, name: str) -> None:
    check(tmp_path, "llama", ROPES[name], seed=13, shift=3000)


@pytest.mark.parametrize("name", VARIANTS)
def test_variant(tmp_path: Path, name: str) -> None:
    family, changes = VARIANTS[name]
    check(tmp_path, family, changes, seed=14)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_sizes(tmp_path: Path, family: str) -> None:
    for seed in range(3):
        draw = random.Random(f"{family} {seed}")
        kv_heads = draw.choice([1, 2, 3])
        changes: dict[str, Any] = {"vocab_size": draw.randint(96, 140)}
        if family == "gpt2":
            changes |= {"n_layer": draw.randint(1, 3), "n_head": draw.choice([2, 4, 8])}
        else:
            heads = kv_heads * draw.choice([1, 2, 4])
            changes |= {
                "num_hidden_layers": draw.randint(1, 3),
                "num_key_value_heads": kv_heads,
                "num_attention_heads": heads,
                "hidden_size": heads * draw.choice([5, 8]),
                "intermediate_size": draw.randint(20, 90),
                "tie_word_embeddings": draw.random() < 0.5,
            }
            changes["head_dim"] = draw.choice([4, 6, 16])
        if family == "bitnet":  # its inner norm is as wide as the model
            changes["hidden_size"] = changes["num_attention_heads"] * changes["head_dim"]
        side = draw.choice(["", "left", "right"])
        check(tmp_path / str(seed), family, changes, seed=seed, side=side)


def test_window_of_one_sees_itself_only(tmp_path: Path) -> None:
    check(tmp_path, "mistral", {"sliding_window": 1}, seed=15)


def test_gradients_equal_those_of_transformers(tmp_path: Path) -> None:
    from kataribe.make.model.layers.attention import CausalAttend
    from kataribe.make.model.weights.checkpoint import open_checkpoint
    from kataribe.make.model.weights.loading import load_model

    for family, name in (("llama", "model.embed_tokens"), ("gemma3", "model.embed_tokens")):
        model = build(family, 16)
        model.save_pretrained(tmp_path / family)
        ids = random_ids(17)
        positions = torch.arange(LENGTH).expand(ids.shape)
        loss = torch.nn.functional.cross_entropy(
            model(input_ids=ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        )
        loss.backward()
        checkpoint = open_checkpoint(tmp_path / family)
        ours = load_model(checkpoint)
        logits = ours.logits(ours(ids, positions, CausalAttend(checkpoint.config)))
        our_loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        )
        our_loss.backward()
        assert torch.isclose(our_loss, loss, rtol=1e-5)
        wanted = model.get_parameter(f"{name}.weight").grad
        got = ours.embed.weight.grad
        assert wanted is not None
        assert got is not None
        assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()
