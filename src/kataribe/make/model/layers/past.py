"""The seam between a decoder and what came before: who owns the past of all layers.

Attention layers hand over q, k and v; recurrent layers hand over their inputs and how they read.
Training has no past, the reference generator keeps one for rows of one length, and the engine
keeps those of many sequences.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from kataribe.make.model.layers.recurrence import Recurrence


class Past(Protocol):
    """The past of one forward pass; see `attention.CausalAttend` and `attention.CachedAttend`."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attends: q (..., heads, head_dim), k and v (..., kv_heads, head_dim) -> like q.

        q and k come normed and rotated. Window, scale and softcap are in
        `ModelConfig.attention(layer)`.
        """
        ...

    def recur(self, layer: int, x: Tensor, recurrence: Recurrence) -> Tensor:
        """Lets a layer read (..., width) from where each sequence stands, and keeps its state.

        Returns (..., out width).
        """
        ...
