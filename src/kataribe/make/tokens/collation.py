"""Rows out of lists of ids: filled up to one length, as values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kataribe.make.tokens.batches import IGNORED, PADDING, Batch
from kataribe.make.tokens.document_marks import DocumentMarks
from kataribe.make.tokens.token_data import TokenData

_STEP = 8
"""Rows are as long as a multiple of this: few different shapes, and memory aligned."""


def padded(
    rows: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    pad_id: int,
    length: int | None = None,
) -> Batch:
    """One document to a row; as long as the longest, or `length`."""
    parts = [[(ids, what)] for ids, what in zip(rows, targets, strict=True)]
    return joined(parts, pad_id=pad_id, length=length)


def joined(
    rows: Sequence[Sequence[tuple[Sequence[int], Sequence[int]]]],
    *,
    pad_id: int,
    length: int | None = None,
) -> Batch:
    """Rows of documents, each given as its ids and as many targets."""
    if length is None:
        longest = max((sum(len(ids) for ids, _ in row) for row in rows), default=0)
        length = max(1, -(-longest // _STEP)) * _STEP
    shape = (len(rows), length)
    ids, targets = np.full(shape, pad_id, np.int64), np.full(shape, IGNORED, np.int64)
    positions, documents = np.zeros(shape, np.int64), np.full(shape, PADDING, np.int32)
    for index, row in enumerate(rows):
        at = 0
        for number, (these, those) in enumerate(row):
            place = slice(at, at + len(these))
            ids[index, place], targets[index, place] = these, those
            positions[index, place] = np.arange(len(these))
            documents[index, place] = number
            at += len(these)
    return Batch(ids, targets, positions, documents)


def text_spans(data: TokenData, split: str) -> list[tuple[int, int]]:
    """Where the text of each document starts in a split's ids, marks left out, and its length."""
    starts = np.asarray(data.starts(split))
    ends = np.append(starts[1:], len(data.tokens(split)))
    lengths: NDArray[np.int64] = ends - starts - (2 if data.meta.marks.writes_end else 1)
    return list(zip((starts + 1).tolist(), lengths.tolist(), strict=True))


def marked(ids: Sequence[int], marks: DocumentMarks) -> list[int]:
    """A text with the marks of a document on both sides."""
    return [marks.begin, *ids, marks.end]
