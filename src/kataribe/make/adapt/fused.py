"""Projections that read the same input, as one product: fewer and larger steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kataribe.make.adapt.linears import PackedLinear


class FusedQKV(nn.Module):
    """q, k and v of all heads as rows of one matrix, in this order."""

    def __init__(self, linear: PackedLinear, heads: int, kv_heads: int, head_dim: int) -> None:
        super().__init__()
        self.linear = linear
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., hidden_size) to q (..., heads, head_dim), k and v (..., kv_heads, head_dim)."""
        every = self.linear(x).unflatten(-1, (-1, self.head_dim))
        q, k, v = every.split_with_sizes((self.heads, self.kv_heads, self.kv_heads), dim=-2)
        return q, k, v


class FusedGateUp(nn.Module):
    """gate and up as rows of one matrix, in this order."""

    def __init__(self, linear: PackedLinear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., hidden_size) to (..., intermediate_size) twice."""
        gate, up = self.linear(x).chunk(2, dim=-1)
        return gate, up


def join_biases(biases: list[Tensor | None]) -> Tensor | None:
    """Biases of joined matrices, one after another; None where none has one."""
    present = [bias for bias in biases if bias is not None]
    return torch.cat(present) if present else None
