"""Llama, Mistral, Qwen 2 and 3, Gemma 2 and 3: they name alike what they have in common.

A family that differs from one of them in parts only takes `read_like` and `write_like` of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import Family, ModelConfig
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.configs.rope_settings import rope_from_hf, rope_to_hf
from kataribe.make.model.families.layout import FamilyLayout
from kataribe.make.model.families.reading import (
    ACTIVATION_NAMES,
    read_activation,
    read_layers,
    share,
)

_DECODER = {
    "num_key_value_heads": None, "head_dim": None, "hidden_act": "silu", "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}  # fmt: skip
_QWEN = _DECODER | {
    "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 32768,
    "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28,
    "layer_types": None, "attention_bias": False,
}  # fmt: skip
_GEMMA = {
    "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "attention_bias": False,
    "query_pre_attn_scalar": 256, "sliding_window": 4096, "layer_types": None,
    "tie_word_embeddings": True,
}  # fmt: skip
_DEFAULTS: Mapping[Family, Mapping[str, Any]] = {
    "llama": _DECODER | {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048,
        "attention_bias": False, "mlp_bias": False,
    },
    "mistral": _DECODER | {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 131072, "sliding_window": 4096,
    },
    "qwen2": {name: value for name, value in _QWEN.items() if name != "attention_bias"},
    "qwen3": _QWEN | {"head_dim": 128},
    "gemma2": _GEMMA | {
        "vocab_size": 256000, "max_position_embeddings": 8192, "final_logit_softcapping": 30.0,
        "attn_logit_softcapping": 50.0,
    },
    "gemma3": _GEMMA | {
        "vocab_size": 262208, "max_position_embeddings": 131072, "sliding_window_pattern": 6,
        "final_logit_softcapping": None,
    },
}  # fmt: skip


def read_like(fields: Fields, family: Family) -> dict[str, Any]:
    """The fields of `ModelConfig` that a file with the words of `family` says."""
    gemma = family in ("gemma2", "gemma3")
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    layers = read_layers(fields, "num_hidden_layers")
    context = fields.integer("max_position_embeddings")
    head_dim = fields.optional_integer("head_dim") or share(fields, hidden, heads)
    rope, local_rope = rope_from_hf(fields, context, layered=family == "gemma3")
    windows = _windows(fields, family, layers)
    bias = family == "qwen2" or fields.flag("attention_bias", default=False)
    return {
        "family": family,
        "vocab_size": fields.integer("vocab_size"),
        "hidden_size": hidden,
        "layers": layers,
        "heads": heads,
        "kv_heads": fields.optional_integer("num_key_value_heads") or heads,
        "head_dim": head_dim,
        "intermediate_size": fields.integer("intermediate_size"),
        "context_length": context,
        "windows": windows,
        "rope": rope,
        "local_rope": local_rope if any(windows) else None,
        "norm_eps": fields.number("rms_norm_eps"),
        "qk_norm": family in ("qwen3", "gemma3"),
        "post_norms": gemma,
        "activation": read_activation(fields, "hidden_activation" if gemma else "hidden_act"),
        "qkv_bias": bias,
        "output_bias": bias and family != "qwen2",
        "mlp_bias": fields.flag("mlp_bias", default=False) if family == "llama" else False,
        "tied": fields.flag("tie_word_embeddings"),
        **(_read_gemma(fields, family, hidden) if gemma else {"query_scalar": float(head_dim)}),
    }


def _read_gemma(fields: Fields, family: Family, hidden: int) -> dict[str, Any]:
    fields.expect("use_bidirectional_attention", [False])
    fields.text("hidden_act", "")  # an older name beside hidden_activation; nothing reads it
    if family == "gemma3":  # has no such cap, and transformers passes over it
        fields.expect("attn_logit_softcapping", [None])
    return {
        "query_scalar": fields.number("query_pre_attn_scalar"),
        "attention_softcap": fields.optional_number("attn_logit_softcapping"),
        "logits_softcap": fields.optional_number("final_logit_softcapping"),
        "embedding_scale": hidden**0.5,
    }


def _windows(fields: Fields, family: Family, layers: int) -> tuple[int | None, ...]:
    """The sliding window of each layer."""
    if family == "llama":
        return (None,) * layers
    window = fields.optional_integer("sliding_window")
    if family == "mistral":
        return (window,) * layers
    if family in ("qwen2", "qwen3"):
        window = window if fields.flag("use_sliding_window") else None
        first = fields.integer("max_window_layers")
        slides = [window is not None and layer >= first for layer in range(layers)]
    else:
        pattern = 2 if family == "gemma2" else fields.integer("sliding_window_pattern")
        slides = [(layer + 1) % max(pattern, 1) > 0 for layer in range(layers)]
    if fields.has("layer_types"):
        slides = _slides(fields, layers)
    if any(slides) and window is None:
        raise FormatError(
            f"{fields.source} has layers of sliding_attention, but no sliding_window in use."
        )
    return tuple(window if slide else None for slide in slides)


def _slides(fields: Fields, layers: int) -> list[bool]:
    types = fields.sequence("layer_types")
    known = {"sliding_attention": True, "full_attention": False}
    unknown = [kind for kind in types if not isinstance(kind, str) or kind not in known]
    if unknown or len(types) != layers:
        raise FormatError(
            f"{fields.source}: layer_types names {len(types)} layers of {layers}"
            + (f", and {unknown[0]!r:.60}" if unknown else "")
            + f"; known are {', '.join(known)}."
        )
    return [known[kind] for kind in types]


def write_like(config: ModelConfig, family: Family) -> dict[str, Any]:
    """The settings of config.json in the words of `family`: the way back of `read_like`."""
    if config.rope is None:
        raise FormatError(f"A {config.family} model has rotary positions, this one has none.")
    settings: dict[str, Any] = {
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_eps,
        **rope_to_hf(config.rope, config.local_rope, layered=family == "gemma3"),
    }
    gemma = family in ("gemma2", "gemma3")
    settings["hidden_activation" if gemma else "hidden_act"] = ACTIVATION_NAMES[config.activation]
    if family in ("llama", "qwen3", "gemma2", "gemma3"):
        settings["attention_bias"] = config.qkv_bias
    if family == "llama":
        settings["mlp_bias"] = config.mlp_bias
    if gemma:
        settings["query_pre_attn_scalar"] = _whole(config.query_scalar)
        settings["final_logit_softcapping"] = config.logits_softcap
        if family == "gemma2":
            settings["attn_logit_softcapping"] = config.attention_softcap
    if family != "llama":
        window = next((window for window in config.windows if window is not None), None)
        settings["sliding_window"] = window
    if family in ("qwen2", "qwen3"):
        settings["use_sliding_window"] = any(config.windows)
    if family in ("qwen2", "qwen3", "gemma2", "gemma3"):
        settings["layer_types"] = [
            "full_attention" if window is None else "sliding_attention" for window in config.windows
        ]
    return settings


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def _read(fields: Fields, family: Family) -> ModelConfig:
    return ModelConfig(**read_like(fields, family))


def _layout(family: Family, class_name: str, *model_types: str) -> FamilyLayout:
    return FamilyLayout(
        family,
        class_name,
        _DEFAULTS[family],
        read=partial(_read, family=family),
        write=partial(write_like, family=family),
        model_types=model_types or (family,),
    )


LAYOUTS = (
    _layout("llama", "LlamaForCausalLM"),
    _layout("mistral", "MistralForCausalLM"),
    _layout("qwen2", "Qwen2ForCausalLM"),
    _layout("qwen3", "Qwen3ForCausalLM"),
    _layout("gemma2", "Gemma2ForCausalLM"),
    _layout("gemma3", "Gemma3ForCausalLM", "gemma3_text", "gemma3"),
)
