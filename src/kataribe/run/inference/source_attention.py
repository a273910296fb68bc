"""Attention of encoder-decoders over the paged cache, for one step of many sequences.

A sequence's places hold two kinds of keys and values, of the same shapes: those of positions that
the encoder read are what the decoder sees of the source, those behind are the decoder's own. So
one pool of blocks serves both, and nothing of it lies idle.

Sequences that decode one token go together with others of like length; who computes several
(the beginning of a reply, or one that lost its blocks) goes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kataribe.make.model.source_attention import Bias, added_scores, attend_added
from kataribe.run.inference.kv_cache import PagedCache
from kataribe.run.inference.step import Slice

GROUP_TOKENS = 1 << 15
"""Most tokens whose keys are copied together, which bounds memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The decoder's tokens of a slice.

    Attributes:
        ids: Token ids.
        start: Position of `ids[0]` in the target, counted from its start token.
        own: Places of the whole target up to the last of `ids`.
        source: Places of the source.
    """

    ids: NDArray[np.int64]
    start: int
    own: NDArray[np.int64]
    source: NDArray[np.int64]

    @property
    def written(self) -> NDArray[np.int64]:
        """Places of `ids`."""
        return self.own[self.start :]


def target_of(part: Slice, block_size: int) -> Target | None:
    """What the decoder computes of a slice; None where all of it belongs to the source."""
    end = part.start + len(part.ids)
    begin = max(part.start, part.source)
    if begin >= end:
        return None
    places = places_to(part, end, block_size)
    ids = np.asarray(part.ids, dtype=np.int64)[begin - part.start :]
    own, source = places[part.source :], places[: part.source]
    return Target(ids, begin - part.source, own, source)


def places_to(part: Slice, end: int, block_size: int) -> NDArray[np.int64]:
    """Places of a sequence's positions up to `end`, int64 (end,)."""
    positions = np.arange(end)
    blocks = np.array(part.blocks[: -(-end // block_size)], dtype=np.int64)
    places: NDArray[np.int64] = blocks[positions // block_size] * block_size
    return places + positions % block_size


@dataclass(slots=True, eq=False)
class _Group:
    """Sequences with as many queries each, and the keys that they see.

    Attributes:
        rows: Of the step, (sequences * queries,).
        sequences: How many.
        places: Of the keys, (sequences * longest,); the last one again where a sequence ends.
        first: The first place, where there is one sequence and its places follow each other.
        ends: Keys of each sequence, (sequences, 1).
        longest: Keys of the longest.
        added: To the scores, (sequences or 1, heads or 1, queries, longest); None for nothing.
    """

    rows: Tensor
    sequences: int
    places: Tensor
    first: int | None
    ends: Tensor
    longest: int
    added: Tensor | None = None

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
        """(sequences * queries, heads, head_dim) of q (..., heads, head_dim) like it."""
        shape = (self.sequences, self.longest, *keys.shape[1:])
        if self.first is not None:
            k, v = (pool.narrow(0, self.first, self.longest) for pool in (keys, values))
        else:
            k, v = (pool.index_select(0, self.places) for pool in (keys, values))
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
        self._own = _groups(targets, [target.own for target in targets], cache.device)
        self._source = _groups(targets, [target.source for target in targets], cache.device)

    def begin(self, x: Tensor, relative: Bias | None) -> None:
        """See `AttendBoth`."""
        for group in self._own:
            queries = len(group.rows) // group.sequences
            keys = torch.arange(group.longest, device=x.device)
            query = group.ends - queries + torch.arange(queries, device=x.device)
            distance = keys - query[..., None]  # (sequences, queries, longest)
            bias = None if relative is None else relative(distance).transpose(0, 1)
            group.added = added_scores(bias, (distance > 0)[:, None], x)
        for group in self._source:
            if group.sequences > 1:
                keys = torch.arange(group.longest, device=x.device)
                unreal = (keys >= group.ends)[:, None, None, :]
                group.added = added_scores(None, unreal, x)

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
        out = torch.empty_like(q)
        for group in groups:
            found = group.attend(q.index_select(0, group.rows), keys, values, self._scale)
            out.index_copy_(0, group.rows, found)
        return out


def _groups(
    targets: Sequence[Target], places: Sequence[NDArray[np.int64]], device: torch.device
) -> list[_Group]:
    """Who goes together, given the places of the keys that each target sees."""
    counts = [len(target.ids) for target in targets]
    rows = np.cumsum([0, *counts])
    groups = [
        _group(range(rows[at], rows[at + 1]), [places[at]], device)
        for at, count in enumerate(counts)
        if count > 1
    ]
    single = [at for at, count in enumerate(counts) if count == 1]
    together = like_lengths(single, [len(each) for each in places])
    return groups + [
        _group([rows[at] for at in members], [places[at] for at in members], device)
        for members in together
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
    return groups


def _group(
    rows: Sequence[int], places: Sequence[NDArray[np.int64]], device: torch.device
) -> _Group:
    longest = max(map(len, places))
    padded = np.stack([np.pad(each, (0, longest - len(each)), mode="edge") for each in places])
    lone = padded[0]
    straight = len(places) == 1 and bool((np.diff(lone) == 1).all())
    return _Group(
        rows=torch.tensor(list(rows), device=device),
        sequences=len(places),
        places=torch.from_numpy(padded.reshape(-1)).to(device),
        first=int(lone[0]) if straight else None,
        ends=torch.tensor([[len(each)] for each in places], device=device),
        longest=longest,
    )
