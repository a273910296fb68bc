"""MinHash signatures: how alike two texts are, told from 512 bytes each (Broder 1997).

The share of equal numbers in two signatures estimates the Jaccard similarity of the two texts'
sets of 8-character windows; with 128 numbers the standard error at 0.8 is 0.035. Locality-sensitive
hashing finds candidates: a signature is cut into bands, and texts that share a whole band are
compared. `rensa` computes the signatures; its own LSH index keeps 1.7 kB for each text in memory
(measured, 16 bands), so the bands are compared by sorting (`duplicates.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from kataribe.base.errors import InputError
from kataribe.make.text.shingles import Numbers, windows

NUMBERS = 128
"""Numbers of a signature."""
SHINGLE = 8
"""Characters of a window: about four Japanese words, one and a half English ones."""
_SEED = 42
_MISSED = 1e-3
"""Most that the chance may be to overlook a pair that is exactly as alike as the threshold."""

Signature = NDArray[np.uint32]


def signature(codes: Numbers) -> Signature:
    """The `(128,)` signature of a text's code points; `codes` must not be empty."""
    hashes = windows(codes, min(SHINGLE, len(codes)))
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, [0, len(hashes)], NUMBERS, _SEED)
    return np.asarray(matrix.to_rows()[0], dtype=np.uint32)


def likeness(left: Signature, right: Signature) -> NDArray[np.float64]:
    """Estimated Jaccard similarity of the rows of two `(rows, 128)` arrays."""
    return np.asarray(np.mean(left == right, axis=-1, dtype=np.float64))


def rows_per_band(threshold: float) -> int:
    """The longest bands that overlook a pair at the threshold with a chance of at most 0.001.

    Long bands give few candidates that a comparison then refuses. At 0.8: 25 bands of 5 numbers,
    which overlook one pair in 21,000 at the threshold and none above 0.9.
    """
    if not 0.3 <= threshold <= 1.0:
        raise InputError(
            f"The threshold for near duplicates is {threshold}; it lies between 0.3 (much is "
            "alike) and 1 (only the same).",
            param="near",
        )
    for rows in range(16, 1, -1):
        if (1 - threshold**rows) ** (NUMBERS // rows) <= _MISSED:
            return rows
    return 1


def band_keys(numbers: Signature) -> Numbers:
    """One key for each band of `(..., rows)` numbers: equal where the bands are."""
    keys = np.zeros(numbers.shape[:-1], dtype=np.uint64)
    for column in range(numbers.shape[-1]):
        keys = (keys ^ numbers[..., column]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    return keys


def in_bands(signatures: Signature, rows: int) -> Signature:
    """`(..., 128)` as `(..., bands, rows)`; numbers that fill no band are left out."""
    bands = NUMBERS // rows
    return signatures[..., : bands * rows].reshape(*signatures.shape[:-1], bands, rows)
