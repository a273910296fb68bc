"""Rotary position embeddings and every way these families stretch them to longer contexts.

Inverse frequencies are made in float32, whatever the model's type: in bfloat16 neighbouring
positions beyond a few hundred would fall together.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor

from kataribe.make.model.config import RopeConfig

Rotation: TypeAlias = tuple[Tensor, Tensor]
"""(cos, sin), each (..., 1, head_dim): the same for every head; sin carries the signs."""


def rotation(
    rope: RopeConfig, positions: Tensor, *, head_dim: int, length: int, dtype: torch.dtype
) -> Rotation:
    """Cosines and sines that turn heads at `positions` (...), in `dtype`.

    `length` is the number of tokens of the sequence; only `dynamic` and `longrope` ask for it.
    """
    frequencies = inverse_frequencies(rope, head_dim, length).to(positions.device)
    angles = positions[..., None, None].float() * frequencies  # (..., 1, head_dim / 2)
    cos, sin = angles.cos(), angles.sin()
    cos = torch.cat((cos, cos), dim=-1) * rope.attention_factor  # (..., 1, head_dim)
    sin = torch.cat((-sin, sin), dim=-1) * rope.attention_factor  # (..., 1, head_dim)
    return cos.to(dtype), sin.to(dtype)


def rotate(heads: Tensor, turn: Rotation) -> Tensor:
    """Turns each pair (i, i + head_dim / 2) of `heads` (..., heads, head_dim) by its angle.

    Three kernels: rolling by half swaps the two of a pair, the signs are in the sines.
    """
    cos, sin = turn
    return torch.addcmul(heads * cos, heads.roll(heads.shape[-1] // 2, -1), sin)


def depends_on_length(rope: RopeConfig | None) -> bool:
    """The same position turns differently in a longer sequence."""
    return rope is not None and rope.kind in ("dynamic", "longrope")


def inverse_frequencies(rope: RopeConfig, head_dim: int, length: int) -> Tensor:
    """Radians per position, float32 (head_dim / 2,), for a sequence of `length` tokens."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    match rope.kind:
        case "dynamic":
            return 1.0 / _dynamic_theta(rope, head_dim, length) ** exponents
        case "longrope":
            factors = rope.long_factors if length > _original(rope) else rope.short_factors
            return 1.0 / (torch.tensor(factors, dtype=torch.float32) * rope.theta**exponents)
        case "yarn":
            return _yarn(rope, head_dim, rope.theta**exponents)
        case "llama3":
            return _llama3(rope, 1.0 / rope.theta**exponents)
        case _:  # default, linear (Chen et al. 2023)
            return 1.0 / rope.theta**exponents / rope.factor


def _dynamic_theta(rope: RopeConfig, head_dim: int, length: int) -> float:
    """Dynamic NTK-aware scaling (bloc97, emozilla 2023): the base grows with the sequence."""
    original = _original(rope)
    stretch = rope.factor * max(length, original) / original - (rope.factor - 1)
    return float(rope.theta * stretch ** (head_dim / (head_dim - 2)))


def _yarn(rope: RopeConfig, head_dim: int, wavelengths: Tensor) -> Tensor:
    """YaRN (Peng et al. 2023), equation 23: fast dimensions as they are, slow ones stretched."""

    def dimension(turns: float) -> float:
        """Which dimension turns so often within the original context."""
        ratio = _original(rope) / (turns * 2 * math.pi)
        return head_dim * math.log(ratio) / (2 * math.log(rope.theta))

    low, high = dimension(rope.beta_fast), dimension(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    if low == high:
        high += 0.001  # no division by zero
    steps = torch.arange(head_dim // 2, dtype=torch.float32)
    stretched = ((steps - low) / (high - low)).clamp(0, 1)
    return 1.0 / (rope.factor * wavelengths) * stretched + 1.0 / wavelengths * (1 - stretched)


def _llama3(rope: RopeConfig, frequencies: Tensor) -> Tensor:
    """Llama 3.1: short waves as they are, long ones stretched, a smooth way between."""
    turns = _original(rope) * frequencies / (2 * math.pi)  # within the original context
    span = rope.high_freq_factor - rope.low_freq_factor
    kept = ((turns - rope.low_freq_factor) / span).clamp(0, 1)
    return (1 - kept) * frequencies / rope.factor + kept * frequencies


def _original(rope: RopeConfig) -> int:
    assert rope.original_context is not None, "RopeConfig checks it"
    return rope.original_context
