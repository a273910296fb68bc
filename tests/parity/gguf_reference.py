"""A `transformers` model from a GGUF file, by a road of its own.

Nothing of Kataribe is used: the `gguf` library reads and unpacks, the configuration is what the
model's publisher wrote, and names are mapped here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers

PUBLISHED: dict[str, Any] = {
    "smollm2": transformers.LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
        num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
        rms_norm_eps=1e-5, rope_theta=100_000.0, tie_word_embeddings=True,
    ),
    "qwen": transformers.Qwen2Config(
        vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28,
        num_attention_heads=12, num_key_value_heads=2, max_position_embeddings=32768,
        rms_norm_eps=1e-6, rope_theta=1_000_000.0, use_sliding_window=False,
        tie_word_embeddings=False,
    ),
    "gemma": transformers.Gemma3TextConfig(
        vocab_size=262144, hidden_size=640, intermediate_size=2048, num_hidden_layers=18,
        num_attention_heads=4, num_key_value_heads=1, head_dim=256, query_pre_attn_scalar=256,
        max_position_embeddings=32768, sliding_window=512, rms_norm_eps=1e-6,
        rope_theta=1_000_000.0, rope_local_base_freq=10_000.0, tie_word_embeddings=True,
    ),
}  # fmt: skip
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}  # fmt: skip
TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def reference_model(name: str, path: Path) -> Any:
    """One of the three published models, in float32."""
    config = PUBLISHED[name]
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            config, attn_implementation="eager", dtype=torch.float32
        )
    for tensor in gguf.GGUFReader(path).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        target, leaf = _target(tensor.name, gemma=name == "gemma")
        if name == "smollm2" and target.endswith(("q_proj", "k_proj")):
            values = values.reshape(-1, 32, 2, values.shape[-1]).swapaxes(1, 2)
            values = values.reshape(-1, values.shape[-1])
        if name == "gemma" and target.endswith("norm"):
            values = values - 1
        setattr(model.get_submodule(target), leaf, torch.nn.Parameter(torch.tensor(values)))
    model.tie_weights()
    rotary = type(model.model.rotary_emb)(config)
    model.model.rotary_emb = rotary
    if name == "gemma":
        model.model.embed_tokens.embed_scale = torch.tensor(640**0.5)
    assert not any(value.is_meta for value in (*model.parameters(), *model.buffers()))
    return model.eval()


def _target(name: str, *, gemma: bool) -> tuple[str, str]:
    module, leaf = name.rsplit(".", 1)
    if module in TOP:
        return TOP[module], leaf
    _, layer, part = module.split(".")
    if part == "ffn_norm":
        rest = "pre_feedforward_layernorm" if gemma else "post_attention_layernorm"
    else:
        rest = NAMES[part]
    return f"model.layers.{layer}.{rest}", leaf
