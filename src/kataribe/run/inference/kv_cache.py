"""Where keys and values lie: one pool of places per layer, a block being a run of them."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kataribe.run.inference.step import Slice


class CacheShape(Protocol):
    """The sizes of a model (or of one of its stacks) that a cache must know."""

    @property
    def mixers(self) -> Sequence[str]:
        """How each layer mixes tokens; those of "attention" keep keys and values."""
        ...

    @property
    def kv_heads(self) -> int:
        """Key and value heads of each."""
        ...

    @property
    def head_dim(self) -> int:
        """Values per head."""
        ...


class PagedCache:
    """Keys and values of all layers of attention, each (layers, places, kv_heads, head_dim).

    A block is a run of `block_size` places. All begin as zeros, because what a mask hides is still
    multiplied by 0, and whatever was in memory before might be no number.
    """

    def __init__(
        self, config: CacheShape, blocks: int, block_size: int, dtype: torch.dtype, device: str
    ) -> None:
        attending = config.mixers.count("attention")
        shape = (attending, blocks * block_size, config.kv_heads, config.head_dim)
        self.keys, self.values = _zeros(shape, dtype, device), _zeros(shape, dtype, device)
        kept = zip(self.keys.unbind(0), self.values.unbind(0), strict=True)
        none = self.keys.new_empty(0, *shape[2:])
        self.layers = [
            next(kept) if mixer == "attention" else (none, none) for mixer in config.mixers
        ]
        """(keys, values) of each layer, (places, kv_heads, head_dim) each; places are 0 where the
        layer does not attend."""
        self.by_head = [
            (keys.transpose(0, 1)[None], values.transpose(0, 1)[None])
            for keys, values in self.layers
        ]
        """The same as (1, kv_heads, places, head_dim)."""
        self.block_size = block_size
        self.dtype = dtype
        self.device = self.keys.device

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies whole blocks from source to target."""
        size = self.block_size
        for pool in (self.keys, self.values):
            for source, target in pairs:
                place = source * size
                pool[:, target * size : (target + 1) * size] = pool[:, place : place + size]


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> Tensor:
    """Zeros; on the CPU the system gives memory for a page only when it is first written.

    Small pages are asked for: a first prompt writes a little into every layer's pool, and with
    pages of 2 MiB that took 0.9 s and 120 MB for 40 tokens of a small model.
    """
    if torch.device(device).type != "cpu" or not math.prod(shape):
        return torch.zeros(shape, dtype=dtype, device=device)
    pages = mmap.mmap(-1, math.prod(shape) * dtype.itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return torch.frombuffer(pages, dtype=dtype).view(shape)


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where one sequence lies.

    Attributes:
        blocks: Its blocks up to its last token, int64.
        end: Its tokens, those of this step included.
        first: Its first place where its blocks follow each other, else None.
    """

    blocks: NDArray[np.int64]
    end: int
    first: int | None

    def written(self, start: int, block_size: int) -> NDArray[np.int64]:
        """Places of positions from `start` to the end."""
        positions = np.arange(start, self.end)
        places: NDArray[np.int64] = (
            self.blocks[positions // block_size] * block_size + positions % block_size
        )
        return places


def places_of(part: Slice, block_size: int) -> Places:
    """Where the sequence of a slice lies."""
    end = part.start + len(part.ids)
    blocks = np.array(part.blocks[: -(-end // block_size)], dtype=np.int64)
    straight = bool((blocks == np.arange(blocks[0], blocks[0] + len(blocks))).all())
    return Places(blocks, end, int(blocks[0]) * block_size if straight else None)


class CausalMasks:
    """What each of the last rows of a sequence may see, to be added to scores: 0 or -inf.

    One table per window serves every chunk at any position: what matters is only how far a key
    stands from the sequence's end, so a mask is the lower right corner of the table.
    """

    def __init__(self, rows: int, dtype: torch.dtype, device: torch.device) -> None:
        self._rows, self._dtype, self._device = rows, dtype, device
        self._tables: dict[int | None, Tensor] = {}

    def get(self, window: int | None, rows: int, keys: int) -> Tensor:
        """(rows, keys): the rows are the last of the keys; each sees itself and before."""
        table = self._tables.get(window)
        if table is None or table.shape[1] < keys:
            table = self._tables[window] = self._build(window, max(keys * 3 // 2, 512))
        return table[self._rows - rows :, table.shape[1] - keys :]

    def _build(self, window: int | None, keys: int) -> Tensor:
        query = torch.arange(keys - self._rows, keys, device=self._device)[:, None]
        key = torch.arange(keys, device=self._device)[None, :]
        hidden = key > query
        if window is not None:
            hidden |= key <= query - window
        blank = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device)
        return blank.masked_fill_(hidden, float("-inf"))
