"""GPT-2 (Radford et al. 2019): learned positions, layer norms, biases everywhere."""

from __future__ import annotations

from typing import Any

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.families.layout import FamilyLayout
from kataribe.make.model.families.reading import (
    ACTIVATION_NAMES,
    read_activation,
    read_layers,
    share,
)

_DEFAULTS = {
    "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
    "n_inner": None, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": True,
}  # fmt: skip
_NAMES = {
    "hidden_size": "n_embd", "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head", "num_hidden_layers": "n_layer",
}  # fmt: skip


def _read(fields: Fields) -> ModelConfig:
    hidden, heads = fields.integer("n_embd"), fields.integer("n_head")
    layers = read_layers(fields, "n_layer")
    head_dim = share(fields, hidden, heads)
    return ModelConfig(
        family="gpt2",
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        intermediate_size=fields.optional_integer("n_inner") or 4 * hidden,
        context_length=fields.integer("n_positions"),
        windows=(None,) * layers,
        rope=None,
        norm="layer",
        norm_eps=fields.number("layer_norm_epsilon"),
        activation=read_activation(fields, "activation_function"),
        gated=False,
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        query_scalar=float(head_dim) if fields.flag("scale_attn_weights") else 1.0,
        scale_by_layer=fields.flag("scale_attn_by_inverse_layer_idx"),
        tied=fields.flag("tie_word_embeddings"),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    return {
        "n_embd": config.hidden_size,
        "n_head": config.heads,
        "n_layer": config.layers,
        "n_inner": config.intermediate_size,
        "n_positions": config.context_length,
        "layer_norm_epsilon": config.norm_eps,
        "activation_function": ACTIVATION_NAMES[config.activation],
        "scale_attn_weights": config.query_scalar == config.head_dim,
        "scale_attn_by_inverse_layer_idx": config.scale_by_layer,
    }


LAYOUTS = (
    FamilyLayout("gpt2", "GPT2LMHeadModel", _DEFAULTS, _read, _write, ("gpt2",), aliases=_NAMES),
)
