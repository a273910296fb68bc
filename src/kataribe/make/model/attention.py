"""Two ways to attend: over a whole batch at once, and over a plain contiguous cache.

The decoder computes q, k and v and hands them to an `attend`, which owns the past; the engine
brings a paged one of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from kataribe.base.errors import ContextLengthError
from kataribe.make.model.config import AttentionSpec, ModelConfig

Attend: TypeAlias = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q (..., heads, head_dim), k (..., kv_heads, head_dim), v like k) -> like q.

q and k come normed and rotated. Window, scale and softcap are in `ModelConfig.attention(layer)`.
"""


class CausalAttend:
    """Every token of a batch sees itself and what stands before it in its own row.

    For training and whole-sequence logits: q, k, v are (batch, seq, heads, head_dim).

    Args:
        config: The model's.
        mask: (batch, seq), true where a token is real and false where it is padding, left or
            right; None where all are real. Outputs at padding are finite and mean nothing.
    """

    def __init__(self, config: ModelConfig, mask: Tensor | None = None) -> None:
        self._config = config
        self._mask = mask
        self._visible: dict[tuple[int | None, int], Tensor] = {}

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        spec = self._config.attention(layer)
        if self._mask is None and (spec.window is None or spec.window >= q.shape[1]):
            return attend_dense(spec, q, k, v, None)
        key = spec.window, q.shape[1]
        if key not in self._visible:
            self._visible[key] = self._look(*key, q.device)
        return attend_dense(spec, q, k, v, self._visible[key])

    def _look(self, window: int | None, length: int, device: torch.device) -> Tensor:
        """(1 or batch, 1, seq, seq): which token (last but one) sees which."""
        visible = causal_mask(length, length, window, device)[None, None]
        if self._mask is None:
            return visible
        # Padding sees itself: a row that sees nothing would be NaN, and NaN spreads.
        itself = torch.eye(length, dtype=torch.bool, device=device)
        return (visible & self._mask.bool()[:, None, None, :]) | itself


class CachedAttend:
    """A contiguous KV cache: each forward continues the sequences where the last one ended.

    Args:
        config: The model's.
        capacity: Most tokens per sequence; more raise `ContextLengthError`.
        batch: Number of sequences, all of one length.
        dtype: Type of keys and values.
        device: Where they are kept.
    """

    def __init__(
        self,
        config: ModelConfig,
        capacity: int,
        *,
        batch: int = 1,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.layers, batch, capacity, config.kv_heads, config.head_dim)
        self._config = config
        self._keys = torch.empty(shape, dtype=dtype, device=device)
        self._values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0
        """Tokens in the cache."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`; q, k, v are of the new tokens only."""
        end = self.length + q.shape[1]
        if end > self._keys.shape[2]:
            raise ContextLengthError(end, self._keys.shape[2])
        self._keys[layer, :, self.length : end] = k
        self._values[layer, :, self.length : end] = v
        spec = self._config.attention(layer)
        visible = causal_mask(q.shape[1], end, spec.window, q.device)
        keys, values = self._keys[layer, :, :end], self._values[layer, :, :end]
        if layer == self._config.layers - 1:
            self.length = end
        return attend_dense(spec, q, keys, values, visible)


def causal_mask(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """(queries, keys) bool: the queries are the last of the keys; each sees itself and before."""
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None, :]
    visible = key <= query
    return visible if window is None else visible & (key > query - window)


def attend_dense(
    spec: AttentionSpec, q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None
) -> Tensor:
    """Softmax attention (Vaswani et al. 2017) over (batch, seq, heads, head_dim).

    `visible` is bool, broadcast to (batch, heads, queries, keys); None means causal.
    """
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (batch, heads, seq, dim)
    if spec.softcap is None:
        out = functional.scaled_dot_product_attention(
            q, k, v, visible, is_causal=visible is None, scale=spec.scale, enable_gqa=True
        )
        return out.transpose(1, 2)
    if visible is None:
        visible = causal_mask(q.shape[2], k.shape[2], None, q.device)
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    scores = (q @ k.transpose(2, 3) * spec.scale).float()  # (batch, heads, queries, keys)
    scores = spec.softcap * torch.tanh(scores / spec.softcap)
    weights = scores.masked_fill(~visible, -torch.inf).softmax(dim=-1).to(v.dtype)
    return (weights @ v).transpose(1, 2)
