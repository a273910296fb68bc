"""Attention over the paged cache: what `Decoder` calls as `attend` during one step.

Sequences that decode one token go together, padded to the longest; a prompt's chunk goes alone.
Where a sequence's blocks follow each other in memory, its keys and values are read in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kataribe.make.model.config import AttentionSpec, ModelConfig
from kataribe.run.inference.step import Slice, StepBatch


class PagedCache:
    """Keys and values of all layers: (layers, places, kv_heads, head_dim).

    A block is a run of `block_size` places. The system gives memory when a place is first written.
    """

    def __init__(
        self, config: ModelConfig, blocks: int, block_size: int, dtype: torch.dtype, device: str
    ) -> None:
        shape = (config.layers, blocks * block_size, config.kv_heads, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
        self.block_size = block_size

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies whole blocks from source to target."""
        size = self.block_size
        for pool in (self.keys, self.values):
            for source, target in pairs:
                pool[:, target * size : (target + 1) * size] = pool[
                    :, source * size : (source + 1) * size
                ]


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """Several tokens of one sequence: rows `low:high` of the step, positions `start:end`."""

    low: int
    high: int
    start: int
    end: int
    places: slice | Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Decoding:
    """One token each of several sequences: their rows, and the places they read, padded."""

    rows: Tensor
    places: Tensor
    lengths: Tensor


class PagedAttend:
    """The `attend` of one step; see `kataribe.make.model.attention.Attend`.

    q, k, v are (tokens, heads, head_dim), all tokens of the step in the order of its slices.
    """

    def __init__(self, config: ModelConfig, cache: PagedCache, batch: StepBatch) -> None:
        self._config = config
        self._cache = cache
        self._group = config.heads // config.kv_heads
        device = cache.keys.device
        tables = [_places(part, cache.block_size) for part in batch.slices]
        written: list[Tensor] = []
        chunks: list[_Chunk] = []
        single: list[tuple[int, Tensor]] = []
        row = 0
        for part, table in zip(batch.slices, tables, strict=True):
            count = len(part.ids)
            end = part.start + count
            written.append(table[part.start : end])
            if count == 1:
                single.append((row, table[:end]))
            else:
                chunks.append(_Chunk(row, row + count, part.start, end, _in_place(table[:end])))
            row += count
        self._written = torch.cat(written).to(device)
        if len(single) == 1:
            at, table = single[0]
            chunks.append(_Chunk(at, at + 1, len(table) - 1, len(table), _in_place(table)))
        self._chunks = [_to(chunk, device) for chunk in chunks]
        self._decoding = _pad(single, device) if len(single) > 1 else None
        self._masks: dict[object, Tensor] = {}

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Writes the step's keys and values, then attends."""
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys.index_copy_(0, self._written, k.to(keys.dtype))
        values.index_copy_(0, self._written, v.to(values.dtype))
        spec = self._config.attention(layer)
        out = torch.empty_like(q)
        for chunk in self._chunks:
            out[chunk.low : chunk.high] = self._read(spec, chunk, q, keys, values)
        if self._decoding is not None:
            rows = self._decoding.rows
            out.index_copy_(0, rows, self._decode(spec, self._decoding, q[rows], keys, values))
        return out

    def _read(
        self, spec: AttentionSpec, chunk: _Chunk, q: Tensor, keys: Tensor, values: Tensor
    ) -> Tensor:
        """(rows, heads, head_dim) of one chunk."""
        first = 0 if spec.window is None else max(0, chunk.start + 1 - spec.window)
        if isinstance(chunk.places, slice):
            begin = chunk.places.start
            k, v = (pool[begin + first : begin + chunk.end] for pool in (keys, values))
        else:
            k, v = (pool[chunk.places[first:]] for pool in (keys, values))
        k, v = k.transpose(0, 1)[None], v.transpose(0, 1)[None]  # (1, kv_heads, read, head_dim)
        mine = q[chunk.low : chunk.high]
        count = chunk.high - chunk.low
        if count == 1:  # the group of query heads stands in for the length of the query
            folded = mine.view(1, keys.shape[1], self._group, -1)
            return _attend(spec, folded, k, v, None).view(1, self._config.heads, -1)
        mask = self._chunk_mask(spec.window, chunk, first, q.dtype)
        out = _attend(spec, mine.transpose(0, 1)[None], k, v, mask, causal=mask is None)
        return out[0].transpose(0, 1)

    def _decode(
        self, spec: AttentionSpec, some: _Decoding, q: Tensor, keys: Tensor, values: Tensor
    ) -> Tensor:
        """(sequences, heads, head_dim) of the sequences that decode one token each."""
        k = keys[some.places].transpose(1, 2)  # (sequences, kv_heads, longest, head_dim)
        v = values[some.places].transpose(1, 2)
        folded = q.view(len(q), keys.shape[1], self._group, -1)
        mask = self._decode_mask(spec.window, some, q.dtype)
        return _attend(spec, folded, k, v, mask).reshape(q.shape)

    def _chunk_mask(
        self, window: int | None, chunk: _Chunk, first: int, dtype: torch.dtype
    ) -> Tensor | None:
        """(rows, read) to be added to scores; None where plain causal order is the same."""
        if chunk.start == 0 and (window is None or window >= chunk.end):
            return None
        key = (window, chunk.low)
        if key not in self._masks:
            device = self._cache.keys.device
            query = torch.arange(chunk.start, chunk.end, device=device)[:, None]
            seen = torch.arange(first, chunk.end, device=device)[None, :]
            hidden = seen > query
            if window is not None:
                hidden |= seen <= query - window
            self._masks[key] = _added(hidden, dtype)
        return self._masks[key]

    def _decode_mask(self, window: int | None, some: _Decoding, dtype: torch.dtype) -> Tensor:
        """(sequences, 1, 1, longest) to be added to scores."""
        key = (window, "decoding")
        if key not in self._masks:
            seen = torch.arange(some.places.shape[1], device=some.lengths.device)[None, :]
            hidden = seen >= some.lengths[:, None]
            if window is not None:
                hidden |= seen < some.lengths[:, None] - window
            self._masks[key] = _added(hidden, dtype)[:, None, None, :]
        return self._masks[key]


def _attend(
    spec: AttentionSpec,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    *,
    causal: bool = False,
) -> Tensor:
    """Softmax attention over (batch, heads, rows, head_dim); k and v may have fewer heads."""
    if spec.softcap is None:
        return functional.scaled_dot_product_attention(
            q, k, v, mask, is_causal=causal, scale=spec.scale, enable_gqa=q.shape[1] != k.shape[1]
        )
    if q.shape[1] != k.shape[1]:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    scores = torch.tanh(q @ k.mT * (spec.scale / spec.softcap)) * spec.softcap
    if causal:
        hidden = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).triu(1)
        mask = _added(hidden, q.dtype)
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1, dtype=torch.float32).to(q.dtype) @ v


def _added(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(
        hidden, float("-inf")
    )


def _places(part: Slice, block_size: int) -> Tensor:
    """Where the positions of a slice's sequence lie, up to its last token: int64 (end,)."""
    end = part.start + len(part.ids)
    blocks = torch.tensor(part.blocks[: -(-end // block_size)], dtype=torch.int64)
    places = blocks[:, None] * block_size + torch.arange(block_size)[None, :]
    return places.flatten()[:end]


def _in_place(places: Tensor) -> slice | Tensor:
    """A slice where the places follow each other, else the places."""
    first, count = int(places[0]), len(places)
    if int(places[-1]) - first == count - 1 and bool((places.diff() == 1).all()):
        return slice(first, first + count)
    return places


def _to(chunk: _Chunk, device: torch.device) -> _Chunk:
    if isinstance(chunk.places, slice):
        return chunk
    return _Chunk(chunk.low, chunk.high, chunk.start, chunk.end, chunk.places.to(device))


def _pad(single: Sequence[tuple[int, Tensor]], device: torch.device) -> _Decoding:
    lengths = torch.tensor([len(places) for _, places in single])
    padded = torch.zeros(len(single), int(lengths.max()), dtype=torch.int64)
    for at, (_, places) in enumerate(single):
        padded[at, : len(places)] = places
    rows = torch.tensor([row for row, _ in single])
    return _Decoding(rows.to(device), padded.to(device), lengths.to(device))
