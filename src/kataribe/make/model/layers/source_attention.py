"""How an encoder-decoder attends: within a source, and from a target to itself and the source.

`TargetAttend` sees a whole target at once (training, the uncached form), `CachedTarget` continues
one step by step; the engine brings a paged one of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from kataribe.base.errors import ContextLengthError
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig

Bias: TypeAlias = Callable[[Tensor], Tensor]
"""Distances int64 (...), key less query -> (heads, ...), to be added to scores."""


class AttendBoth(Protocol):
    """What a decoder's block asks of its past and of its source.

    q, k and v are (..., heads, head_dim), of the tokens that are computed now.
    """

    def begin(self, x: Tensor, relative: Bias | None) -> None:
        """Comes before the first block: what goes into it (..., hidden_size), and the bias.

        What depends on places alone is made here once for all blocks, and outside of them, so
        that a block can be computed a second time (activation checkpointing).
        """
        ...

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of each token to itself and what stands before it; like q."""
        ...

    def source(self, layer: int, q: Tensor) -> Tensor:
        """Attention of each token to the whole source; like q."""
        ...


class SourceAttend:
    """Every token of a source sees every real one of it.

    Args:
        config: The model's.
        mask: (batch, source), true where a token is real; None where all are.
        documents: (batch, source), the number of each token's document, where several sources
            stand in a row; a token sees its own. None for one.
    """

    def __init__(
        self,
        config: EncoderDecoderConfig,
        mask: Tensor | None = None,
        documents: Tensor | None = None,
    ) -> None:
        self._scale = config.encoder.scale
        self._hidden = None if mask is None else ~mask.bool()[:, None, None, :]
        if documents is not None:
            self._hidden = apart(documents, documents)
        self._added: Tensor | None = None

    def begin(self, x: Tensor, relative: Bias | None) -> None:
        """As `AttendBoth.begin`; x is (batch, source, hidden_size)."""
        if relative is None and self._hidden is None:
            return
        at = torch.arange(x.shape[1], device=x.device)
        bias = None if relative is None else relative(at[None, :] - at[:, None])[None]
        self._added = added_scores(bias, self._hidden, x)

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(batch, source, heads, head_dim) from three of the same."""
        return attend_added(q, k, v, self._scale, self._added)


class TargetAttend:
    """A whole target at once: each token sees itself, what stands before it, and the source.

    Args:
        config: The model's.
        looked_at: `EncoderDecoder.look_at`, (batch, source, heads, head_dim) twice per layer.
        source_mask: (batch, source), true where a source token is real; None where all are.
        documents: Numbers of the documents of source (batch, source) and target (batch, target)
            tokens, where several pairs stand in a row; a token sees its own. None for one.
    """

    def __init__(
        self,
        config: EncoderDecoderConfig,
        looked_at: Sequence[tuple[Tensor, Tensor]],
        source_mask: Tensor | None = None,
        documents: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self._scale = config.decoder.scale
        self._looked_at = looked_at
        self._unreal = None if source_mask is None else ~source_mask.bool()[:, None, None, :]
        self._others: Tensor | None = None
        if documents is not None:
            source, target = documents
            self._unreal, self._others = apart(target, source), apart(target, target)
        self._added: Tensor | None = None
        self._source_added: Tensor | None = None

    def begin(self, x: Tensor, relative: Bias | None) -> None:
        """See `AttendBoth`."""
        self._added = causal_scores(x.shape[1], x.shape[1], relative, x)
        if self._others is not None:
            self._added = self._added.masked_fill(self._others, -torch.inf)
        if self._unreal is not None:
            self._source_added = added_scores(None, self._unreal, x)

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `AttendBoth`."""
        del layer
        return attend_added(q, k, v, self._scale, self._added)

    def source(self, layer: int, q: Tensor) -> Tensor:
        """See `AttendBoth`."""
        keys, values = self._looked_at[layer]
        return attend_added(q, keys, values, self._scale, self._source_added)


class CachedTarget:
    """Contiguous caches of one batch: each decode continues the targets where the last ended.

    The source's keys and values are computed once and never change.

    Args:
        config: The model's.
        looked_at: `EncoderDecoder.look_at` of the sources.
        capacity: Most target tokens, the start token included; more raise `ContextLengthError`.
        source_mask: As in `TargetAttend`.
    """

    def __init__(
        self,
        config: EncoderDecoderConfig,
        looked_at: Sequence[tuple[Tensor, Tensor]],
        capacity: int,
        source_mask: Tensor | None = None,
    ) -> None:
        first = looked_at[0][0]
        stack = config.decoder
        shape = (stack.layers, first.shape[0], capacity, stack.heads, stack.head_dim)
        self._layers = stack.layers
        self._scale = stack.scale
        self._keys, self._values = first.new_empty(shape), first.new_empty(shape)
        self._source = TargetAttend(config, looked_at, source_mask)
        self._added: Tensor | None = None
        self.length = 0
        """Tokens in the cache."""

    def begin(self, x: Tensor, relative: Bias | None) -> None:
        """See `AttendBoth`."""
        end = self.length + x.shape[1]
        if end > self._keys.shape[2]:
            raise ContextLengthError(end, self._keys.shape[2])
        self._source.begin(x, None)
        self._added = causal_scores(x.shape[1], end, relative, x)

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `AttendBoth`."""
        end = self.length + q.shape[1]
        self._keys[layer, :, self.length : end] = k
        self._values[layer, :, self.length : end] = v
        keys, values = self._keys[layer, :, :end], self._values[layer, :, :end]
        if layer == self._layers - 1:
            self.length = end
        return attend_added(q, keys, values, self._scale, self._added)

    def source(self, layer: int, q: Tensor) -> Tensor:
        """See `AttendBoth`."""
        return self._source.source(layer, q)


def apart(queries: Tensor, keys: Tensor) -> Tensor:
    """(batch, 1, queries, keys), true where two tokens are of different documents."""
    return (queries[:, :, None] != keys[:, None, :])[:, None]


def causal_scores(queries: int, keys: int, relative: Bias | None, like: Tensor) -> Tensor:
    """(1, heads or 1, queries, keys) to be added to scores: the queries are the last keys."""
    query = torch.arange(keys - queries, keys, device=like.device)[:, None]
    distance = torch.arange(keys, device=like.device)[None, :] - query
    bias = None if relative is None else relative(distance)[None]
    return added_scores(bias, (distance > 0)[None, None], like)


def added_scores(bias: Tensor | None, hidden: Tensor | None, like: Tensor) -> Tensor:
    """What is added to scores, in the type of `like`: a bias, and -inf where it is hidden.

    Both are broadcast to (batch, heads, queries, keys). A row of which everything is hidden
    (a source of padding only) sees all instead: it would be NaN, and NaN spreads.
    """
    if bias is None:
        assert hidden is not None
        bias = torch.zeros((1, 1, 1, 1), dtype=like.dtype, device=like.device)
    bias = bias.to(like.dtype)
    if hidden is None:
        return bias
    nothing = hidden.all(dim=-1, keepdim=True)
    return bias.masked_fill(hidden & ~nothing, -torch.inf)


def attend_added(q: Tensor, k: Tensor, v: Tensor, scale: float, added: Tensor | None) -> Tensor:
    """Softmax attention over (batch, seq, heads, head_dim); `added` goes to the scores."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (batch, heads, seq, dim)
    out = functional.scaled_dot_product_attention(q, k, v, added, scale=scale)
    return out.transpose(1, 2)


def bucket(distances: Tensor, buckets: int, most: int, *, both_ways: bool) -> Tensor:
    """The bucket of each distance (key less query), int64 of the same shape (Raffel et al. 2020).

    Small distances have buckets of their own; beyond, buckets grow geometrically up to `most`.
    Both ways, keys after the query have the upper half of the buckets; one way, they are seen as
    the query itself, because they are hidden anyway.
    """
    first = torch.zeros_like(distances)
    if both_ways:
        buckets //= 2
        first = (distances > 0).long() * buckets
        far = distances.abs()
    else:
        far = (-distances).clamp(min=0)
    exact = buckets // 2
    # In float32, as those who trained these models did: a double would round some distances to
    # another bucket.
    grown = torch.log(far.float().clamp(min=1) / exact) / math.log(most / exact)
    large = (exact + (grown * (buckets - exact)).long()).clamp(max=buckets - 1)
    return first + torch.where(far < exact, far, large)


def sinusoids(positions: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """(..., width) of positions (...): sines first, then cosines (Vaswani et al. 2017)."""
    sines = (width + 1) // 2
    columns = torch.arange(sines, device=positions.device, dtype=torch.float64)
    angles = positions.double()[..., None] / 10000 ** (2 * columns / width)
    both = torch.cat([angles.sin(), angles[..., : width - sines].cos()], dim=-1)
    return both.to(dtype)
