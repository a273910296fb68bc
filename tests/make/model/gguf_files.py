"""Writes tiny GGUF files as llama.cpp's converter does, with the `gguf` library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

BLOCK = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "ln_1": "attn_norm", "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp", "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp", "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
}  # fmt: skip
TOP = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
}  # fmt: skip


def tensors_of(model: Any, family: str) -> dict[str, np.ndarray]:
    """The model's tensors under llama.cpp's names, changed as its converter changes them."""
    config = model.config
    gemma = family.startswith("gemma")
    found: dict[str, np.ndarray] = {}
    for name, value in model.named_parameters():
        module, leaf = name.rsplit(".", 1)
        array = value.detach().float().numpy()
        if module.endswith("mlp.experts"):
            found |= experts_of(module.split(".")[2], leaf, array)
            continue
        if module in TOP:
            target = TOP[module]
        else:
            _, _, layer, rest = module.split(".", 3)
            if gemma and rest == "post_attention_layernorm":
                part = "post_attention_norm"
            elif rest in ("post_attention_layernorm", "pre_feedforward_layernorm"):
                part = "ffn_norm"
            else:
                part = "post_ffw_norm" if rest.startswith("post_feedforward") else BLOCK[rest]
            target = f"blk.{layer}.{part}"
        if family == "gpt2" and ".c_" in f".{module}" and array.ndim == 2:
            array = array.T
        if gemma and module.endswith("norm"):
            array = array + 1
        if target.endswith("ffn_gate_inp_shexp"):
            array = array[0]
        if family in ("llama", "mistral", "mixtral") and target.endswith(("attn_q", "attn_k")):
            heads = config.num_attention_heads
            heads = heads if target.endswith("q") else config.num_key_value_heads
            array = interleave(array, heads)
        found[f"{target}.{leaf}"] = np.ascontiguousarray(array)
    return found


def experts_of(layer: str, leaf: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """(experts, rows, columns) for each of gate, up and down."""
    if leaf == "down_proj":
        return {f"blk.{layer}.ffn_down_exps.weight": array}
    gate, up = np.split(array, 2, axis=1)
    return {
        f"blk.{layer}.ffn_{name}_exps.weight": np.ascontiguousarray(half)
        for name, half in (("gate", gate), ("up", up))
    }


def interleave(array: np.ndarray, heads: int) -> np.ndarray:
    """The converter's `permute`: rows i and i + half of a head come to stand side by side."""
    split = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
    return split.swapaxes(1, 2).reshape(array.shape)


def metadata_of(model: Any, family: str) -> dict[str, Any]:
    """The keys that the converter writes for the family, without the architecture's name."""
    config = model.config
    keys: dict[str, Any] = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "attention.head_count": config.num_attention_heads,
    }
    if family == "gpt2":
        inner = {"feed_forward_length": config.n_inner}
        return keys | inner | {"attention.layer_norm_epsilon": config.layer_norm_epsilon}
    keys |= {
        "feed_forward_length": config.intermediate_size,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "rope.dimension_count": config.head_dim,
    }
    ropes = config.rope_parameters
    keys["rope.freq_base"] = ropes.get("full_attention", ropes)["rope_theta"]
    if family in ("gemma2", "gemma3", "mistral"):
        keys["attention.sliding_window"] = config.sliding_window
    if family in ("mixtral", "qwen2moe", "qwen3moe"):
        keys["expert_used_count"] = config.num_experts_per_tok
        keys["expert_count"] = getattr(config, "num_local_experts", None) or config.num_experts
    if family in ("qwen2moe", "qwen3moe"):
        keys["expert_feed_forward_length"] = config.moe_intermediate_size
    if family == "qwen2moe":
        keys["expert_shared_feed_forward_length"] = config.shared_expert_intermediate_size
    if family == "gemma2":
        keys["attn_logit_softcapping"] = config.attn_logit_softcapping
        keys["final_logit_softcapping"] = config.final_logit_softcapping
    return keys


def write(
    path: Path,
    architecture: str,
    metadata: dict[str, Any],
    tensors: dict[str, np.ndarray],
    kinds: dict[str, gguf.GGMLQuantizationType] | None = None,
) -> Path:
    """A GGUF file; `kinds` packs some of the tensors."""
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in metadata.items():
        key = f"{architecture}.{name}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    for name, array in tensors.items():
        kind = (kinds or {}).get(name)
        if kind is None:
            writer.add_tensor(name, array)
        else:
            writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_model(path: Path, model: Any, family: str, **changes: Any) -> Path:
    """The model as a GGUF file in float32."""
    architecture = "llama" if family in ("mistral", "mixtral") else family
    metadata = {**metadata_of(model, family), **changes}
    metadata = {name: value for name, value in metadata.items() if value is not None}
    return write(path, architecture, metadata, tensors_of(model, family))
