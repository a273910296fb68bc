"""Texts of unlike length into batches without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BATCH_TOKENS = 2048
"""Most tokens of a batch. The products of a small encoder reach their best rate from about 1,000
tokens on, and the activations of more no longer lie in the processor's caches."""


@dataclass(frozen=True, eq=False)
class PackedBatch:
    """Texts one behind the other in one row.

    Attributes:
        places: Which of the asked texts these are, in order.
        lengths: Tokens of each.
        ids: int64 (tokens,).
        positions: int64 (tokens,), from 0 within each text.
    """

    places: tuple[int, ...]
    lengths: tuple[int, ...]
    ids: NDArray[np.int64]
    positions: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """int64 (texts,): where each text begins."""
        return np.concatenate(([0], np.cumsum(self.lengths[:-1]))).astype(np.int64)


def pack(texts: Sequence[Sequence[int]], most: int = BATCH_TOKENS) -> Iterator[PackedBatch]:
    """Batches of at most `most` tokens (or one longer text), longest texts first.

    Texts of equal length become neighbours, which attention takes in one call. The longest first:
    a machine with too little memory shows it at once.
    """
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    batch: list[int] = []
    filled = 0
    for place in order:
        length = len(texts[place])
        if batch and filled + length > most:
            yield _packed(texts, batch)
            batch, filled = [], 0
        batch.append(place)
        filled += length
    if batch:
        yield _packed(texts, batch)


def _packed(texts: Sequence[Sequence[int]], places: Sequence[int]) -> PackedBatch:
    lengths = tuple(len(texts[place]) for place in places)
    ids = np.concatenate([np.asarray(texts[place], np.int64) for place in places])
    positions = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])
    return PackedBatch(tuple(places), lengths, ids, positions)
