"""`ModelConfig` to a GGUF file's metadata, in llama.cpp's meaning of its keys: the way out.

What llama.cpp has no key for, or passes over in an architecture, is refused by name: a file that
runs and answers otherwise is worse than none. Every set of keys is read back before it is used.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kataribe.base.errors import ArchitectureError
from kataribe.files.ggml_groups import Floats
from kataribe.files.gguf import GGUFFile, GGUFTensor
from kataribe.make.model.configs.config import ExpertsConfig, Family, ModelConfig, RopeConfig
from kataribe.make.model.configs.frequencies import inverse_frequencies
from kataribe.make.model.weights.gguf_settings import config_from_gguf

ARCHITECTURE_OF: Mapping[Family, str] = {
    "gpt2": "gpt2",
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "mixtral": "llama",
    "qwen2moe": "qwen2moe",
    "qwen3moe": "qwen3moe",
}
"""Family -> `general.architecture`."""
_PERIODS = {"gemma2": 2, "gemma3": 6}
"""Every so many layers one sees the whole context; llama.cpp knows it by the architecture."""
_FACTORS = frozenset({"llama", "mistral", "mixtral"})
"""Families for which llama.cpp reads frequency factors out of tensors."""
_MOST_EXPERTS = 512
"""llama.cpp's LLAMA_MAX_EXPERTS."""
_CLOSE = 1e-6
"""Relative error of a float64 setting that became float32: half of 2^-23."""


@dataclasses.dataclass(frozen=True, eq=False)
class GGUFSettings:
    """What stands in a file for a configuration.

    Attributes:
        architecture: `general.architecture`.
        metadata: Keys with the architecture before them.
        tensors: Settings that llama.cpp keeps as tensors (factors of frequencies), float32.
    """

    architecture: str
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Floats]


def architecture_of(config: ModelConfig) -> str:
    """llama.cpp's name for the model; `ArchitectureError` for a family that it is not told of."""
    architecture = ARCHITECTURE_OF.get(config.family)
    if architecture is None:
        raise ArchitectureError(
            f"A {config.family} model cannot be exported to GGUF; those of the families "
            f"{', '.join(ARCHITECTURE_OF)} can. Export a Hugging Face folder instead."
        )
    return architecture


def config_to_gguf(config: ModelConfig, parameters: frozenset[str]) -> GGUFSettings:
    """The keys with which llama.cpp builds the same model.

    Args:
        config: The model.
        parameters: Names of the tensors that the file will have: some settings, such as biases,
            are only seen from these.

    Raises:
        ArchitectureError: llama.cpp does not build such a model; the message names what it
            cannot say.
    """
    architecture = architecture_of(config)
    _refuse_unread(config)
    keys = {**_sizes(config), **_attention(config), **_experts(config)}
    tensors: dict[str, Floats] = {}
    if config.rope is not None:
        keys |= _rope(config, config.rope, tensors)
    metadata = {f"{architecture}.{name}": value for name, value in keys.items()}
    settings = GGUFSettings(architecture, metadata, tensors)
    _check(config, settings, parameters)
    return settings


def _refuse_unread(config: ModelConfig) -> None:
    """What a file could say, and llama.cpp's code for the family has no place for."""
    why = f"llama.cpp's {config.family} has none"
    if config.family in ("qwen3", "qwen3moe", "gemma2", "gemma3"):
        for name in ("qkv_bias", "output_bias"):
            if getattr(config, name):
                raise _unsaid(config, f"{name} = True", why)
    if config.family == "qwen2moe" and config.tied:
        raise _unsaid(config, "tied = True", "llama.cpp's qwen2moe needs a head of its own")
    if config.family == "gemma2" and not config.tied:
        raise _unsaid(config, "tied = False", "llama.cpp's gemma2 has no head of its own")
    share = config.hidden_size / config.heads
    if config.family in ("qwen2", "qwen2moe") and config.head_dim != share:
        raise _unsaid(config, f"head_dim = {config.head_dim}", f"llama.cpp's takes {share:g}")
    _refuse_experts(config)


def _refuse_experts(config: ModelConfig) -> None:
    spec = config.experts
    if spec is None:
        return
    if not all(spec.layers):
        dense = ", ".join(str(at) for at, sparse in enumerate(spec.layers) if not sparse)
        why = f"llama.cpp's {config.family} has experts in every layer"
        raise _unsaid(config, f"layers without experts ({dense})", why)
    if spec.count > _MOST_EXPERTS:
        raise _unsaid(config, f"{spec.count} experts", f"llama.cpp holds {_MOST_EXPERTS}")


def _sizes(config: ModelConfig) -> dict[str, Any]:
    norm = "layer_norm_epsilon" if config.norm == "layer" else "layer_norm_rms_epsilon"
    return {
        "block_count": config.layers,
        "context_length": config.context_length,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "attention.head_count": config.heads,
        "attention.head_count_kv": config.kv_heads,
        f"attention.{norm}": float(config.norm_eps),
    }


def _experts(config: ModelConfig) -> dict[str, Any]:
    spec = config.experts
    if spec is None:
        return {}
    keys = {"expert_count": spec.count, "expert_used_count": spec.per_token}
    if config.family != "mixtral":  # whose experts are as wide as feed_forward_length says
        keys["expert_feed_forward_length"] = spec.width
    if spec.shared_width:
        keys["expert_shared_feed_forward_length"] = spec.shared_width
    return keys


def _attention(config: ModelConfig) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if config.rope is not None:
        keys |= {
            "attention.key_length": config.head_dim,
            "attention.value_length": config.head_dim,
            "rope.dimension_count": config.head_dim,
        }
    for name, cap in (
        ("attn_logit_softcapping", config.attention_softcap),
        ("final_logit_softcapping", config.logits_softcap),
    ):
        if cap is not None:
            keys[name] = float(cap)
    window = next((window for window in config.windows if window is not None), None)
    if window is not None and config.family in _PERIODS:
        keys["attention.sliding_window"] = window
    return keys


def _rope(config: ModelConfig, rope: RopeConfig, tensors: dict[str, Floats]) -> dict[str, Any]:
    keys: dict[str, Any] = {"rope.freq_base": float(rope.theta)}
    if config.local_rope is not None:
        keys["rope.freq_base_swa"] = float(config.local_rope.theta)
    if rope.kind in ("longrope", "llama3") and config.family not in _FACTORS:
        raise _unsaid(
            config, f"rope kind = {rope.kind!r}", "llama.cpp reads it of llama models only"
        )
    match rope.kind:
        case "dynamic":
            raise _unsaid(config, f"rope kind = {rope.kind!r}", "llama.cpp has no such stretching")
        case "linear":
            keys |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(rope.factor)}
        case "yarn":
            keys |= _yarn(config, rope)
        case "longrope":
            keys |= {
                "rope.scaling.type": "longrope",
                "rope.scaling.attn_factor": float(rope.attention_factor),
                "rope.scaling.original_context_length": rope.original_context,
            }
            tensors["rope_factors_short.weight"] = np.array(rope.short_factors, np.float32)
            tensors["rope_factors_long.weight"] = np.array(rope.long_factors, np.float32)
        case "llama3":
            tensors["rope_freqs.weight"] = _factors(config, rope)
    return keys


def _yarn(config: ModelConfig, rope: RopeConfig) -> dict[str, Any]:
    if not rope.truncate:
        raise _unsaid(config, "rope truncate = False", "llama.cpp always rounds the bounds")
    usual = 1.0 if rope.factor <= 1 else 0.1 * math.log(rope.factor) + 1.0  # llama.cpp adds it
    return {
        "rope.scaling.type": "yarn",
        "rope.scaling.factor": float(rope.factor),
        "rope.scaling.attn_factor": float(rope.attention_factor / usual),
        "rope.scaling.original_context_length": rope.original_context,
        "rope.scaling.yarn_beta_fast": float(rope.beta_fast),
        "rope.scaling.yarn_beta_slow": float(rope.beta_slow),
    }


def _factors(config: ModelConfig, rope: RopeConfig) -> Floats:
    """What llama.cpp divides each plain frequency by (Llama 3.1's stretching)."""
    plain = inverse_frequencies(RopeConfig(rope.theta), config.head_dim, config.context_length)
    stretched = inverse_frequencies(rope, config.head_dim, config.context_length)
    factors: Floats = (plain / stretched).astype(np.float32)
    return factors


def _check(config: ModelConfig, settings: GGUFSettings, parameters: frozenset[str]) -> None:
    """Reads the keys as a file's and compares with what they were made of."""
    expected = as_read(config, settings)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(parameters, (1,))
    shapes |= {"token_embd.weight": (config.vocab_size, config.hidden_size)}
    nothing = np.zeros(0, np.uint8)
    tensors = {
        name: GGUFTensor(name, shape, "F32", 0, 0, nothing) for name, shape in shapes.items()
    }
    for name, values in settings.tensors.items():
        raw = values.view(np.uint8)
        tensors[name] = GGUFTensor(name, values.shape, "F32", 0, raw.size, raw)
    metadata = {"general.architecture": settings.architecture, **settings.metadata}
    file = GGUFFile(Path(f"{settings.architecture} file"), 3, 32, 0, metadata, tensors)
    different = first_difference(expected, config_from_gguf(file))
    if different is not None:
        name, wanted, found = different
        raise _unsaid(config, f"{name} = {wanted!r:.80}", f"it would be read as {found!r:.80}")


def first_difference(wanted: ModelConfig, found: ModelConfig) -> tuple[str, Any, Any] | None:
    """Name and values of a setting that two models do not share; None where all are the same."""
    return None if _same(wanted, found) else _where("", wanted, found)


def _where(name: str, wanted: Any, found: Any) -> tuple[str, Any, Any]:
    """The first field that differs, where both are settings of several fields."""
    if type(wanted) is type(found) and dataclasses.is_dataclass(wanted):
        for each in dataclasses.fields(wanted):
            one, other = getattr(wanted, each.name), getattr(found, each.name)
            if not _same(one, other):
                return _where(f"{name} {each.name}".strip(), one, other)
    return name, wanted, found


def as_read(config: ModelConfig, settings: GGUFSettings) -> ModelConfig:
    """The configuration in the words that a reader of the file has for it."""
    windows, rope = config.windows, config.rope
    if config.family not in _PERIODS and all(
        (w or 2**31) >= config.context_length for w in windows
    ):
        windows = (None,) * config.layers  # no token is ever outside of it
    factors = settings.tensors.get("rope_freqs.weight")
    if rope is not None and factors is not None:
        shared = tuple(float(value) for value in factors)
        rope = RopeConfig(
            rope.theta,
            "longrope",
            original_context=config.context_length,
            short_factors=shared,
            long_factors=shared,
        )
    family: Family = "llama" if config.family == "mistral" else config.family
    experts = config.experts
    if experts is not None:  # what a file does not say, and only training asks for
        experts = dataclasses.replace(experts, balance=ExpertsConfig.balance)
    return dataclasses.replace(config, family=family, windows=windows, rope=rope, experts=experts)


def _same(one: Any, other: Any) -> bool:
    """Equal, floating point numbers as far as float32 holds them."""
    if type(one) is type(other) and dataclasses.is_dataclass(one):
        names = [each.name for each in dataclasses.fields(one)]
        return all(_same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=_CLOSE)
    return bool(one == other)


def _unsaid(config: ModelConfig, what: str, why: str) -> ArchitectureError:
    return ArchitectureError(
        f"A GGUF file of a {config.family} model cannot say {what}: {why}. "
        "Export a Hugging Face folder instead."
    )
