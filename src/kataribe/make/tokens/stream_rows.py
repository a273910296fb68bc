"""Rows for pre-training: the stream of all documents, cut into equal lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import InputError
from kataribe.make.tokens.batches import IGNORED, PADDING, Batch, Ids, Pick, drawn
from kataribe.make.tokens.token_data import TokenData


class StreamRows:
    """Next-token rows of `length` out of a split.

    The stream is a ring that every epoch cuts at other places, so nothing is always a row's end,
    and what the last row leaves over (less than one row) is another stretch each time. A row has
    no padding. A document that a cut divides goes on in the next row as one of its own.
    """

    def __init__(self, data: TokenData, split: str, length: int) -> None:
        """Raises `InputError` for data that do not fill one row, with both numbers."""
        self._tokens = data.tokens(split)
        self._starts = data.starts(split)
        self._marks = data.meta.marks
        self.length = length
        if length < 2:
            raise InputError(f"Rows of {length} tokens teach nothing; take at least 2.")
        if len(self._tokens) < length:
            raise InputError(
                f"The {split} split has {len(self._tokens)} tokens, but one row takes {length}. "
                "Take shorter rows or more text."
            )

    def __len__(self) -> int:
        """Rows in an epoch."""
        return len(self._tokens) // self.length

    def take(self, picks: Sequence[Pick]) -> Batch:
        """These rows: (picks, length)."""
        firsts = [self._offset(pick) + pick.index * self.length for pick in picks]
        return self._batch([first % len(self._tokens) for first in firsts], self.length)

    def in_order(self, size: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        """Batches of up to `size` rows that together hold every token once, for evaluation.

        The last row is filled up with padding. Process `rank` of `ranks` gets every `ranks`-th
        row; the last batch may be smaller, and a process may get one batch less than another.
        """
        firsts = list(range(0, len(self._tokens), self.length))[rank::ranks]
        for at in range(0, len(firsts), size):
            yield self._batch(firsts[at : at + size], self.length, ring=False)

    def _offset(self, pick: Pick) -> int:
        """Where the epoch begins to cut: any token, drawn anew each time, the first at 0."""
        if pick.epoch == 0:
            return 0
        return drawn(pick.seed, pick.epoch, len(self._tokens))

    def _batch(self, firsts: Sequence[int], length: int, *, ring: bool = True) -> Batch:
        shape = (len(firsts), length)
        ids, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
        positions, documents = np.zeros(shape, np.int64), np.full(shape, PADDING, np.int32)
        for row, first in enumerate(firsts):
            stop = min(first + length, len(self._tokens))
            self._fill(0, first, stop, (ids[row], targets[row], positions[row], documents[row]))
            left = length - (stop - first)
            if left and ring:
                rest = slice(length - left, None)
                parts = (ids[row, rest], targets[row, rest], positions[row, rest])
                number = int(documents[row, length - left - 1]) + 1
                self._fill(number, 0, left, (*parts, documents[row, rest]))
        return Batch(ids, targets, positions, documents)

    def _fill(
        self,
        number: int,
        first: int,
        stop: int,
        parts: tuple[Ids, Ids, Ids, NDArray[np.int32]],
    ) -> None:
        """Writes the tokens from `first` to `stop`, documents counted from `number`."""
        ids, targets, positions, documents = parts
        count = stop - first
        ids[:count] = self._tokens[first:stop]
        begins, ends_whole = self._starts_between(first, stop)
        opened = np.zeros(count, np.int64)
        opened[begins] = begins
        documents[:count] = number + np.cumsum(opened > 0)
        positions[:count] = np.arange(count) - np.maximum.accumulate(opened)
        targets[: count - 1] = ids[1:count]
        targets[count - 1] = self._tokens[stop] if stop < len(self._tokens) else self._marks.end
        # A document's last token is followed by its end, which may be written once for two.
        lasts = np.append(begins, count) if ends_whole else begins
        targets[lasts - 1] = IGNORED if self._marks.writes_end else self._marks.end

    def _starts_between(self, first: int, stop: int) -> tuple[NDArray[np.int64], bool]:
        """Documents' starts between, counted from `first`; whether a document ends at `stop`."""
        low = int(np.searchsorted(self._starts, first, side="right"))
        high = int(np.searchsorted(self._starts, stop, side="left"))
        next_start = int(self._starts[high]) if high < len(self._starts) else len(self._tokens)
        return np.asarray(self._starts[low:high]) - first, next_start == stop
