"""Mixtures of experts: Mixtral (Jiang et al. 2024), Qwen 2 and Qwen 3 with experts."""

from __future__ import annotations

from typing import Any

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ExpertsConfig, ModelConfig
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.families.layout import FamilyLayout
from kataribe.make.model.families.rotary import read_like, write_like

_COMMON = {
    "head_dim": None, "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "router_aux_loss_coef": 0.001,
}  # fmt: skip
_MIXTRAL = _COMMON | {
    "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "max_position_embeddings": 131072, "sliding_window": None, "rms_norm_eps": 1e-5,
    "rope_theta": 1e6, "num_experts_per_tok": 2, "num_local_experts": 8,
}  # fmt: skip
_QWEN = _COMMON | {
    "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 24,
    "max_position_embeddings": 32768, "use_sliding_window": False, "sliding_window": 4096,
    "max_window_layers": 28, "layer_types": None, "decoder_sparse_step": 1,
    "mlp_only_layers": None, "norm_topk_prob": False,
}  # fmt: skip
_QWEN2 = _QWEN | {
    "num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 5632,
    "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632,
    "num_experts_per_tok": 4, "num_experts": 60, "qkv_bias": True,
}  # fmt: skip
_QWEN3 = _QWEN | {
    "num_attention_heads": 32, "num_key_value_heads": 4, "intermediate_size": 6144,
    "moe_intermediate_size": 768, "num_experts_per_tok": 8, "num_experts": 128,
    "attention_bias": False,
}  # fmt: skip


def _read_mixtral(fields: Fields) -> ModelConfig:
    values = read_like(fields, "mistral")
    experts = ExpertsConfig(
        count=fields.integer("num_local_experts"),
        per_token=fields.integer("num_experts_per_tok"),
        width=values["intermediate_size"],
        layers=(True,) * values["layers"],
        scoring="topk_softmax",
        balance=fields.number("router_aux_loss_coef"),
    )
    return ModelConfig(**{**values, "family": "mixtral", "experts": experts})


def _write_mixtral(config: ModelConfig) -> dict[str, Any]:
    spec = config.experts
    if spec is None:
        raise FormatError("A mixtral model has experts, this one has none.")
    return {
        **write_like(config, "mistral"),
        "intermediate_size": spec.width,
        "num_local_experts": spec.count,
        "num_experts_per_tok": spec.per_token,
        "router_aux_loss_coef": spec.balance,
    }


def _read_qwen2(fields: Fields) -> ModelConfig:
    values = read_like(fields, "qwen2")
    layers, first = values["layers"], fields.integer("max_window_layers")
    windows = values["windows"]
    if fields.flag("use_sliding_window") and not fields.has("layer_types"):
        window = fields.integer("sliding_window")
        windows = tuple(
            window if layer % 2 == 0 and layer < first else None for layer in range(layers)
        )
    shared = fields.integer("shared_expert_intermediate_size")
    experts = _read_qwen_experts(fields, layers, shared)
    changes = {"windows": windows, "qkv_bias": fields.flag("qkv_bias"), "experts": experts}
    return ModelConfig(**{**values, "family": "qwen2moe", **changes})


def _read_qwen3(fields: Fields) -> ModelConfig:
    values = read_like(fields, "qwen3")
    layers = values["layers"]
    slides = fields.flag("use_sliding_window")
    windows = (fields.integer("sliding_window") if slides else None,) * layers
    if fields.has("layer_types") and values["windows"] != windows:
        raise FormatError(
            f"{fields.source}: layer_types gives some layers another window than the rest; in this "
            "family all layers have the same."
        )
    experts = _read_qwen_experts(fields, layers, 0)
    changes = {"windows": windows, "experts": experts}
    return ModelConfig(**{**values, "family": "qwen3moe", **changes})


def _read_qwen_experts(fields: Fields, layers: int, shared: int) -> ExpertsConfig | None:
    """None where all layers are made dense."""
    step = max(fields.integer("decoder_sparse_step"), 1)
    dense = fields.sequence("mlp_only_layers") if fields.has("mlp_only_layers") else []
    unknown = [layer for layer in dense if type(layer) is not int]
    if unknown:
        raise FormatError(
            f"{fields.source}: mlp_only_layers names {unknown[0]!r:.40}; layers have numbers."
        )
    spec: dict[str, Any] = {
        "count": fields.integer("num_experts"),
        "per_token": fields.integer("num_experts_per_tok"),
        "width": fields.integer("moe_intermediate_size"),
        "normalized": fields.flag("norm_topk_prob"),
        "balance": fields.number("router_aux_loss_coef"),
        "layers": tuple(
            layer not in dense and (layer + 1) % step == 0 for layer in range(layers)
        ),
    }  # fmt: skip
    if not any(spec["layers"]) or spec["count"] == 0:
        return None
    return ExpertsConfig(**spec, shared_width=shared, shared_gate=shared > 0)


def _write_qwen(config: ModelConfig) -> dict[str, Any]:
    spec = config.experts
    second = config.family == "qwen2moe"
    settings = write_like(config, "qwen2" if second else "qwen3")
    if second:
        settings["qkv_bias"] = config.qkv_bias
    else:
        del settings["layer_types"]  # the family has one window for all layers
    if spec is None:
        return settings | {"mlp_only_layers": list(range(config.layers))}
    if second:
        settings["shared_expert_intermediate_size"] = spec.shared_width
    return settings | {
        "num_experts": spec.count,
        "num_experts_per_tok": spec.per_token,
        "moe_intermediate_size": spec.width,
        "norm_topk_prob": spec.normalized,
        "router_aux_loss_coef": spec.balance,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [layer for layer, sparse in enumerate(spec.layers) if not sparse],
    }


LAYOUTS = (
    FamilyLayout(
        "mixtral",
        "MixtralForCausalLM",
        _MIXTRAL,
        _read_mixtral,
        _write_mixtral,
        ("mixtral",),
        aliases={"num_experts": "num_local_experts"},
    ),
    FamilyLayout(
        "qwen2moe", "Qwen2MoeForCausalLM", _QWEN2, _read_qwen2, _write_qwen, ("qwen2_moe",)
    ),
    FamilyLayout(
        "qwen3moe",
        "Qwen3MoeForCausalLM",
        _QWEN3,
        _read_qwen3,
        _write_qwen,
        ("qwen3_moe",),
        aliases={"num_local_experts": "num_experts"},
    ),
)
