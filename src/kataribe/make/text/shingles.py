"""Windows of characters as numbers: for signatures, for repetition, for finding leaks.

Japanese has no spaces between words, so windows are of characters, in every language. All windows
of a text are hashed at once: with S the running sum of c_i * B^i modulo 2^64, the window of n
characters from i is (S[i+n] - S[i]) * B^-i (Rabin and Karp 1987), whatever n is.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def codes_of(text: str) -> Numbers:
    """Code points, `(characters,)`."""
    data = text.encode("utf-32-le", errors="surrogatepass")
    return np.frombuffer(data, dtype="<u4").astype(np.uint64)


def windows(codes: Numbers, width: int) -> Numbers:
    """A hash of every window of `width` characters, `(characters - width + 1,)` or empty."""
    count = len(codes) - width + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    powers, inverses = _powers(1 << (len(codes) - 1).bit_length())
    sums = np.zeros(len(codes) + 1, dtype=np.uint64)
    np.cumsum((codes + np.uint64(1)) * powers[: len(codes)], out=sums[1:])
    hashes = (sums[width:] - sums[:-width]) * inverses[:count]
    return _mixed(hashes)


def _mixed(hashes: Numbers) -> Numbers:
    """Spreads the bits (the finaliser of SplitMix64): MinHash takes them for random."""
    hashes ^= hashes >> np.uint64(30)
    hashes *= _MIX[0]
    hashes ^= hashes >> np.uint64(27)
    hashes *= _MIX[1]
    hashes ^= hashes >> np.uint64(31)
    return hashes


@functools.lru_cache(maxsize=2)
def _powers(count: int) -> tuple[Numbers, Numbers]:
    """B^i and B^-i modulo 2^64, for i below `count` (a power of two)."""
    both = []
    for base in (_BASE, pow(_BASE, -1, 1 << 64)):
        table = np.ones(count, dtype=np.uint64)
        done = 1
        while done < count:
            step = np.uint64(pow(base, done, 1 << 64))
            table[done : 2 * done] = table[:done] * step
            done *= 2
        both.append(table)
    return both[0], both[1]
