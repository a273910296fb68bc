"""Rotary position embeddings: turning heads by angles that grow with the position."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

from kataribe.make.model.configs.config import RopeConfig
from kataribe.make.model.configs.frequencies import inverse_frequencies

Rotation: TypeAlias = tuple[Tensor, Tensor]
"""(cos, sin), each (..., 1, head_dim): the same for every head; sin carries the signs."""


def rotation(
    rope: RopeConfig, positions: Tensor, *, head_dim: int, length: int, dtype: torch.dtype
) -> Rotation:
    """Cosines and sines that turn heads at `positions` (...), in `dtype`.

    `length` is the number of tokens of the sequence; only `dynamic` and `longrope` ask for it.
    """
    found = inverse_frequencies(rope, head_dim, length)
    frequencies = torch.from_numpy(found).to(positions.device)
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
