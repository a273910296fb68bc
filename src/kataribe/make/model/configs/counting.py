"""Exact figures of a model, from its configuration alone: parameters, cache and work."""

from __future__ import annotations

import math

from kataribe.make.model.configs.config import Mixer, ModelConfig
from kataribe.make.model.configs.shapes import shapes


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
    """Bytes of keys and values that one token takes in all layers, windows not cut.

    Recurrent layers keep none; see `state_bytes`.
    """
    attending = config.mixers.count("attention")
    return 2 * attending * config.kv_heads * config.head_dim * bytes_per_value


def state_bytes(config: ModelConfig, length: int = 0) -> int:
    """Bytes of the float32 states of one sequence of `length`, all recurrent layers together.

    The same at every length but in layers of Hyena, which keep all that their long convolutions
    were given.
    """
    return 4 * sum(_state_values(config, mixer, length) for mixer in config.mixers)


def cache_tokens(config: ModelConfig, length: int) -> int:
    """Tokens that layers of attention keep in all for one sequence of `length`, windows cut."""
    return sum(
        length if window is None else min(window, length)
        for window, mixer in zip(config.windows, config.mixers, strict=True)
        if mixer == "attention"
    )


def flops_per_token(config: ModelConfig, position: int) -> int:
    """Floating-point operations of the matrix products for the token at `position`.

    A product of (1, n) with (n, m) counts 2 n m. Attention counts its two products over the
    tokens that the layer sees, position + 1 of them or its window. Norms, rotations, softmax and
    the embedding's lookup are left out, as is usual (Kaplan et al. 2020).

    Recurrent layers count their convolutions, and three products for each number of their state:
    decay, input and output. The filters of Hyena are made once for all tokens and left out.
    """
    spec = config.experts
    used, of = (1, 1) if spec is None else (spec.per_token, spec.count)
    matrices = sum(
        math.prod(shape) * _share(name, used, of)
        for name, shape in shapes(config).items()
        if name.startswith("blocks.") and len(shape) == 2 and not name.endswith(".A_log")
        if ".mixer.filter." not in name
    )
    head = config.vocab_size * config.hidden_size
    attention = 2 * config.heads * config.head_dim * cache_tokens(config, position + 1)
    recurrent = sum(_recurrent_products(config, mixer, position) for mixer in config.mixers)
    return 2 * (matrices + head + attention + recurrent)


def _state_values(config: ModelConfig, mixer: Mixer, length: int) -> int:
    """Numbers that a layer keeps of a sequence beside keys and values."""
    if mixer == "mamba" and config.mamba is not None:
        return config.mamba.state_values
    if mixer == "mamba2" and config.mamba2 is not None:
        return config.mamba2.state_values
    if mixer == "hyena" and config.hyena is not None:
        order, window = config.hyena.order, config.hyena.kernel - 1
        return config.hidden_size * ((order + 1) * window + (order - 1) * length)
    return 0


def _recurrent_products(config: ModelConfig, mixer: Mixer, position: int) -> int:
    """Products along the sequence for the token at `position`."""
    if mixer == "mamba" and config.mamba is not None:
        return config.mamba.width * (config.mamba.kernel + 3 * config.mamba.states)
    if mixer == "mamba2" and config.mamba2 is not None:
        spec = config.mamba2
        return spec.convolved * spec.kernel + 3 * spec.width * spec.states
    if mixer == "hyena" and config.hyena is not None:
        order, kernel = config.hyena.order, config.hyena.kernel
        return config.hidden_size * ((order + 1) * kernel + (order - 1) * (position + 1))
    return 0


def _share(name: str, used: int, of: int) -> int:
    """1, or 0 for a parameter of an expert beyond the first `used` of them, who stand for all."""
    if used == of or ".mlp.experts." not in name:
        return 1
    return int(int(name.split(".")[4]) < used)  # blocks.LAYER.mlp.experts.NUMBER
