"""A GGUF file's metadata to `ModelConfig`, in llama.cpp's meaning of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.files.gguf import GGUFFile
from kataribe.make.model.configs.config import MAX_LAYERS, ExpertsConfig, Family, ModelConfig
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.configs.rope_settings import rope_from_gguf

ARCHITECTURES: Mapping[str, Family] = {
    "gpt2": "gpt2",
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "qwen2moe": "qwen2moe",
    "qwen3moe": "qwen3moe",
}
"""`general.architecture` -> family. Mistral's files say `llama`, and so do Mixtral's."""
_NORMALIZED: Mapping[Family, bool] = {"mixtral": True, "qwen2moe": False, "qwen3moe": True}
"""Families with experts, and whether the weights of the chosen ones add up to one; llama.cpp knows
it by the architecture."""
_SOFTMAX = 1

FACTOR_TENSORS = ("rope_freqs", "rope_factors_short", "rope_factors_long")
"""Tensors (with `.weight`) that are settings of the rotary positions and no parameters."""

_NEUTRAL = (
    "vocab_size",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_ext_factor",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "tensor_data_layout",
)
_GEMMA2_27B, _GEMMA3_27B = 46, 62
"""Layers of the two models whose queries are scaled by hidden_size / heads, not head_dim;
llama.cpp knows them by that too, since the files do not say."""


def config_from_gguf(file: GGUFFile) -> ModelConfig:
    """The model that a GGUF file describes.

    Raises `ArchitectureError` for one that is not built here, `FormatError` for a key that is
    missing, impossible or unknown.
    """
    architecture = file.metadata.get("general.architecture")
    family = ARCHITECTURES.get(architecture) if isinstance(architecture, str) else None
    if family is None:
        raise ArchitectureError(
            f"{file.path.name} says architecture {architecture!r:.60}; supported are "
            f"{', '.join(ARCHITECTURES)}. Choose a model of one of these families."
        )
    fields = Fields(file.path.name, file.metadata, prefix=f"{architecture}.")
    config = ModelConfig(**_read(fields, family, file))
    fields.finish(_NEUTRAL)
    return config


def _read(fields: Fields, family: Family, file: GGUFFile) -> dict[str, Any]:
    gpt2, gemma = family == "gpt2", family in ("gemma2", "gemma3")
    layers = fields.integer("block_count")
    if not 1 <= layers <= min(MAX_LAYERS, len(file.tensors)):
        raise FormatError(
            f"{fields.source} claims {layers} layers, but has {len(file.tensors)} tensors."
        )
    hidden, heads = fields.integer("embedding_length"), fields.integer("attention.head_count")
    head_dim = _head_dim(fields, hidden, heads)
    context = fields.integer("context_length")
    windows = _windows(fields, family, layers)
    fields.expect("attention.causal", [True])
    if gpt2:
        rope = local = None
    else:
        rope = rope_from_gguf(fields, context, _factors(file))
        local = _local_rope(fields, family, windows, rope.theta)
    experts = _experts(fields, family, layers, file)
    if family == "llama" and (experts is not None or any(windows)):
        family = "mistral" if experts is None else "mixtral"
    kind = "epsilon" if gpt2 else "rms_epsilon"
    return {
        "family": family,
        "vocab_size": _vocab_size(file),
        "hidden_size": hidden,
        "layers": layers,
        "heads": heads,
        "kv_heads": fields.integer("attention.head_count_kv", heads) or heads,
        "head_dim": head_dim,
        "intermediate_size": fields.integer("feed_forward_length"),
        "context_length": context,
        "windows": windows,
        "rope": rope,
        "local_rope": local,
        "norm": "layer" if gpt2 else "rms",
        "norm_eps": fields.number(f"attention.layer_norm_{kind}"),
        "qk_norm": family in ("qwen3", "qwen3moe", "gemma3"),
        "post_norms": gemma,
        "activation": "gelu_tanh" if gpt2 or gemma else "silu",
        "gated": not gpt2,
        "qkv_bias": _has(file, "attn_qkv.bias") or _has(file, "attn_q.bias"),
        "output_bias": _has(file, "attn_output.bias"),
        "mlp_bias": _has(file, "ffn_down.bias"),
        "query_scalar": _query_scalar(family, fields, head_dim, hidden / heads),
        "attention_softcap": _softcap(fields, "attn_logit_softcapping", 50.0, family),
        "logits_softcap": _softcap(fields, "final_logit_softcapping", 30.0, family),
        "embedding_scale": hidden**0.5 if gemma else 1.0,
        "tied": "output.weight" not in file.tensors,
        "experts": experts,
    }


def _experts(fields: Fields, family: Family, layers: int, file: GGUFFile) -> ExpertsConfig | None:
    """The mixture of experts, in the layers that have a router; None where there is none."""
    count = fields.integer("expert_count", 0)
    family = "mixtral" if family == "llama" else family
    if not count or family not in _NORMALIZED:
        fields.expect("expert_count", [0])
        fields.expect("expert_used_count", [0])
        return None
    fields.expect("expert_gating_func", [_SOFTMAX])
    used, inner = fields.integer("expert_used_count"), fields.integer("feed_forward_length")
    normalized = fields.flag("expert_weights_norm", default=_NORMALIZED[family])
    shared = 0
    if _has_any(file, "ffn_gate_inp_shexp"):
        shared = fields.integer("expert_shared_feed_forward_length", inner) or inner
    usual = inner if family == "mixtral" else inner // max(used, 1)
    return ExpertsConfig(
        count=count,
        per_token=used,
        width=fields.integer("expert_feed_forward_length", usual) or usual,
        layers=tuple(f"blk.{layer}.ffn_gate_inp.weight" in file.tensors for layer in range(layers)),
        scoring="topk_softmax" if family == "mixtral" and normalized else "softmax_topk",
        normalized=normalized and family != "mixtral",
        shared_width=shared,
        shared_gate=shared > 0,
    )


def _has_any(file: GGUFFile, name: str) -> bool:
    return any(tensor.endswith(f".{name}.weight") for tensor in file.tensors)


def _head_dim(fields: Fields, hidden: int, heads: int) -> int:
    if heads < 1:
        raise FormatError(f"{fields.source} claims {heads} heads.")
    if not fields.has("attention.key_length") and hidden % heads:
        raise FormatError(f"{fields.source}: {hidden} values cannot be divided by {heads} heads.")
    head_dim = fields.integer("attention.key_length", hidden // heads)
    fields.expect("attention.value_length", [head_dim])
    fields.expect("rope.dimension_count", [head_dim])
    return head_dim


def _vocab_size(file: GGUFFile) -> int:
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise FormatError(f"{file.path.name} lacks the tensor 'token_embd.weight', a matrix.")
    return embedding.shape[0]


def _windows(fields: Fields, family: Family, layers: int) -> tuple[int | None, ...]:
    window = fields.integer("attention.sliding_window", 0) or None
    if fields.has("attention.sliding_window_pattern"):
        return _pattern(fields, layers, window)
    period = {"gemma2": 2, "gemma3": 6}.get(family, layers + 1)
    return tuple(window if (layer + 1) % period else None for layer in range(layers))


def _pattern(fields: Fields, layers: int, window: int | None) -> tuple[int | None, ...]:
    """Either a period, whose last layer sees all, or one flag per layer that has a window."""
    name = "attention.sliding_window_pattern"
    try:
        period = fields.integer(name)
        return tuple(window if period and (i + 1) % period else None for i in range(layers))
    except FormatError:
        slides = fields.sequence(name)
    if len(slides) != layers:
        raise FormatError(f"{fields.source}: {name} has {len(slides)} entries for {layers} layers.")
    return tuple(window if slide else None for slide in slides)


def _local_rope(
    fields: Fields, family: Family, windows: tuple[int | None, ...], theta: float
) -> Any:
    if family != "gemma3":
        fields.expect("rope.freq_base_swa", [theta])
        return None
    near = rope_from_gguf(Fields(fields.source, {}), 1, {})
    local = type(near)(fields.number("rope.freq_base_swa", near.theta))
    return local if any(windows) else None


def _factors(file: GGUFFile) -> dict[str, tuple[float, ...]]:
    found = {}
    for name in FACTOR_TENSORS:
        tensor = file.tensors.get(f"{name}.weight")
        if tensor is not None:
            found[name] = tuple(float(value) for value in tensor.float32().reshape(-1))
    return found


def _query_scalar(family: Family, fields: Fields, head_dim: int, share: float) -> float:
    if fields.has("attention.scale") and fields.number("attention.scale"):
        return fields.number("attention.scale") ** -2
    layers = fields.integer("block_count")
    if (family, layers) in (("gemma2", _GEMMA2_27B), ("gemma3", _GEMMA3_27B)):
        return share
    return float(head_dim)


def _softcap(fields: Fields, name: str, usual: float, family: Family) -> float | None:
    return fields.number(name, usual if family == "gemma2" else 0.0) or None


def _has(file: GGUFFile, name: str) -> bool:
    return f"blk.0.{name}" in file.tensors
