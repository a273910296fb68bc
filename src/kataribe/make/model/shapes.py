"""The decoder's parameters and their shapes, said without building it.

A test holds this list against the decoder itself, in every configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from kataribe.base.errors import ArchitectureError
from kataribe.make.model.config import Mixer, ModelConfig

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
    yield from _norm(config, "attention_norm")
    yield from _mixer(config, layer)
    if config.post_norms:
        yield from _norm(config, "attention_post_norm")
    yield from _norm(config, "mlp_norm")
    yield from _mlp(config)
    if config.post_norms:
        yield from _norm(config, "mlp_post_norm")


def _mixer(config: ModelConfig, layer: int) -> Iterator[tuple[str, Shape]]:
    parts = _MIXERS.get(config.mixers[layer])
    if parts is None:
        raise ArchitectureError(f"Layers of {config.mixers[layer]} are not built.")
    return parts(config)


def _attention(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
    for part, rows in (("q", width), ("k", kv_width), ("v", kv_width)):
        name = f"attention.project.{part}"
        yield from _linear(name, rows, config.hidden_size, bias=config.qkv_bias)
    if config.qk_norm:
        yield "attention.q_norm.weight", (config.head_dim,)
        yield "attention.k_norm.weight", (config.head_dim,)
    yield from _linear("attention.output", config.hidden_size, width, bias=config.output_bias)


_MIXERS: Mapping[Mixer, Callable[[ModelConfig], Iterator[tuple[str, Shape]]]] = {
    "attention": _attention,
}
"""What a layer's mixer is made of."""


def _mlp(config: ModelConfig) -> Iterator[tuple[str, Shape]]:
    hidden, inner = config.hidden_size, config.intermediate_size
    for name in ("gate_up.gate", "gate_up.up") if config.gated else ("up",):
        yield from _linear(f"mlp.{name}", inner, hidden, bias=config.mlp_bias)
    yield from _linear("mlp.down", hidden, inner, bias=config.mlp_bias)


def _norm(config: ModelConfig, name: str) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (config.hidden_size,)
    if config.norm == "layer":
        yield f"{name}.bias", (config.hidden_size,)


def _linear(name: str, rows: int, columns: int, *, bias: bool) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)
