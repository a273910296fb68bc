"""Two pasts: of a whole batch at once, and one that is kept from forward to forward.

The decoder computes q, k and v and hands them to a `Past`, which owns what came before, and so do
recurrent layers with their inputs; the engine brings a paged one of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from kataribe.base.errors import ContextLengthError
from kataribe.make.model.configs.config import AttentionSpec, ModelConfig
from kataribe.make.model.layers.recurrence import Recurrence, State, beginnings

Attend: TypeAlias = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, q (..., heads, head_dim), k (..., kv_heads, head_dim), v like k) -> like q.

The half of a `Past` that attention layers use. q and k come normed and rotated. Window, scale and
softcap are in `ModelConfig.attention(layer)`.
"""


class CausalAttend:
    """Every token of a batch sees itself and what stands before it in its own row.

    For training and whole-sequence logits: q, k, v are (batch, seq, heads, head_dim).

    Args:
        config: The model's.
        mask: (batch, seq), true where a token is real and false where it is padding, left or
            right; None where all are real. Outputs at padding are finite and mean nothing.
        documents: (batch, seq), numbers of the documents that are packed into a row: tokens see
            none but those of their own. None where each row is one.
    """

    def __init__(
        self, config: ModelConfig, mask: Tensor | None = None, documents: Tensor | None = None
    ) -> None:
        self._config = config
        self._mask = mask
        self._documents = documents
        self._fresh = beginnings(mask, documents)
        self._visible: dict[tuple[int | None, int], Tensor] = {}

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        spec = self._config.attention(layer)
        is_plain = self._mask is None and self._documents is None
        if is_plain and (spec.window is None or spec.window >= q.shape[1]):
            return attend_dense(spec, q, k, v, None)
        key = spec.window, q.shape[1]
        if key not in self._visible:
            self._visible[key] = self._look(*key, q.device)
        return attend_dense(spec, q, k, v, self._visible[key])

    def recur(self, layer: int, x: Tensor, recurrence: Recurrence) -> Tensor:  # noqa: ARG002
        """See `Past`."""
        return recurrence.advance(x, recurrence.start(x.shape[0], x), self._fresh)[0]

    def _look(self, window: int | None, length: int, device: torch.device) -> Tensor:
        """(1 or batch, 1, seq, seq): which token (last but one) sees which."""
        visible = causal_mask(length, length, window, device)[None, None]
        if self._documents is not None:
            visible = visible & (
                self._documents[:, None, :, None] == self._documents[:, None, None]
            )
        if self._mask is None:
            return visible
        # Padding sees itself: a row that sees nothing would be NaN, and NaN spreads.
        itself = torch.eye(length, dtype=torch.bool, device=device)
        return (visible & self._mask.bool()[:, None, None, :]) | itself


class CachedAttend:
    """A contiguous KV cache and states: each forward goes on where the last one ended.

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
        attending = [n for n, mixer in enumerate(config.mixers) if mixer == "attention"]
        shape = (len(attending), batch, capacity, config.kv_heads, config.head_dim)
        self._config = config
        self._place = {layer: place for place, layer in enumerate(attending)}
        self._keys = torch.empty(shape, dtype=dtype, device=device)
        self._values = torch.empty(shape, dtype=dtype, device=device)
        self.length = 0
        """Tokens in the cache."""
        self.states: dict[int, State] = {}
        """What recurrent layers keep, by layer."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`; q, k, v are of the new tokens only."""
        end = self._end(q.shape[1])
        own_keys, own_values = self._keys[self._place[layer]], self._values[self._place[layer]]
        own_keys[:, self.length : end] = k
        own_values[:, self.length : end] = v
        spec = self._config.attention(layer)
        visible = causal_mask(q.shape[1], end, spec.window, q.device)
        if layer == self._config.layers - 1:
            self.length = end
        return attend_dense(spec, q, own_keys[:, :end], own_values[:, :end], visible)

    def recur(self, layer: int, x: Tensor, recurrence: Recurrence) -> Tensor:
        """See `Past`; x is of the new tokens only."""
        end = self._end(x.shape[1])
        state = self.states.get(layer) or recurrence.start(x.shape[0], x)
        out, self.states[layer] = recurrence.advance(x, state, None)
        if layer == self._config.layers - 1:
            self.length = end
        return out

    def _end(self, tokens: int) -> int:
        """Tokens in the cache when these are there."""
        end = self.length + tokens
        if end > self._keys.shape[2]:
            raise ContextLengthError(end, self._keys.shape[2])
        return end


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
