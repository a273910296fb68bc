"""How files write rotary positions down, and `RopeConfig` from that and back.

config.json has two forms: `rope_theta` with `rope_scaling` (any `transformers`) and
`rope_parameters` (version 5), which may hold one set per kind of layer. Read are both; written
is the first where it has the words, since older programs understand it too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import RopeConfig, RopeKind
from kataribe.make.model.configs.fields import Fields

_KINDS = ", ".join(get_args(RopeKind))
_GLOBAL, _LOCAL = "full_attention", "sliding_attention"
_THETA = 10_000.0
_GLOBAL_THETA = 1_000_000.0
"""Gemma 3's default for layers without a window."""


def rope_from_hf(
    fields: Fields, context: int, *, layered: bool
) -> tuple[RopeConfig, RopeConfig | None]:
    """Rotary positions of layers without and with a window (None where they are the same).

    `layered` families (Gemma 3) have two sets; in theirs, `rope_scaling` means the first only.
    """
    fields.expect("partial_rotary_factor", [1.0, 1])
    fields.expect("rope_interleaved", [False])
    original = fields.optional_integer("original_max_position_embeddings")
    theta = fields.number("rope_theta", _GLOBAL_THETA if layered else _THETA)
    old, new = fields.table("rope_scaling"), fields.table("rope_parameters")
    if not layered:
        chosen = old if old.filled else new
        return _read(chosen, theta, context, original), None
    local_theta = fields.number("rope_local_base_freq", _THETA)
    if not (new.has(_GLOBAL) or new.has(_LOCAL)):
        return _read(old if old.filled else new, theta, context, original), RopeConfig(local_theta)
    far = new.table(_GLOBAL)
    near = new.table(_LOCAL)
    new.finish()
    return (
        _read(old if old.filled else far, theta, context, original),
        _read(near, local_theta, context, original),
    )


def rope_to_hf(rope: RopeConfig, local: RopeConfig | None, *, layered: bool) -> dict[str, Any]:
    """Settings of config.json that `rope_from_hf` and `transformers` read back."""
    if not layered:
        scaling = None if rope.kind == "default" else _write(rope)
        return {"rope_theta": rope.theta, "rope_scaling": scaling}
    near = local or RopeConfig(_THETA)
    return {
        "rope_parameters": {
            _GLOBAL: {"rope_theta": rope.theta, **_write(rope)},
            _LOCAL: {"rope_theta": near.theta, **_write(near)},
        }
    }


def _read(fields: Fields, theta: float, context: int, outer: int | None) -> RopeConfig:
    """`outer` is an original context given outside of the rope's settings; it comes first."""
    kind = fields.text("rope_type", fields.text("type", "default"))
    if kind not in get_args(RopeKind):
        raise FormatError(f"{fields.source}: rope_type is {kind!r:.60}; known are {_KINDS}.")
    fields.expect("partial_rotary_factor", [1.0, 1])
    values: dict[str, Any] = {"kind": kind, "theta": fields.number("rope_theta", theta)}
    if kind in ("linear", "dynamic", "llama3"):
        values["factor"] = fields.number("factor")
    if kind == "dynamic":
        values["original_context"] = context
        fields.optional_integer("original_max_position_embeddings")  # transformers passes over it
    if kind in ("yarn", "longrope", "llama3"):
        inner = fields.integer("original_max_position_embeddings", context)
        original = outer or inner
        values["original_context"] = original
    if kind == "yarn":
        values |= _read_yarn(fields, context / max(original, 1))
    if kind == "longrope":
        values |= _read_longrope(fields, context, original)
    if kind == "llama3":
        values["low_freq_factor"] = fields.number("low_freq_factor")
        values["high_freq_factor"] = fields.number("high_freq_factor")
    fields.finish()
    return RopeConfig(**values)


def _read_yarn(fields: Fields, ratio: float) -> dict[str, Any]:
    factor = fields.number("factor", ratio)
    scale, all_scale = fields.optional_number("mscale"), fields.optional_number("mscale_all_dim")
    attention = _magnitude(factor, 1.0)
    if scale and all_scale:
        attention = _magnitude(factor, scale) / _magnitude(factor, all_scale)
    return {
        "factor": factor,
        "attention_factor": fields.number("attention_factor", attention),
        "beta_fast": fields.number("beta_fast", 32.0) or 32.0,
        "beta_slow": fields.number("beta_slow", 1.0) or 1.0,
        "truncate": fields.flag("truncate", default=True),
    }


def _magnitude(factor: float, scale: float) -> float:
    """YaRN's temperature of attention (Peng et al. 2023, equation 22), as a factor."""
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _read_longrope(fields: Fields, context: int, original: int) -> dict[str, Any]:
    factor = fields.number("factor", context / max(original, 1))
    attention = 1.0
    if factor > 1 and original > 1:
        attention = math.sqrt(1 + math.log(factor) / math.log(original))
    return {
        "attention_factor": fields.number("attention_factor", attention),
        "short_factors": fields.numbers("short_factor"),
        "long_factors": fields.numbers("long_factor"),
    }


def _write(rope: RopeConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {"rope_type": rope.kind}
    if rope.kind not in ("default", "longrope"):
        settings["factor"] = rope.factor
    if rope.kind in ("yarn", "longrope", "llama3"):
        settings["original_max_position_embeddings"] = rope.original_context
    if rope.kind in ("yarn", "longrope"):
        settings["attention_factor"] = rope.attention_factor
    if rope.kind == "yarn":
        settings |= {
            "beta_fast": rope.beta_fast,
            "beta_slow": rope.beta_slow,
            "truncate": rope.truncate,
        }
    if rope.kind == "longrope":
        settings["short_factor"] = list(rope.short_factors)
        settings["long_factor"] = list(rope.long_factors)
    if rope.kind == "llama3":
        settings["low_freq_factor"] = rope.low_freq_factor
        settings["high_freq_factor"] = rope.high_freq_factor
    return settings


def rope_from_gguf(
    fields: Fields, context: int, factors: Mapping[str, tuple[float, ...]]
) -> RopeConfig:
    """Rotary positions of a GGUF file.

    `factors` are the file's tensors `rope_freqs`, `rope_factors_short` and `rope_factors_long`.
    The first is how llama.cpp stores Llama 3.1's stretching: a divisor per frequency, and so a
    LongRoPE whose short and long divisors are the same.
    """
    theta = fields.number("rope.freq_base", _THETA)
    kind = fields.text("rope.scaling.type", "none")
    factor = fields.number("rope.scaling.factor", fields.number("rope.scale_linear", 1.0)) or 1.0
    if kind == "none" and factor != 1.0:
        kind = "linear"
    original = fields.integer("rope.scaling.original_context_length", context) or context
    attention = fields.number("rope.scaling.attn_factor", 1.0) or 1.0
    fields.expect("rope.scaling.yarn_log_multiplier", [0.0])
    if "rope_freqs" in factors:
        if kind not in ("none", "linear"):
            raise FormatError(f"{fields.source} has rope_freqs and rope scaling {kind!r:.40} both.")
        shared = tuple(value * factor for value in factors["rope_freqs"])
        return RopeConfig(
            theta, "longrope", original_context=context, short_factors=shared, long_factors=shared
        )
    match kind:
        case "none":
            return RopeConfig(theta)
        case "linear":
            return RopeConfig(theta, "linear", factor)
        case "yarn":
            return RopeConfig(
                theta, "yarn", factor, original, attention * _magnitude(factor, 1.0),
                beta_fast=fields.number("rope.scaling.yarn_beta_fast", 32.0),
                beta_slow=fields.number("rope.scaling.yarn_beta_slow", 1.0),
            )  # fmt: skip
        case "longrope":
            return RopeConfig(
                theta, "longrope", original_context=original, attention_factor=attention,
                short_factors=factors.get("rope_factors_short", ()),
                long_factors=factors.get("rope_factors_long", ()),
            )  # fmt: skip
    raise FormatError(
        f"{fields.source}: rope.scaling.type is {kind!r:.40}; known are none, linear, yarn and "
        "longrope."
    )
