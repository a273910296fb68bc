"""Attention over the paged cache: what `Decoder` calls as `attend` during one step.

A prompt's chunk goes alone, some rows at a time, each over no more keys than its last row sees:
torch's causal kernel computes what it hides too, so this saves up to half. Sequences that decode
one token go together with others of like length. Where a sequence's blocks follow each other in
memory, its keys and values are read in place. Query heads that share a key head stand in for
the length of the query where there is one token: torch's own grouping is 4 times slower there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from kataribe.make.model.configs.config import AttentionSpec, ModelConfig
from kataribe.make.model.layers.recurrence import Recurrence
from kataribe.run.inference.kv_cache import CausalMasks, PagedCache, Places, places_of
from kataribe.run.inference.states import StateStep
from kataribe.run.inference.step import StepBatch

CHUNK_ROWS = 128
"""Rows of a prompt that attend at a time."""
_ALONE = 768
"""From so many tokens on, a straight sequence is read in place and not copied into a group."""
_GROUP_TOKENS = 1 << 15
"""Most tokens copied together, which bounds memory."""


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Tokens of one sequence: rows `low:high` of the step, up to position `end`."""

    low: int
    high: int
    end: int
    first: int | None
    places: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """One token each of several sequences.

    Attributes:
        rows: Of the step, (sequences,); None where they are all of the step, in order.
        blocks: (sequences * blocks each,), padded with whatever block.
        lengths: (sequences, 1).
        width: Blocks each.
        masks: Per window, (sequences, 1, 1, width * block_size).
    """

    rows: Tensor | None
    blocks: Tensor
    lengths: Tensor
    width: int
    masks: dict[int | None, Tensor] = field(default_factory=dict)


class PagedAttention:
    """What stays the same from step to step: specifications, masks, the cache."""

    def __init__(self, config: ModelConfig, cache: PagedCache) -> None:
        self.cache = cache
        self.specs = [config.attention(layer) for layer in range(config.layers)]
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        self.group = config.heads // max(1, config.kv_heads)  # 0 where no layer attends
        self.masks = CausalMasks(CHUNK_ROWS, cache.dtype, cache.device)

    def step(self, batch: StepBatch, states: StateStep | None = None) -> PagedAttend:
        """The past of one step."""
        return PagedAttend(self, batch, states)


class PagedAttend:
    """The past of one step; see `kataribe.make.model.layers.past.Past`.

    q, k, v are (tokens, heads, head_dim), all tokens of the step in the order of its slices.
    """

    def __init__(
        self, common: PagedAttention, batch: StepBatch, states: StateStep | None = None
    ) -> None:
        self._common = common
        self._states = states
        size, device = common.cache.block_size, common.cache.device
        written: list[NDArray[np.int64]] = []
        single: list[tuple[int, Places]] = []
        self._chunks: list[_Rows] = []
        row = 0
        for part in batch.slices:
            places, count = places_of(part, size), len(part.ids)
            written.append(places.written(part.start, size))
            if count == 1 and not (places.first is not None and places.end >= _ALONE):
                single.append((row, places))
            else:
                self._chunks.append(_rows(row, row + count, places, size, device))
            row += count
        every = np.concatenate(written)
        self._count = len(every)
        straight = every[-1] - every[0] == len(every) - 1 and bool((np.diff(every) == 1).all())
        self._first = int(every[0]) if straight else None
        self._written = torch.from_numpy(every).to(device)
        self._groups: list[_Group] = []
        for members in _by_length(single):
            if len(members) == 1:
                at, places = members[0]
                self._chunks.append(_rows(at, at + 1, places, size, device))
            else:
                self._groups.append(_group(members, row, device))
        self._lone = len(self._chunks) == 1 and not self._groups
        self._whole = not self._chunks and len(self._groups) == 1

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Writes the step's keys and values, then attends."""
        keys, values = self._common.cache.layers[layer]
        if self._first is None:
            keys.index_copy_(0, self._written, k)
            values.index_copy_(0, self._written, v)
        else:
            keys.narrow(0, self._first, self._count).copy_(k)
            values.narrow(0, self._first, self._count).copy_(v)
        spec = self._common.specs[layer]
        if self._lone and self._chunks[0].high - self._chunks[0].low <= CHUNK_ROWS:
            return self._read(spec, self._chunks[0], layer, q)
        if self._whole:
            return self._together(spec, self._groups[0], q, keys, values)
        out = q.new_empty(q.shape)
        for chunk in self._chunks:
            out[chunk.low : chunk.high] = self._read(spec, chunk, layer, q[chunk.low : chunk.high])
        for group in self._groups:
            chosen = q if group.rows is None else q[group.rows]
            found = self._together(spec, group, chosen, keys, values)
            if group.rows is None:
                out.copy_(found)
            else:
                out.index_copy_(0, group.rows, found)
        return out

    def recur(self, layer: int, x: Tensor, recurrence: Recurrence) -> Tensor:
        """See `Past`; x is (tokens, width)."""
        assert self._states is not None, "the runner keeps states for models with such layers"
        return self._states.recur(layer, x, recurrence)

    def _read(self, spec: AttentionSpec, chunk: _Rows, layer: int, q: Tensor) -> Tensor:
        """(rows, heads, head_dim) of the tokens of one sequence."""
        common, count = self._common, chunk.high - chunk.low
        start = chunk.end - count
        low = 0 if spec.window is None else max(0, start + 1 - spec.window)
        k, v = common.cache.by_head[layer]
        if chunk.first is not None:
            k = k.narrow(2, chunk.first + low, chunk.end - low)  # (1, kv_heads, read, head_dim)
            v = v.narrow(2, chunk.first + low, chunk.end - low)
        else:
            assert chunk.places is not None
            k, v = (pool.index_select(2, chunk.places[low:]) for pool in (k, v))
        if count == 1:
            folded = q.reshape(1, common.kv_heads, common.group, common.head_dim)
            return _attend(spec, folded, k, v, None).reshape(1, common.heads, common.head_dim)
        q = q.transpose(0, 1)[None]  # (1, heads, rows, head_dim)
        parts = []
        for row in range(0, count, CHUNK_ROWS):
            stop = min(row + CHUNK_ROWS, count)
            end = start + stop - low
            near = 0 if spec.window is None else max(0, start + row + 1 - spec.window - low)
            mask = common.masks.get(spec.window, stop - row, end - near)
            parts.append(
                _attend(spec, q[:, :, row:stop], k[:, :, near:end], v[:, :, near:end], mask)
            )
        out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return out[0].transpose(0, 1)

    def _together(
        self, spec: AttentionSpec, group: _Group, q: Tensor, keys: Tensor, values: Tensor
    ) -> Tensor:
        """(sequences, heads, head_dim) of sequences that decode one token each."""
        common = self._common
        count, size = len(q), common.cache.block_size
        shape = (count, group.width * size, common.kv_heads, common.head_dim)
        k, v = (
            pool.view(-1, size * common.kv_heads * common.head_dim)
            .index_select(0, group.blocks)
            .view(shape)
            .transpose(1, 2)  # (sequences, kv_heads, longest, head_dim)
            for pool in (keys, values)
        )
        mask = group.masks.get(spec.window)
        if mask is None:
            mask = group.masks[spec.window] = self._mask(spec.window, group)
        folded = q.reshape(count, common.kv_heads, common.group, common.head_dim)
        return _attend(spec, folded, k, v, mask).reshape(count, common.heads, common.head_dim)

    def _mask(self, window: int | None, group: _Group) -> Tensor:
        """(sequences, 1, 1, longest) to be added to scores."""
        cache = self._common.cache
        seen = torch.arange(group.width * cache.block_size, device=cache.device)[None, :]
        hidden = seen >= group.lengths
        if window is not None:
            hidden |= seen < group.lengths - window
        blank = torch.zeros(hidden.shape, dtype=cache.dtype, device=cache.device)
        return blank.masked_fill_(hidden, float("-inf"))[:, None, None, :]


def _attend(spec: AttentionSpec, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax attention over (batch, heads, rows, head_dim); k and v may have fewer heads."""
    grouped = q.shape[1] != k.shape[1]
    if spec.softcap is None:
        return functional.scaled_dot_product_attention(
            q, k, v, mask, scale=spec.scale, enable_gqa=grouped
        )
    if grouped:
        k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for x in (k, v))
    scores = torch.tanh((q @ k.mT).float() * (spec.scale / spec.softcap)) * spec.softcap
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1).to(v.dtype) @ v


def _rows(low: int, high: int, places: Places, size: int, device: torch.device) -> _Rows:
    scattered = None
    if places.first is None:
        scattered = torch.from_numpy(places.written(0, size)).to(device)
    return _Rows(low, high, places.end, places.first, scattered)


def _by_length(single: list[tuple[int, Places]]) -> list[list[tuple[int, Places]]]:
    """Groups of sequences whose shortest is at least half as long as the longest.

    Rows of a group stay in the order of the step where one group holds them all.
    """
    groups: list[list[tuple[int, Places]]] = []
    for member in sorted(single, key=lambda one: -one[1].end):
        if groups:
            longest = groups[-1][0][1].end
            fits = (len(groups[-1]) + 1) * longest <= _GROUP_TOKENS
            if fits and member[1].end * 2 + 64 >= longest:
                groups[-1].append(member)
                continue
        groups.append([member])
    for group in groups:
        group.sort(key=lambda one: one[0])
    return groups


def _group(members: Sequence[tuple[int, Places]], tokens: int, device: torch.device) -> _Group:
    width = max(len(places.blocks) for _, places in members)
    blocks = np.zeros((len(members), width), dtype=np.int64)
    for at, (_, places) in enumerate(members):
        blocks[at, : len(places.blocks)] = places.blocks
        blocks[at, len(places.blocks) :] = places.blocks[-1]
    lengths = torch.tensor([[places.end] for _, places in members], device=device)
    rows = torch.tensor([row for row, _ in members], device=device)
    return _Group(
        None if len(members) == tokens else rows,
        torch.from_numpy(blocks.reshape(-1)).to(device),
        lengths,
        width,
    )
