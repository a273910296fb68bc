"""BitNet b1.58 (Ma et al. 2024, and Microsoft's models of 2025): ternary matrices, inner norms."""

from __future__ import annotations

from typing import Any

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.families.layout import FamilyLayout
from kataribe.make.model.families.rotary import read_like, write_like

_DEFAULTS = {
    "vocab_size": 128256, "hidden_size": 2560, "intermediate_size": 6912,
    "num_hidden_layers": 30, "num_attention_heads": 20, "num_key_value_heads": 5,
    "head_dim": None, "hidden_act": "relu2", "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "attention_bias": False,
    "rope_theta": 500000.0,
}  # fmt: skip


def _read(fields: Fields) -> ModelConfig:
    """Whether the matrices are ternary stands in quantization_config, as for other families."""
    fields.expect("mlp_bias", [False])
    return ModelConfig(**{**read_like(fields, "llama"), "family": "bitnet", "inner_norms": True})


def _write(config: ModelConfig) -> dict[str, Any]:
    settings = write_like(config, "llama")
    del settings["mlp_bias"]
    return settings


LAYOUTS = (FamilyLayout("bitnet", "BitNetForCausalLM", _DEFAULTS, _read, _write, ("bitnet",)),)
