"""Tiny random models of `transformers` that a wrong decoder cannot imitate by luck.

Weights have fan-in scale with gain 1.5, norms stand away from 1 and biases away from 0, so that
every matrix, norm, bias and setting moves the logits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model

TOLERANCE = 1e-4
GAIN = 1.5
VOCAB = 96
LENGTH = 40

BASE: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "head_dim": 10,
    "rms_norm_eps": 1e-3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT2: dict[str, Any] = {
    "vocab_size": VOCAB,
    "n_embd": 48,
    "n_inner": 80,
    "n_layer": 4,
    "n_head": 6,
    "n_positions": 64,
    "layer_norm_epsilon": 1e-3,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILY_SETTINGS: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 7},
    "qwen2": {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 2},
    "qwen3": {},
    "gemma2": {"sliding_window": 5, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 3.0},
    "gemma3": {"sliding_window": 6, "query_pre_attn_scalar": 17, "sliding_window_pattern": 3},
    "mixtral": {"num_local_experts": 5, "num_experts_per_tok": 2, "intermediate_size": 40},
    "qwen2moe": {
        "num_experts": 6,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 52,
        "mlp_only_layers": [1],
    },
    "qwen3moe": {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 32},
    "bitnet": {"head_dim": 8},
}
RECURRENT: dict[str, dict[str, Any]] = {
    "mamba": {
        "vocab_size": VOCAB,
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "state_size": 5,
        "conv_kernel": 4,
        "time_step_rank": 7,
        "layer_norm_epsilon": 1e-3,
        "pad_token_id": 0,
    },
    "mamba2": {
        "vocab_size": VOCAB,
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "state_size": 5,
        "num_heads": 12,
        "head_dim": 8,
        "n_groups": 3,
        "chunk_size": 16,
        "time_step_limit": (0.3, 1.5),
        "layer_norm_epsilon": 1e-3,
        "pad_token_id": 0,
    },
    "jamba": {
        "vocab_size": VOCAB,
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-3,
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "num_experts": 5,
        "num_experts_per_tok": 2,
        "mamba_d_state": 5,
        "mamba_dt_rank": 7,
        "pad_token_id": 0,
    },
}
"""Recurrent models, which have settings of their own."""
CLASSES = {
    "mamba": (transformers.MambaConfig, transformers.MambaForCausalLM),
    "mamba2": (transformers.Mamba2Config, transformers.Mamba2ForCausalLM),
    "jamba": (transformers.JambaConfig, transformers.JambaForCausalLM),
    "gpt2": (transformers.GPT2Config, transformers.GPT2LMHeadModel),
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    "gemma2": (transformers.Gemma2Config, transformers.Gemma2ForCausalLM),
    "gemma3": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM),
    "mixtral": (transformers.MixtralConfig, transformers.MixtralForCausalLM),
    "qwen2moe": (transformers.Qwen2MoeConfig, transformers.Qwen2MoeForCausalLM),
    "qwen3moe": (transformers.Qwen3MoeConfig, transformers.Qwen3MoeForCausalLM),
    "bitnet": (transformers.BitNetConfig, transformers.BitNetForCausalLM),
}


def build(family: str, seed: int, **changes: Any) -> Any:
    """A random `transformers` model; equal arguments give equal weights."""
    config_class, model_class = CLASSES[family]
    base = GPT2 if family == "gpt2" else {**BASE, **FAMILY_SETTINGS.get(family, {})}
    base = RECURRENT.get(family, base)
    config = config_class(**{**base, **changes})
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"  # its grouped product asks for certain widths
    model = model_class(config).eval().float()
    randomise(model, seed)
    return model


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Gives every parameter a value that matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim == 1 and name.endswith("bias"):
            value.data = 0.5 * noise
        elif value.ndim == 1:  # a norm, away from its neutral value
            value.data = value.data + 0.4 * noise
        else:
            turned = type(model.get_submodule(name.rpartition(".")[0])).__name__ == "Conv1D"
            fan_in = value.shape[0] if turned else value.shape[-1]
            value.data = noise * GAIN / fan_in**0.5


def random_ids(seed: int, batch: int = 2, length: int = LENGTH) -> torch.Tensor:
    """(batch, length) ids without the padding id 0."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, VOCAB, (batch, length), generator=generator)


def padding(side: str, batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(mask, positions): row r has 3 + 5 r padding tokens on `side`; none for side ''."""
    mask = torch.ones(batch, length, dtype=torch.bool)
    for row in range(batch):
        gap = 3 + 5 * row
        if side == "left":
            mask[row, :gap] = False
        elif side == "right":
            mask[row, length - gap :] = False
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    return mask, positions


def reference_logits(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """What `transformers` says; refuses a model whose logits are too flat to compare."""
    with torch.inference_mode():
        out = model(input_ids=ids, attention_mask=mask.long(), position_ids=positions)
    logits: torch.Tensor = out.logits
    assert logits[mask].std() >= 1, "a model this quiet proves nothing"
    return logits


def our_logits(
    path: Path, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor
) -> torch.Tensor:
    """What Kataribe says about the same folder."""
    checkpoint = open_checkpoint(path)
    model = load_model(checkpoint)
    with torch.inference_mode():
        padded = mask if not bool(mask.all()) else None
        return model.logits(model(ids, positions, CausalAttend(checkpoint.config, padded)))


def relative_error(ours: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor) -> float:
    """Largest difference at a real token, in standard deviations of the reference."""
    assert ours.shape == reference.shape
    difference = (ours - reference)[mask].abs().max() / reference[mask].std()
    return float("inf") if torch.isnan(difference) else float(difference)
