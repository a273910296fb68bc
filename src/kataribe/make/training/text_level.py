"""How hard a text is: what counting its own n-grams makes of its held-out part.

A law of scaling knows how loss falls with parameters and tokens, but not how much there is to know
of this text in these tokens: code repeats itself, a Japanese character is three bytes. Counting
says it for the very token data, at a thousandth of the cost of training on them. How much of a text
repeats what stands before it in the same row is counted apart: attention finds that too, but only
after some hundred thousand tokens, and in code and sums it is five times what it is in novels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError
from kataribe.make.tokens.token_data import TokenData

ORDER = 5
"""Longest n-grams. On Python code of 2 million tokens order 6 changed nothing by 1 %."""
DISCOUNT = 0.75
"""Taken from every count and given to shorter n-grams (Ney et al. 1994)."""
JUDGED_TOKENS = 200_000
"""Most held-out tokens that are asked for: the mean is then within 1 % of all of them."""
ROW = 256
"""Tokens that are taken in one piece, from all over the split."""
MOST_TOKENS = 4_000_000
"""Most tokens that are counted: some five seconds. What more would give is drawn on from there."""

REMEMBERED = 4
"""Longest piece of a row's own past that is looked for, in tokens."""
TURNS = 30
"""Of finding how far such pieces are trusted: the bits stand still after ten."""

Hashes = NDArray[np.uint64]
Chances = NDArray[np.float64]
"""Of every judged token, by row; all but the first of a row are judged."""


@dataclass(frozen=True)
class TextLevel:
    """How hard a text is for one who counts.

    Attributes:
        tokens: Tokens that were counted, rising.
        bits_per_byte: Of held-out text after so many.
        recalling: Bits per byte after the most of them for one who also remembers the row so far.
        letters: Bits per byte of held-out text for one who knows how frequent each token is.
        bytes_per_token: Of held-out text.
        unique: Tokens that there are to learn from.
    """

    tokens: tuple[int, ...]
    bits_per_byte: tuple[float, ...]
    recalling: float
    letters: float
    bytes_per_token: float
    unique: int

    def __post_init__(self) -> None:
        if not self.tokens or len(self.tokens) != len(self.bits_per_byte):
            raise InputError(
                f"The level of a text has {len(self.tokens)} counts of tokens and "
                f"{len(self.bits_per_byte)} of bits; it needs as many of both, and one at least."
            )

    @property
    def repetition(self) -> float:
        """What remembering the row so far saves: a logarithm of bits, 0 for nothing."""
        return math.log(self.bits_per_byte[-1] / self.recalling)

    def after(self, tokens: float) -> float:
        """Bits per byte after so many tokens of fresh text.

        Between the counts along straight lines of logarithms, and beyond them along the last.
        """
        x, y = np.log(self.tokens), np.log(self.bits_per_byte)
        at = math.log(max(1.0, tokens))
        if len(x) == 1:
            return float(self.bits_per_byte[0])
        low = int(np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2))
        slope = (y[low + 1] - y[low]) / (x[low + 1] - x[low])
        return float(math.exp(y[low] + slope * (at - x[low])))


@dataclass(frozen=True)
class Look:
    """What a run is judged by at its end.

    Attributes:
        rows: Most rows of held-out text, evenly spread; 0 for all.
        length: Tokens of a row.
    """

    rows: int
    length: int


def text_level(data: TokenData, bytes_per_token: float, tokens: int, look: Look) -> TextLevel:
    """The level of token data around a number of tokens to learn from.

    Counts that many (at most all there are, and `MOST_TOKENS`), a fourth and a sixteenth of them.

    Args:
        data: With a split `valid`.
        bytes_per_token: Of the held-out split: see `pretraining.bytes_per_token`.
        tokens: What a run will learn from.
        look: What the run will be judged by at its end: the very rows are asked for here.
    """
    train, size = data.tokens("train"), data.meta.vocab_size
    most = max(ROW, min(tokens, len(train), MOST_TOKENS))
    judged = judged_rows(data.tokens("valid"), look)
    counted = sorted({max(ROW, most >> shift) for shift in range(4)})
    found = [ngram_chances(spread_rows(train, count), judged, size, ORDER) for count in counted]
    letters = ngram_chances(spread_rows(train, most), judged, size, 1)
    return TextLevel(
        tokens=tuple(counted),
        bits_per_byte=tuple(mean_bits(each) / bytes_per_token for each in found),
        recalling=mean_bits(recalled(found[-1], judged)) / bytes_per_token,
        letters=mean_bits(letters) / bytes_per_token,
        bytes_per_token=bytes_per_token,
        unique=len(train),
    )


def judged_rows(tokens: NDArray[Any], look: Look) -> NDArray[np.uint64]:
    """Rows that the last look of a run takes (see `rows_objective`), fewer where they are many."""
    length = min(look.length, len(tokens))
    there = math.ceil(len(tokens) / look.length)
    apart = max(1, math.ceil(there / look.rows)) if look.rows else 1
    firsts = list(range(0, len(tokens) - length + 1, look.length * apart))
    some = firsts[:: max(1, math.ceil(len(firsts) * length / JUDGED_TOKENS))]
    return np.stack([np.asarray(tokens[at : at + length]) for at in some]).astype(np.uint64)


def spread_rows(tokens: NDArray[Any], count: int) -> NDArray[np.uint64]:
    """About `count` tokens in rows of `ROW`, evenly from all over: (rows, ROW)."""
    length = min(ROW, len(tokens))
    if length < 2:
        raise InputError(f"A text of {len(tokens)} tokens is too short to count its n-grams.")
    rows = max(1, min(count // length, len(tokens) // length))
    firsts = np.linspace(0, len(tokens) - length, rows).astype(np.int64)
    return np.stack([np.asarray(tokens[at : at + length]) for at in firsts]).astype(np.uint64)


def mean_bits(chances: Chances) -> float:
    """Bits per token."""
    return float(-np.log2(chances).mean())


def ngram_chances(
    train: NDArray[np.uint64], judged: NDArray[np.uint64], vocab_size: int, order: int
) -> Chances:
    """Chances of `judged` for n-grams of `train` with absolute discounting, interpolated.

    Each order takes `DISCOUNT` from what was counted after the same tokens, and spreads it as the
    order below says; the lowest says 1 / vocab_size. `train` and `judged` are (rows, tokens);
    n-grams do not cross rows, and the first token of a row is not judged.
    """
    places = judged.shape[1] - 1
    chance: Chances = np.full((len(judged), places), 1 / vocab_size)
    for length in range(1, min(order, train.shape[1], judged.shape[1]) + 1):
        before, whole = _hashed(train, length)
        grams, first, counts = np.unique(whole, return_index=True, return_counts=True)
        contexts, where, kinds = np.unique(before[first], return_inverse=True, return_counts=True)
        totals = np.bincount(where, weights=counts)
        asked_before, asked = _hashed(judged, length)
        seen = _found(grams, counts, asked)
        total, kind = _found(contexts, totals, asked_before), _found(contexts, kinds, asked_before)
        skipped = max(1, length - 1) - 1  # places with fewer tokens before them
        part = chance[:, skipped:].reshape(-1)
        known = total > 0
        kept = np.maximum(seen - DISCOUNT, 0.0) + DISCOUNT * kind * part
        part = np.where(known, kept / np.maximum(total, 1), part)
        chance[:, skipped:] = part.reshape(len(judged), -1)
    return chance


def recalled(chances: Chances, judged: NDArray[np.uint64]) -> Chances:
    """The chances mixed with what followed in the same row, where its last tokens stood before.

    Of up to `REMEMBERED` last tokens the longest piece counts that stood there; how far it is
    trusted depends on its length alone, and is what makes `judged` likeliest (expectation and
    maximisation, Dempster et al. 1977).
    """
    length = np.zeros(chances.shape, np.int64)
    memory = np.zeros_like(chances)
    for tokens in range(min(REMEMBERED + 1, judged.shape[1])):
        before, whole = (each.reshape(len(judged), -1) for each in _hashed(judged, tokens + 1))
        times, followed = _earlier(before), _earlier(whole)
        skipped = chances.shape[1] - before.shape[1]
        known = times > 0
        length[:, skipped:][known] = tokens
        memory[:, skipped:][known] = followed[known] / times[known]
    trust = np.full(REMEMBERED + 1, 0.2)
    places = np.maximum(1, np.bincount(length.reshape(-1), minlength=len(trust)))
    for _ in range(TURNS):
        share = trust[length] * memory
        share /= share + (1 - trust[length]) * chances
        trust = np.bincount(length.reshape(-1), share.reshape(-1), len(trust)) / places
    mixed: Chances = trust[length] * memory + (1 - trust[length]) * chances
    return mixed


def _earlier(hashes: Hashes) -> NDArray[np.int64]:
    """How often the same number stood earlier in its row: (rows, places)."""
    rows = np.repeat(np.arange(len(hashes), dtype=np.uint64), hashes.shape[1])
    flat = _mixed(rows, hashes.reshape(-1))
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    places = np.arange(len(flat))
    found = np.empty(len(flat), np.int64)
    found[order] = places - np.maximum.accumulate(np.where(begins, places, 0))
    return found.reshape(hashes.shape)


def _hashed(rows: NDArray[np.uint64], length: int) -> tuple[Hashes, Hashes]:
    """Of every n-gram, one number for all tokens but the last, and one for all; flat.

    Begins at the second token of a row, so that every order judges the same places.
    """
    first = max(1, length - 1)
    before = np.zeros((len(rows), rows.shape[1] - first), np.uint64)
    for back in range(length - 1, 0, -1):
        before = _mixed(before, rows[:, first - back : rows.shape[1] - back])
    whole = _mixed(before, rows[:, first:])
    return before.reshape(-1), whole.reshape(-1)


def _mixed(state: Hashes, token: Hashes) -> Hashes:
    """One 64-bit number for both: two of ten million n-grams are one with a chance of 3e-6."""
    mixed = (state ^ (token + np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(32))


def _found(keys: Hashes, values: NDArray[Any], asked: Hashes) -> NDArray[np.float64]:
    """The values of keys that are asked for; 0 for keys that are not there."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, values[at], 0).astype(np.float64)
