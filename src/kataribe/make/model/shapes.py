"""The decoder's parameters and their shapes, said without building it.

A test holds this list against the decoder itself, in every configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from kataribe.make.model.config import ModelConfig

Shape: TypeAlias = tuple[int, ...]


def shapes(config: ModelConfig) -> dict[str, Shape]:
    """Names as `Decoder.named_parameters()` has them, and in its order; a tied head has none."""
    wide = (config.vocab_size, config.hidden_size)
    found: dict[str, Shape] = {"embed.weight": wide}
    if config.learned_positions:
        found["positions.weight"] = (config.context_length, config.hidden_size)
    block = [*_block(config)]
    for layer in range(config.layers):
        found.update((f"blocks.{layer}.{name}", shape) for name, shape in block)
    found.update(_norm(config, "norm"))
    if not config.tied:
        found["head.weight"] = wide
    return found


def _block(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
    hidden, inner = config.hidden_size, config.intermediate_size
    yield from _norm(config, "attention_norm")
    for part, rows in (("q", width), ("k", kv_width), ("v", kv_width)):
        yield from _linear(f"attention.project.{part}", rows, hidden, bias=config.qkv_bias)
    if config.qk_norm:
        yield "attention.q_norm.weight", (config.head_dim,)
        yield "attention.k_norm.weight", (config.head_dim,)
    yield from _linear("attention.output", hidden, width, bias=config.output_bias)
    if config.post_norms:
        yield from _norm(config, "attention_post_norm")
    yield from _norm(config, "mlp_norm")
    for name in ("gate_up.gate", "gate_up.up") if config.gated else ("up",):
        yield from _linear(f"mlp.{name}", inner, hidden, bias=config.mlp_bias)
    yield from _linear("mlp.down", hidden, inner, bias=config.mlp_bias)
    if config.post_norms:
        yield from _norm(config, "mlp_post_norm")


def _norm(config: ModelConfig, name: str) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (config.hidden_size,)
    if config.norm == "layer":
        yield f"{name}.bias", (config.hidden_size,)


def _linear(name: str, rows: int, columns: int, *, bias: bool) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)
