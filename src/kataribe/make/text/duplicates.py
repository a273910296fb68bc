"""Which texts are the same, or nearly, found by sorting numbers instead of keeping an index.

Memory for each text: 16 bytes of hash and, while one band is sorted, 16 more; signatures lie in a
file. An index in memory (rensa's LSH) takes 1,700 bytes for each.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kataribe.make.text.signatures import (
    NUMBERS,
    Signature,
    band_keys,
    in_bands,
    likeness,
    rows_per_band,
)

Indices = NDArray[np.int64]

_NEIGHBOURS = 8
"""In a band's run of equal keys each text is compared with so many before it: all pairs in runs
of up to nine; in longer ones, chains of neighbours find the same groups."""
_CHUNK = 1 << 16
"""Rows of signatures that are in memory together: 32 MiB."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """For each text, the first text of its group: itself, when it is like none before it."""

    exact: Indices
    """`(documents,)`: the first text that is the same but for white space and case."""
    near: Indices
    """`(documents,)`: the first text that is the same or nearly so, also by way of others."""
    alike: dict[int, float]
    """For near duplicates: the estimated similarity to the text that they were found by."""


def find_duplicates(hashes: NDArray[np.uint64], signatures: Path, threshold: float) -> Duplicates:
    """Groups texts by their `(documents, 2)` hashes and their file of signatures.

    The groups do not depend on any order; the first text in the order of reading stands for each.
    """
    exact = _first_of_equal(hashes)
    firsts = np.flatnonzero(exact == np.arange(len(exact)))
    groups = _Groups(len(exact))
    alike: dict[int, float] = {}
    if len(firsts) > 1:
        stored = np.memmap(signatures, dtype="<u4", mode="r").reshape(-1, NUMBERS)
        rows = rows_per_band(threshold)
        for band in range(NUMBERS // rows):
            _join_band(stored, firsts, (rows, band, threshold), groups, alike)
    near = groups.firsts()
    return Duplicates(exact, near[exact], alike)


def with_pieces(groups: Indices, pieces: Indices) -> Indices:
    """Groups `(documents,)` joined where they hold pieces of one text, `(pieces, 2)`.

    Pieces of a text share its words, names and style: on both sides of a split they would make
    validation easier than text that is new. Returns the first document of each one's group.
    """
    if not len(pieces):
        return groups
    joined = _Groups(len(groups))
    for number in np.flatnonzero(groups != np.arange(len(groups))).tolist():
        joined.join(number, int(groups[number]))
    for number, first in pieces.tolist():
        joined.join(number, first)
    return joined.firsts()


def _first_of_equal(hashes: NDArray[np.uint64]) -> Indices:
    """For each row of `(documents, 2)`, the first row that equals it."""
    if not len(hashes):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: equal rows stay in order
    sorted_rows = hashes[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = np.any(sorted_rows[1:] != sorted_rows[:-1], axis=1)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[begins][np.cumsum(begins) - 1]
    return first


def _join_band(
    stored: Signature,
    firsts: Indices,
    band: tuple[int, int, float],
    groups: _Groups,
    alike: dict[int, float],
) -> None:
    """Joins the texts that share a band's key and whose whole signatures agree enough."""
    rows, number, threshold = band
    keys = np.concatenate(
        [
            band_keys(in_bands(stored[firsts[start : start + _CHUNK]], rows)[:, number])
            for start in range(0, len(firsts), _CHUNK)
        ]
    )
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    for distance in range(1, _NEIGHBOURS + 1):
        same = np.flatnonzero(sorted_keys[distance:] == sorted_keys[:-distance])
        if not len(same):
            return
        for start in range(0, len(same), _CHUNK):
            part = same[start : start + _CHUNK]
            earlier, later = firsts[order[part]], firsts[order[part + distance]]
            found = likeness(stored[earlier], stored[later])
            for left, right, value in zip(
                earlier[found >= threshold].tolist(),
                later[found >= threshold].tolist(),
                found[found >= threshold].tolist(),
                strict=True,
            ):
                groups.join(left, right)
                alike[right] = max(value, alike.get(right, 0.0))


class _Groups:
    """Disjoint sets of texts, each stood for by its first (Tarjan 1975, path halving)."""

    def __init__(self, count: int) -> None:
        self._above = array("q", range(count))

    def find(self, text: int) -> int:
        above = self._above
        while above[text] != text:
            above[text] = above[above[text]]
            text = above[text]
        return text

    def join(self, left: int, right: int) -> None:
        left, right = self.find(left), self.find(right)
        self._above[max(left, right)] = min(left, right)

    def firsts(self) -> Indices:
        return np.fromiter(map(self.find, range(len(self._above))), np.int64, len(self._above))
