"""The decoder's parameters and their shapes, said without building it.

A test holds this list against the decoder itself, in every configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.mixer_shapes import mixer_shapes

Shape: TypeAlias = tuple[int, ...]


def shapes(config: ModelConfig) -> dict[str, Shape]:
    """Names as `Decoder.named_parameters()` has them, and in its order; a tied head has none."""
    wide = (config.vocab_size, config.hidden_size)
    found: dict[str, Shape] = {"embed.weight": wide}
    if config.learned_positions:
        found["positions.weight"] = (config.context_length, config.hidden_size)
    for layer in range(config.layers):
        found.update((f"blocks.{layer}.{name}", shape) for name, shape in _block(config, layer))
    found.update(_norm(config, "norm"))
    if not config.tied:
        found["head.weight"] = wide
    return found


def _block(config: ModelConfig, layer: int) -> Iterator[tuple[str, Shape]]:
    attends = config.mixers[layer] == "attention"
    yield from _norm(config, "attention_norm" if attends else "mixer_norm")
    if attends:
        yield from _attention(config)
    else:
        yield from ((f"mixer.{name}", shape) for name, shape in mixer_shapes(config, layer))
    if config.post_norms:
        yield from _norm(config, "attention_post_norm")
    if config.has_experts(layer):
        yield from _norm(config, "mlp_norm")
        yield from _experts(config)
    elif config.intermediate_size:
        yield from _norm(config, "mlp_norm")
        yield from _mlp(config, "mlp", config.intermediate_size)
    if config.post_norms:
        yield from _norm(config, "mlp_post_norm")


def _attention(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
    for part, rows in (("q", width), ("k", kv_width), ("v", kv_width)):
        name = f"attention.project.{part}"
        yield from _linear(name, rows, config.hidden_size, bias=config.qkv_bias)
    if config.qk_norm:
        yield "attention.q_norm.weight", (config.head_dim,)
        yield "attention.k_norm.weight", (config.head_dim,)
    if config.inner_norms:
        yield from _norm(config, "attention.inner_norm", width)
    yield from _linear("attention.output", config.hidden_size, width, bias=config.output_bias)


def _mlp(config: ModelConfig, name: str, width: int) -> Iterator[tuple[str, Shape]]:
    for part in ("gate_up.gate", "gate_up.up") if config.gated else ("up",):
        yield from _linear(f"{name}.{part}", width, config.hidden_size, bias=config.mlp_bias)
    if config.inner_norms:
        yield from _norm(config, f"{name}.inner_norm", width)
    yield from _linear(f"{name}.down", config.hidden_size, width, bias=config.mlp_bias)


def _experts(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    spec = config.experts
    assert spec is not None
    yield "mlp.router.weight", (spec.count, config.hidden_size)
    for expert in range(spec.count):
        yield from _mlp(config, f"mlp.experts.{expert}", spec.width)
    if spec.shared_width:
        yield from _mlp(config, "mlp.shared", spec.shared_width)
    if spec.shared_gate:
        yield "mlp.shared_gate.weight", (1, config.hidden_size)


def _norm(config: ModelConfig, name: str, width: int = 0) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (width or config.hidden_size,)
    if config.norm == "layer":
        yield f"{name}.bias", (width or config.hidden_size,)


def _linear(name: str, rows: int, columns: int, *, bias: bool) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)
