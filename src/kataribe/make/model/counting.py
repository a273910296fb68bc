"""Exact figures of a model, from its configuration alone: parameters, cache and work."""

from __future__ import annotations

import math

from kataribe.make.model.config import ModelConfig
from kataribe.make.model.shapes import shapes


def parameter_count(config: ModelConfig) -> int:
    """Learned numbers; a tied head counts once."""
    return sum(math.prod(shape) for shape in shapes(config).values())


def active_parameters(config: ModelConfig) -> int:
    """Learned numbers that one token meets: all but the experts that it does not go through."""
    spec = config.experts
    if spec is None:
        return parameter_count(config)
    return sum(
        math.prod(shape) * _share(name, spec.per_token, spec.count)
        for name, shape in shapes(config).items()
    )


def cache_bytes_per_token(config: ModelConfig, bytes_per_value: int = 2) -> int:
    """Bytes of keys and values that one token takes in all layers, windows not cut."""
    return 2 * config.layers * config.kv_heads * config.head_dim * bytes_per_value


def cache_tokens(config: ModelConfig, length: int) -> int:
    """Tokens that the layers keep in all for one sequence of `length`, windows cut."""
    return sum(length if window is None else min(window, length) for window in config.windows)


def flops_per_token(config: ModelConfig, position: int) -> int:
    """Floating-point operations of the matrix products for the token at `position`.

    A product of (1, n) with (n, m) counts 2 n m. Attention counts its two products over the
    tokens that the layer sees, position + 1 of them or its window. Norms, rotations, softmax and
    the embedding's lookup are left out, as is usual (Kaplan et al. 2020).
    """
    spec = config.experts
    used, of = (1, 1) if spec is None else (spec.per_token, spec.count)
    matrices = sum(
        math.prod(shape) * _share(name, used, of)
        for name, shape in shapes(config).items()
        if name.startswith("blocks.") and len(shape) == 2
    )
    head = config.vocab_size * config.hidden_size
    attention = 2 * config.heads * config.head_dim * cache_tokens(config, position + 1)
    return 2 * (matrices + head + attention)


def _share(name: str, used: int, of: int) -> int:
    """1, or 0 for a parameter of an expert beyond the first `used` of them, who stand for all."""
    if used == of or ".mlp.experts." not in name:
        return 1
    return int(int(name.split(".")[4]) < used)  # blocks.LAYER.mlp.experts.NUMBER
