"""Attention of encoder-decoders over the paged cache, for one step of many sequences.

A sequence's places hold two kinds of keys and values, of the same shapes: those of positions that
the encoder read are what the decoder sees of the source, those behind are the decoder's own. So
one pool of blocks serves both, and nothing of it lies idle.

Sequences that decode one token go together with others of like length while they are short; who
is longer, or computes several (one that lost its blocks), goes alone and is read where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kataribe.make.model.layers.source_attention import Bias, added_scores, attend_added
from kataribe.run.inference.kv_cache import PagedCache
from kataribe.run.inference.step import Slice

ALONE = 64
"""From so many keys on, a sequence in blocks that follow each other is read in place: 16 sequences
of 100 source tokens and 60 M parameters then take 36 ms a step on one core, copied together 66."""
GROUP_TOKENS = 1 << 15
"""Most tokens whose keys are copied together, which bounds memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The decoder's tokens of a slice.

    Attributes:
        ids: Token ids.
        start: Position of `ids[0]` in the target, counted from its start token.
        written: Places of `ids`.
        own: Where the target lies up to the last of `ids`.
        source: Where the source lies.
    """

    ids: NDArray[np.int64]
    start: int
    written: NDArray[np.int64]
    own: Stretch
    source: Stretch


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Some of a sequence's positions in the cache.

    Attributes:
        blocks: The blocks in which they lie, int64.
        low: Places of the first block that are before them.
        high: One past their last place, counted from the first block's beginning.
    """

    blocks: NDArray[np.int64]
    low: int
    high: int

    @property
    def straight(self) -> bool:
        """The blocks follow each other."""
        return bool((np.diff(self.blocks) == 1).all())


def target_of(part: Slice, block_size: int) -> Target | None:
    """What the decoder computes of a slice; None where all of it belongs to the source."""
    end = part.start + len(part.ids)
    begin = max(part.start, part.source)
    if begin >= end:
        return None
    return Target(
        ids=np.asarray(part.ids, dtype=np.int64)[begin - part.start :],
        start=begin - part.source,
        written=places_to(part, end, block_size)[begin:],
        own=_stretch(part, part.source, end, block_size),
        source=_stretch(part, 0, part.source, block_size),
    )


def _stretch(part: Slice, begin: int, end: int, size: int) -> Stretch:
    """Positions from `begin` to `end`, exclusive."""
    first = begin // size
    blocks = np.array(part.blocks[first : -(-end // size)], dtype=np.int64)
    return Stretch(blocks, begin - first * size, end - first * size)


def places_to(part: Slice, end: int, block_size: int) -> NDArray[np.int64]:
    """Places of a sequence's positions up to `end`, int64 (end,)."""
    positions = np.arange(end)
    blocks = np.array(part.blocks[: -(-end // block_size)], dtype=np.int64)
    places: NDArray[np.int64] = blocks[positions // block_size] * block_size
    return places + positions % block_size


@dataclass(slots=True, eq=False)
class _Group:
    """Sequences with as many queries each, and the keys that they see.

    Whole blocks are copied together; one sequence alone, in blocks that follow each other, is read
    in place.

    Attributes:
        rows: Of the step, (sequences * queries,); None where they are all of it, in order.
        sequences: How many.
        blocks: (sequences * blocks each,); the last one again where a sequence has fewer.
        first: The first place, where the keys are read in place.
        lows: Gathered places before the keys, (sequences, 1).
        highs: One past the keys, (sequences, 1).
        width: Gathered places of each sequence.
        added: To the scores, (sequences or 1, heads or 1, queries, width); None for nothing.
    """

    rows: Tensor | None
    sequences: int
    blocks: Tensor
    first: int | None
    lows: Tensor
    highs: Tensor
    width: int
    added: Tensor | None = None

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, scale: float, size: int) -> Tensor:
        """(sequences * queries, heads, head_dim) of q (..., heads, head_dim) like it.

        `keys` and `values` are (places, heads, head_dim), in blocks of `size`.
        """
        if self.first is not None:
            k, v = (pool.narrow(0, self.first, self.width) for pool in (keys, values))
        else:
            k, v = (
                pool.view(len(pool) // size, -1).index_select(0, self.blocks)
                for pool in (keys, values)
            )
        shape = (self.sequences, self.width, *keys.shape[1:])
        q = q.view(self.sequences, -1, *q.shape[1:])
        out = attend_added(q, k.view(shape), v.view(shape), scale, self.added)
        return out.flatten(0, 1)


class PagedTarget:
    """The `AttendBoth` of one step.

    q, k, v are (tokens, heads, head_dim), all decoder tokens of the step in the order of `targets`.

    Args:
        cache: Keys and values; what of the sources is looked at is in it already.
        scale: Of the scores.
        targets: The step's.
    """

    def __init__(self, cache: PagedCache, scale: float, targets: Sequence[Target]) -> None:
        self._cache, self._scale = cache, scale
        written = np.concatenate([target.written for target in targets])
        self._written = torch.from_numpy(written).to(cache.device)
        counts = [len(target.ids) for target in targets]
        self._own = _groups(counts, [target.own for target in targets], cache)
        self._source = _groups(counts, [target.source for target in targets], cache)

    def begin(self, x: Tensor, relative: Bias | None) -> None:
        """See `AttendBoth`."""
        for group in self._own:
            count = len(x) if group.rows is None else len(group.rows)
            queries = count // group.sequences
            keys = torch.arange(group.width, device=x.device)
            query = group.highs - queries + torch.arange(queries, device=x.device)
            distance = keys - query[..., None]  # (sequences, queries, width)
            hidden = (distance > 0) | (keys < group.lows)[:, None]
            bias = None if relative is None else relative(distance).transpose(0, 1)
            group.added = added_scores(bias, hidden[:, None], x)
        for group in self._source:
            if group.first is None:
                keys = torch.arange(group.width, device=x.device)
                group.added = added_scores(None, (keys >= group.highs)[:, None, None, :], x)

    def own(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Writes the step's keys and values, then attends."""
        keys, values = self._cache.layers[layer]
        keys.index_copy_(0, self._written, k.to(keys.dtype))
        values.index_copy_(0, self._written, v.to(values.dtype))
        return self._attend(self._own, layer, q)

    def source(self, layer: int, q: Tensor) -> Tensor:
        """See `AttendBoth`."""
        return self._attend(self._source, layer, q)

    def _attend(self, groups: Sequence[_Group], layer: int, q: Tensor) -> Tensor:
        keys, values = self._cache.layers[layer]
        size = self._cache.block_size
        if len(groups) == 1 and groups[0].rows is None:
            return groups[0].attend(q, keys, values, self._scale, size)
        out = torch.empty_like(q)
        for group in groups:
            assert group.rows is not None
            chosen = q.index_select(0, group.rows)
            out.index_copy_(0, group.rows, group.attend(chosen, keys, values, self._scale, size))
        return out


def _groups(counts: Sequence[int], stretches: Sequence[Stretch], cache: PagedCache) -> list[_Group]:
    """Who goes together, given the tokens of each target and the keys that it sees."""
    rows = np.cumsum([0, *counts]).tolist()
    lone = [
        count > 1 or (each.high - each.low >= ALONE and each.straight)
        for count, each in zip(counts, stretches, strict=True)
    ]
    members = [[at] for at, alone in enumerate(lone) if alone]
    single = [at for at, alone in enumerate(lone) if not alone]
    members += like_lengths(single, [each.high for each in stretches])
    return [
        _group(
            None
            if each == list(range(len(counts)))
            else [row for at in each for row in range(rows[at], rows[at + 1])],
            [stretches[at] for at in each],
            cache,
        )
        for each in members
    ]


def like_lengths(members: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Members in groups whose shortest is at least half as long as the longest."""
    groups: list[list[int]] = []
    for member in sorted(members, key=lambda at: -lengths[at]):
        if groups:
            longest = lengths[groups[-1][0]]
            fits = (len(groups[-1]) + 1) * longest <= GROUP_TOKENS
            if fits and lengths[member] * 2 + 64 >= longest:
                groups[-1].append(member)
                continue
        groups.append([member])
    return [sorted(group) for group in groups]


def _group(rows: Sequence[int] | None, stretches: Sequence[Stretch], cache: PagedCache) -> _Group:
    size, device = cache.block_size, cache.device
    lone = stretches[0]
    in_place = len(stretches) == 1 and lone.straight
    widest = max(len(each.blocks) for each in stretches)
    blocks = [np.pad(each.blocks, (0, widest - len(each.blocks)), "edge") for each in stretches]
    moved = lone.low if in_place else 0
    return _Group(
        rows=None if rows is None else torch.tensor(rows, device=device),
        sequences=len(stretches),
        blocks=torch.from_numpy(np.concatenate(blocks)).to(device),
        first=int(lone.blocks[0]) * size + lone.low if in_place else None,
        lows=torch.tensor([[each.low - moved] for each in stretches], device=device),
        highs=torch.tensor([[each.high - moved] for each in stretches], device=device),
        width=lone.high - lone.low if in_place else widest * size,
    )
